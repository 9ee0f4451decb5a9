"""Points on a frontier, with their intervals, and the choice of one.

Latencies get the interval of their resamples. Shares get Wilson's (1927), at the number of calls that the resamples are
worth: near 5 % the plain interval is too short on the side that matters, because a share that happens to be low looks
more certain than it is.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from routeware.lab.tune_facts import Choice, Estimate, Threshold
from routeware.lab.tune_race import Race

__all__ = ["Frontier", "meeting", "within"]

Floats = npt.NDArray[np.float64]

MISSES = 0.05
"""The share of calls that a 95th percentile lets miss."""


class Frontier:
    """Points over thresholds, with their intervals."""

    def __init__(self, race: Race, target_ms: float | None, confidence: float, usd: float | None) -> None:
        self._race = race
        self._target_ms = target_ms
        self._confidence = confidence
        self._usd = usd

    def point(self, threshold_ms: float) -> Threshold:
        """A call that races at ``threshold_ms``."""
        raced = self._race.at(threshold_ms)
        missed = None if self._target_ms is None else self._race.misses(threshold_ms, self._target_ms)
        extra = self._share(raced.extra) if np.isfinite(threshold_ms) else Estimate(0.0, 0.0, 0.0)
        return Threshold(
            race_after_ms=float(threshold_ms) if np.isfinite(threshold_ms) else None,
            p50_ms=self._estimate(raced.quantile_ms(0.5)),
            p95_ms=self._estimate(raced.quantile_ms(0.95)),
            p99_ms=self._estimate(raced.quantile_ms(0.99)),
            mean_ms=self._estimate(raced.mean_ms()),
            extra=extra,
            extra_usd=None if self._usd is None else _times(extra, self._usd),
            failed=float(raced.failed[0]),
            misses=None if missed is None else self._share(missed),
            misses_at_most=None if missed is None else self.at_most(missed),
        )

    def misses(self, threshold_ms: float, target_ms: float) -> tuple[float, float]:
        """The share of misses, and its upper bound."""
        missed = self._race.misses(threshold_ms, target_ms)
        return float(missed[0]), self.at_most(missed)

    def at_most(self, values: Floats) -> float:
        """The one-sided upper bound of a share whose resamples these are."""
        return wilson(values, NormalDist().inv_cdf(self._confidence), self._race.calls)[1]

    def _share(self, values: Floats) -> Estimate:
        low, high = wilson(values, NormalDist().inv_cdf((1.0 + self._confidence) / 2.0), self._race.calls)
        return Estimate(float(values[0]), low, high)

    def _estimate(self, values: Floats) -> Estimate:
        """The figure, and between which ends its resamples lie. An end that many of them do not reach is unknown."""
        tail = (1.0 - self._confidence) / 2.0
        known = np.where(np.isnan(values[1:]), np.inf, values[1:])
        low, high = np.quantile(known, [tail, 1.0 - tail], method="nearest")
        return Estimate(_known(values[0]), _known(low), _known(high))


def wilson(values: Floats, deviations: float, calls: int) -> tuple[float, float]:
    """Wilson's interval for a share, so many standard deviations to each side (Wilson 1927).

    Args:
        values: the share, and then its resamples: their variance says how many independent calls they are worth.
        deviations: of the normal distribution.
        calls: how many calls there are, for a share of 0 or 1, whose resamples do not vary.
    """
    share, variance = float(np.clip(values[0], 0.0, 1.0)), float(values[1:].var())
    worth = share * (1.0 - share) / variance if variance > 0.0 and 0.0 < share < 1.0 else calls
    squared = deviations**2 / worth
    middle = (share + squared / 2.0) / (1.0 + squared)
    half = deviations * np.sqrt(share * (1.0 - share) / worth + squared / (4.0 * worth)) / (1.0 + squared)
    return max(0.0, middle - float(half)), min(1.0, middle + float(half))


def _times(share: Estimate, amount: float) -> Estimate:
    return Estimate(*(None if each is None else each * amount for each in (share.value, share.low, share.high)))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def meeting(frontier: Frontier, candidates: list[float], target_ms: float) -> Choice:
    """The latest threshold, which is the cheapest, whose misses are few enough: by the bound, and by the point."""
    shares = [frontier.misses(each, target_ms) for each in candidates]
    by_bound = [each for each, (_, bound) in zip(candidates, shares, strict=True) if bound <= MISSES]
    by_point = [each for each, (share, _) in zip(candidates, shares, strict=True) if share <= MISSES]
    best = candidates[int(np.argmin([share for share, _ in shares]))]
    return Choice(
        rule="target_p95",
        bound=target_ms,
        chosen=frontier.point(max(by_bound)) if by_bound else None,
        by_the_point=frontier.point(max(by_point)) if by_point else None,
        best=None if by_bound else frontier.point(best),
        unraced=bool(by_bound) and max(by_bound) == np.inf,
    )


def within(points: list[Threshold], max_extra: float) -> Choice:
    """The threshold with the best 95th percentile among those that are cheap enough; of equals the cheapest."""
    affordable = [each for each in points if each.extra.value is not None and each.extra.value <= max_extra]
    known = [each for each in affordable if each.p95_ms.value is not None]
    chosen = min(reversed(known), key=lambda each: each.p95_ms.value or 0.0, default=None)
    return Choice(rule="max_extra", bound=max_extra, chosen=chosen, by_the_point=chosen, best=None)
