"""Two links put together for racing, what is asked of them, and the threshold that answers it.

Shares get Wilson's interval (1927), at the number of independent calls that the resamples are worth: near 5 % the plain
interval is too short on the side that matters, because a share that happens to be low looks more certain than it is.

Latencies get theirs by turning that around: the interval of a 99th percentile is every time at which "1 % of the calls
take longer" is inside the interval of that share. The quantiles of resampled 99th percentiles will not do: they end
at the longest latency that was seen, and covered the truth in 57 to 78 % of the cases instead of 90.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import attrs
import numpy as np
import numpy.typing as npt

from routeware.lab.tune_curves import curves, grid_of
from routeware.lab.tune_facts import Assumption, Choice, Estimate, Threshold
from routeware.lab.tune_race import Paired, Race, Raced, Unpaired, assumption, spearmans
from routeware.lab.tune_samples import ANSWERED, RacedCalls, Sample

__all__ = ["SEARCHED", "Frontier", "Goal", "Prices", "bounds", "wilson"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Prices = tuple[float | None, float | None]
"""Dollars per attempt at the primary and at the backup; ``None`` is unknown."""

SEARCHED = 240
"""Thresholds that are tried to meet a target."""

_REPEATS = 300
"""Resamples."""

_FEW_THRESHOLDS = 16
_COARSE = 128
_SHARES = (0.5, 0.95, 0.99)


@attrs.frozen(kw_only=True)
class Goal:
    """The goal: a percentile to keep, or extra attempts not to exceed, or nothing.

    Attributes:
        allowed: the share of calls that may take longer than the target.
        rule: the goal's name.
        confidence: of the intervals, two-sided, and of the bound on misses, one-sided; 0 to 1.
    """

    target_ms: float | None = None
    allowed: float = 0.05
    rule: str = "target_p95"
    max_extra: float | None = None
    confidence: float = 0.9


class Frontier:
    """Two links in an order: what a call is like at each threshold, and the threshold that meets the goal.

    Args:
        primary: what was observed of the link that is tried first.
        backup: what was observed of the other link.
        goal: what is asked of them.
        paired: whether rows with the same key belong together; a ``ValueError`` if none do.
        prices: of an attempt at each.
        assumed: the dependence to go by where there are no pairs; by default found from ``correlation``, which the user
            gives, or from ``raced``, the calls of these two links that raced.
        seed: of the resamples.
    """

    def __init__(
        self,
        primary: Sample,
        backup: Sample,
        goal: Goal,
        *,
        paired: bool = False,
        prices: Prices = (None, None),
        assumed: Assumption | None = None,
        correlation: float | None = None,
        raced: RacedCalls | None = None,
        seed: int = 0,
    ) -> None:
        self.primary, self.backup, self.goal, self.prices = primary, backup, goal, prices
        self.assumed: Assumption | None = None
        self._paired, self._seed = paired, seed
        random = np.random.default_rng(seed)
        if paired:
            self.race: Race = Paired(primary, backup, _REPEATS, random)
            return
        grid = grid_of((primary, backup), goal.target_ms)
        both = curves(primary, grid, _REPEATS, random), curves(backup, grid, _REPEATS, random)
        self.assumed = assumed or assumption(correlation, raced, both, grid, goal.target_ms)
        self.race = Unpaired(*both, grid, spearmans(self.assumed, _REPEATS, random))

    def again(
        self, primary: Sample, backup: Sample, *, spearman: float | None = None, prices: Prices = (None, None)
    ) -> Frontier:
        """Put two samples together in the same way: halves of these, or the other order, or at another correlation."""
        assumed = self.assumed if spearman is None else Assumption(spearman, spearman, spearman, "given", 0)
        return Frontier(
            primary, backup, self.goal, paired=self._paired, prices=prices, assumed=assumed, seed=self._seed
        )

    @property
    def pairs(self) -> int | None:
        """Return the number of pairs; ``None`` where none were asked for."""
        return self.race.calls if self._paired else None

    def candidates(self, count: int, target_ms: float | None = None) -> list[float]:
        """Return thresholds worth a look: at the primary's own quantiles, evenly up to a target, and never."""
        seen = self.primary.elapsed_ms[self.primary.kinds == ANSWERED]
        share = count if target_ms is None else count // 2
        places = np.concatenate([np.linspace(0.0, 0.98, share - 6), 1.0 - np.geomspace(0.015, 0.001, 6)])
        found = {0.0, *np.quantile(seen, places).tolist()}
        if target_ms is not None:
            # A race that starts at the target is too late to meet it.
            found = {each for each in found if each < target_ms} | {target_ms * step / share for step in range(share)}
        return [*sorted(found), math.inf]

    def choose(self, points: list[Threshold] | None = None) -> Choice | None:
        """Return the threshold that the goal asks for, of ``points`` under a cap; ``None`` if it asks for none."""
        if self.goal.target_ms is not None:
            return self._meeting(self.goal.target_ms)
        if self.goal.max_extra is None:
            return None
        return _within(points or [self.point(each) for each in self.candidates(_FEW_THRESHOLDS)], self.goal.max_extra)

    def _meeting(self, target_ms: float) -> Choice:
        """Return the latest threshold, which is the cheapest, whose misses are few enough, by bound and by point."""
        candidates, allowed = self.candidates(SEARCHED, target_ms), self.goal.allowed
        missed = self.race.misses(np.array(candidates), target_ms)
        highest = wilson(missed, NormalDist().inv_cdf(self.goal.confidence), self.race.calls)[1]
        by_bound = [each for each, bound in zip(candidates, highest, strict=True) if bound <= allowed]
        by_point = [each for each, share in zip(candidates, missed[0], strict=True) if share <= allowed]
        best = candidates[int(np.argmin(missed[0]))]
        return Choice(
            rule=self.goal.rule,
            bound=target_ms,
            chosen=self.point(max(by_bound)) if by_bound else None,
            by_the_point=self.point(max(by_point)) if by_point else None,
            best=None if by_bound else self.point(best),
            unraced=bool(by_bound) and max(by_bound) == np.inf,
        )

    def point(self, threshold_ms: float) -> Threshold:
        """Return a call that races at ``threshold_ms``."""
        raced, target_ms, usd = self.race.at(threshold_ms), self.goal.target_ms, self.prices[1]
        missed = None if target_ms is None else self.race.misses(np.array([threshold_ms]), target_ms)
        races = bool(np.isfinite(threshold_ms))
        extra = self._share(raced.extra[:, None]) if races else Estimate(0.0, 0.0, 0.0)
        (p50_ms, p95_ms, p99_ms), mean_ms = self._latencies(raced, skewed=races)
        return Threshold(
            race_after_ms=float(threshold_ms) if races else None,
            p50_ms=p50_ms,
            p95_ms=p95_ms,
            p99_ms=p99_ms,
            mean_ms=mean_ms,
            extra=extra,
            extra_usd=None if usd is None else _times(extra, usd),
            failed=float(raced.failed[0]),
            misses=None if missed is None else self._share(missed),
            misses_at_most=None if missed is None else self._at_most(missed),
        )

    def _at_most(self, values: Floats) -> float:
        return float(wilson(values, NormalDist().inv_cdf(self.goal.confidence), self.race.calls)[1][0])

    def _deviations(self) -> float:
        return NormalDist().inv_cdf((1.0 + self.goal.confidence) / 2.0)

    def _share(self, values: Floats) -> Estimate:
        low, high = bounds(values, self._deviations(), self.race.calls)
        return Estimate(float(values[0, 0]), float(low[0]), float(high[0]))

    def _latencies(self, raced: Raced, *, skewed: bool) -> tuple[list[Estimate], Estimate]:
        """Return the quantiles and the mean: first on a coarse choice of the edges, then on those in between."""
        size = len(raced.edges_ms)
        if not size:
            unknown = Estimate(None, None, None)
            return [unknown for _ in _SHARES], unknown
        coarse = np.unique(np.linspace(0, size - 1, _COARSE).astype(np.int64))
        waiting = raced.waiting(coarse)
        mean_ms = self._resampled(raced.mean_ms(coarse, waiting))
        reached = self._reached(waiting, raced.edges_ms[coarse] > raced.reach_ms, skewed)
        ends = coarse[np.minimum(reached, len(coarse) - 1)].ravel().tolist()
        begins = coarse[np.maximum(reached - 1, 0)].ravel().tolist()
        between = [np.arange(first, last + 1) for first, last in zip(begins, ends, strict=True)]
        fine = np.unique(np.concatenate(between))
        found = self._reached(raced.waiting(fine), raced.edges_ms[fine] > raced.reach_ms, skewed)
        edges = np.append(raced.edges_ms[fine], np.nan)
        times = np.where(reached < len(coarse), edges[np.minimum(found, len(fine))], np.nan)
        return [Estimate(*(_known(each) for each in row)) for row in times], mean_ms

    def _reached(self, waiting: Floats, unknown: npt.NDArray[np.bool_], skewed: bool) -> Ints:
        """Return for each quantile the first places at which the estimate and both bounds of the share are down to it.

        The number of places stands for "nowhere".
        """
        low, high = bounds(waiting, self._deviations(), self.race.calls, skewed=skewed)
        allowed = np.array([1.0 - share + 1e-9 for share in _SHARES])[:, None, None]
        reached = (np.stack([waiting[0], low, high]) <= allowed) & ~unknown
        return np.asarray(np.where(reached.any(axis=2), reached.argmax(axis=2), len(unknown)), dtype=np.int64)

    def _resampled(self, values: Floats) -> Estimate:
        """Return the figure and the quantiles of its resamples. An end that many of them do not reach is unknown."""
        tail = (1.0 - self.goal.confidence) / 2.0
        known = np.where(np.isnan(values[1:]), np.inf, values[1:])
        low, high = np.quantile(known, [tail, 1.0 - tail], method="nearest")
        return Estimate(_known(values[0]), _known(low), _known(high))


def wilson(values: Floats, deviations: float, calls: int) -> tuple[Floats, Floats]:
    """Return Wilson's interval for shares, so many standard deviations to each side (Wilson 1927).

    ``values`` has a column per share; below the share its resamples, whose variance says how many independent calls
    they are worth. Where they do not vary, as for a share of 0 or 1, that is ``calls``.
    """
    share, worth = _worth(values, calls)
    spread = share * (1.0 - share)
    squared = deviations**2 / worth
    middle = (share + squared / 2.0) / (1.0 + squared)
    half = deviations * np.sqrt(spread / worth + squared / (4.0 * worth)) / (1.0 + squared)
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)


def bounds(values: Floats, deviations: float, calls: int, *, skewed: bool = False) -> tuple[Floats, Floats]:
    """Return Wilson's interval with a lower end that holds for few events, too.

    Wilson's own is too high there (Brown, Cai & DasGupta 2001), and Poisson's, by the formula of Wilson & Hilferty
    (1931), is too low by as much. Half-way between them a 90 % interval of a 95th or 99th percentile covers 90 to 94 %
    from 100 to 800 rows (worked out from the binomial distribution); by Wilson's end alone, 87 to 94 %.

    With ``skewed``, the lower end is no higher than the quantile of the resamples. An assumed correlation makes them
    skewed: if the two links are independent, a share of late calls falls to a fifth, further than the variance says.
    """
    low, high = wilson(values, deviations, calls)
    share, worth = _worth(values, calls)
    events = np.maximum(share * worth, 1e-9)
    root = np.maximum(0.0, 1.0 - 1.0 / (9.0 * events) - deviations / (3.0 * np.sqrt(events)))
    low = 0.5 * (low + np.minimum(low, events * root**3 / worth))
    if skewed:
        low = np.minimum(low, np.quantile(values[1:], NormalDist().cdf(-deviations), axis=0))
    return low, high


def _worth(values: Floats, calls: int) -> tuple[Floats, Floats]:
    """Return the shares, and how many independent calls each is worth by the variance of its resamples."""
    share, variance = np.clip(values[0], 0.0, 1.0), values[1:].var(axis=0)
    spread = share * (1.0 - share)
    varies = (variance > 0.0) & (spread > 0.0)
    return share, np.where(varies, spread / np.where(varies, variance, 1.0), calls)


def _times(share: Estimate, amount: float) -> Estimate:
    return Estimate(*(None if each is None else each * amount for each in (share.value, share.low, share.high)))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _within(points: list[Threshold], max_extra: float) -> Choice:
    """Return the threshold with the best 95th percentile among those that are cheap enough; of equals the cheapest."""
    affordable = [each for each in points if each.extra.value is not None and each.extra.value <= max_extra]
    known = [each for each in affordable if each.p95_ms.value is not None]
    chosen = min(reversed(known), key=lambda each: each.p95_ms.value or 0.0, default=None)
    return Choice(rule="max_extra", bound=max_extra, chosen=chosen, by_the_point=chosen, best=None)
