"""Which race threshold, from what was observed: the frontier of latency and spend, and a choice on it.

The estimate alone is not enough to choose by. It is as often too low as too high, so the threshold that just meets a
target by it misses on new data about half the time; the upper bound of the share of misses is what has to meet it.

Sources: Kaplan & Meier 1958; Efron 1979, Bootstrap methods (in blocks: Kuensch 1989); Dean & Barroso 2013.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from routeware.lab.tune_curves import curves, grid_of
from routeware.lab.tune_facts import Choice, LinkSummary, Threshold, Tuning
from routeware.lab.tune_frontier import Frontier, meeting, within
from routeware.lab.tune_notes import notes
from routeware.lab.tune_race import Independent, Paired, Race
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, Sample

__all__ = ["SEARCHED", "candidates_of", "race_of", "tune"]

REPEATS = 300
_THRESHOLDS = 48
SEARCHED = 240


def tune(
    primary: Sample,
    backup: Sample,
    *,
    paired: bool = False,
    target_p95_ms: float | None = None,
    max_extra: float | None = None,
    confidence: float = 0.9,
    usd_per_attempt: float | None = None,
    seed: int = 0,
    progress: Callable[[float], object] = lambda _share: None,
) -> Tuning:
    """What racing ``primary`` against ``backup`` would do, and which threshold to choose.

    Args:
        primary: what was observed of the link that is tried first.
        backup: what was observed of the other one.
        paired: whether rows with the same key belong together; otherwise the two are taken to be independent.
        target_p95_ms: name the cheapest threshold that meets this 95th percentile, with confidence.
        max_extra: name the threshold with the best 95th percentile that starts no more backups per call than this.
        confidence: of the intervals, two-sided, and of the upper bound on misses, one-sided; 0 to 1.
        usd_per_attempt: what an attempt at the backup costs.
        seed: of the resamples.
        progress: called with the share of the work that is done.

    Raises:
        ValueError: a link has no answer, or nothing can be paired.
    """
    _require_answers(primary, backup)
    race, pairs = race_of(primary, backup, target_p95_ms, paired, np.random.default_rng(seed))
    frontier = Frontier(race, target_p95_ms, confidence, usd_per_attempt)
    points = _points(frontier, candidates_of(primary, target_p95_ms, _THRESHOLDS), progress)
    choice: Choice | None = None
    if target_p95_ms is not None:
        choice = meeting(frontier, candidates_of(primary, target_p95_ms, SEARCHED), target_p95_ms)
    elif max_extra is not None:
        choice = within(points, max_extra)
    return Tuning(
        primary=_summary(primary),
        backup=_summary(backup),
        method="paired" if paired else "independent",
        pairs=pairs,
        confidence=confidence,
        target_ms=target_p95_ms,
        thresholds=tuple(points),
        choice=choice,
        notes=notes(primary, backup, pairs, tuple(points)),
    )


def _require_answers(*samples: Sample) -> None:
    for sample in samples:
        if not (sample.kinds == ANSWERED).any():
            raise ValueError(f"{sample.label} has no answer in these data")


def _points(frontier: Frontier, candidates: list[float], progress: Callable[[float], object]) -> list[Threshold]:
    points = []
    for done, threshold_ms in enumerate(candidates):
        points.append(frontier.point(threshold_ms))
        progress((done + 1) / len(candidates))
    return points


def race_of(
    primary: Sample, backup: Sample, target_ms: float | None, paired: bool, random: np.random.Generator
) -> tuple[Race, int | None]:
    """The two links, put together, and how many pairs there are, where pairs are asked for."""
    if paired:
        pairs = Paired(primary, backup, REPEATS, random)
        return pairs, pairs.calls
    grid = grid_of((primary, backup), target_ms)
    return Independent(curves(primary, grid, REPEATS, random), curves(backup, grid, REPEATS, random), grid), None


def candidates_of(primary: Sample, target_ms: float | None, count: int) -> list[float]:
    """Thresholds worth a look: where the primary's own quantiles lie, evenly up to a target, and never."""
    seen = primary.elapsed_ms[primary.kinds == ANSWERED]
    share = count if target_ms is None else count // 2
    places = np.concatenate([np.linspace(0.0, 0.98, share - 6), 1.0 - np.geomspace(0.015, 0.001, 6)])
    found = {0.0, *np.quantile(seen, places).tolist()}
    if target_ms is not None:
        # A race that starts at the target is too late to meet it.
        found = {each for each in found if each < target_ms} | {target_ms * step / share for step in range(share)}
    return [*sorted(found), np.inf]


def _summary(sample: Sample) -> LinkSummary:
    kinds = sample.kinds
    return LinkSummary(
        label=sample.label,
        attempts=len(sample),
        answered=int((kinds == ANSWERED).sum()),
        censored=int((kinds == CENSORED).sum()),
        failed=int((kinds == FAILED).sum()),
    )
