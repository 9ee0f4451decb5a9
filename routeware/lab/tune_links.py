"""Two links put together for racing, what is asked of them, and the threshold that answers it."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np

from routeware.lab.tune_assume import assumption, spearmans
from routeware.lab.tune_curves import curves, grid_of
from routeware.lab.tune_facts import Assumption, Choice, Threshold
from routeware.lab.tune_frontier import Frontier, meeting, within
from routeware.lab.tune_race import Paired, Race, Unpaired
from routeware.lab.tune_samples import ANSWERED, RacedCalls, Sample

__all__ = [
    "REPEATS",
    "SEARCHED",
    "Goal",
    "Links",
    "Prices",
    "candidates_of",
    "choose",
    "frontier_of",
    "points_of",
    "prepare",
]

REPEATS = 300
"""Resamples."""

SEARCHED = 240
"""Thresholds that are tried to meet a target."""

_FEW_THRESHOLDS = 16


@attrs.frozen(kw_only=True)
class Goal:
    """The goal: a percentile to keep, or extra attempts not to exceed, or nothing.

    Attributes:
        target_ms: the latency to keep.
        allowed: the share of calls that may take longer.
        rule: the goal's name.
        max_extra: the most extra attempts per call.
        confidence: of intervals and bounds, 0 to 1.
    """

    target_ms: float | None = None
    allowed: float = 0.05
    rule: str = "target_p95"
    max_extra: float | None = None
    confidence: float = 0.9


@attrs.frozen
class Prices:
    """Dollars per attempt at the primary and at the backup; ``None`` is unknown."""

    primary_usd: float | None = None
    backup_usd: float | None = None

    def swapped(self) -> Prices:
        """Return the prices of the other order."""
        return Prices(self.backup_usd, self.primary_usd)


@attrs.frozen(eq=False, kw_only=True)
class Links:
    """Two links in an order, put together for racing.

    Attributes:
        primary: what was observed of the link that is tried first.
        backup: what was observed of the other link.
        race: the two of them.
        pairs: the number of pairs; ``None`` where none were asked for.
        assumed: the dependence that was assumed; ``None`` for pairs.
        again: puts two samples together in the same way: the halves of these, or the same in the other order, or at
            another correlation.
    """

    primary: Sample
    backup: Sample
    race: Race
    pairs: int | None
    assumed: Assumption | None
    again: Callable[[Sample, Sample, float | None], Links]


def prepare(
    primary: Sample,
    backup: Sample,
    *,
    paired: bool,
    target_ms: float | None,
    correlation: float | None = None,
    raced: RacedCalls | None = None,
    assumed: Assumption | None = None,
    seed: int = 0,
) -> Links:
    """Put two links together.

    Raises:
        ValueError: nothing can be paired.
    """
    random = np.random.default_rng(seed)

    def again(first: Sample, second: Sample, fixed: float | None) -> Links:
        held = assumed if fixed is None else Assumption(fixed, fixed, fixed, "given", 0)
        return prepare(first, second, paired=paired, target_ms=target_ms, assumed=held, seed=seed)

    if paired:
        pairs = Paired(primary, backup, REPEATS, random)
        return Links(primary=primary, backup=backup, race=pairs, pairs=pairs.calls, assumed=None, again=again)
    grid = grid_of((primary, backup), target_ms)
    both = curves(primary, grid, REPEATS, random), curves(backup, grid, REPEATS, random)
    if assumed is None:
        assumed = assumption(correlation, raced, both, grid, target_ms)
    race = Unpaired(*both, grid, spearmans(assumed, REPEATS, random))
    return Links(primary=primary, backup=backup, race=race, pairs=None, assumed=assumed, again=again)


def points_of(
    links: Links, goal: Goal, prices: Prices, candidates: list[float], progress: Callable[[float], object]
) -> list[Threshold]:
    """Return a point of the frontier for each of ``candidates``."""
    frontier = frontier_of(links, goal, prices)
    points = []
    for done, threshold_ms in enumerate(candidates):
        points.append(frontier.point(threshold_ms))
        progress((done + 1) / len(candidates))
    return points


def frontier_of(links: Links, goal: Goal, prices: Prices) -> Frontier:
    """Return the frontier of two links."""
    return Frontier(links.race, goal.target_ms, goal.confidence, prices.backup_usd)


def choose(links: Links, goal: Goal, prices: Prices, points: list[Threshold] | None = None) -> Choice | None:
    """Return the threshold that the goal asks for; ``None`` if it asks for none."""
    if goal.target_ms is not None:
        candidates = candidates_of(links.primary, goal.target_ms, SEARCHED)
        return meeting(frontier_of(links, goal, prices), candidates, goal.target_ms, goal.allowed, goal.rule)
    if goal.max_extra is None:
        return None
    if points is None:
        few = candidates_of(links.primary, None, _FEW_THRESHOLDS)
        points = points_of(links, goal, prices, few, lambda _share: None)
    return within(points, goal.max_extra)


def candidates_of(primary: Sample, target_ms: float | None, count: int) -> list[float]:
    """Return thresholds worth a look: at the primary's own quantiles, evenly up to a target, and never."""
    seen = primary.elapsed_ms[primary.kinds == ANSWERED]
    share = count if target_ms is None else count // 2
    places = np.concatenate([np.linspace(0.0, 0.98, share - 6), 1.0 - np.geomspace(0.015, 0.001, 6)])
    found = {0.0, *np.quantile(seen, places).tolist()}
    if target_ms is not None:
        # A race that starts at the target is too late to meet it.
        found = {each for each in found if each < target_ms} | {target_ms * step / share for step in range(share)}
    return [*sorted(found), math.inf]
