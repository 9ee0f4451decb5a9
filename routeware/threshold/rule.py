"""The rule: when a backup has to start, so that no more than an allowed share of calls misses the target.

With X the primary's latency, Y the backup's, S(t) = P(X > t), T the target: a call that starts its backup at d misses
where X > T and Y > T - d. Where the two are independent, the latest d that allows a share ``a`` of misses is
T - Q_Y(1 - a / S(T)); the latest is the cheapest, for S falls.
"""

from __future__ import annotations

import math

import attrs

from routeware.threshold.curve import Curve
from routeware.threshold.facts import RaceSource

__all__ = ["MISSES", "Fit", "fit"]

MISSES = 0.05
"""The share of calls that a 95th percentile lets miss."""

_GRID = 24
_SURE = 0.7
"""Standard deviations: three times of four."""
_PRICE = 0.03
"""Saved calls that an extra attempt has to be worth where a target cannot be met: it is not bought at any price."""


@attrs.frozen(slots=True)
class Fit:
    """What the rule found.

    Attributes:
        race_after_s: when the backup starts; ``None`` is not at all.
        share: the share of calls that are to race there, 0 to 1.
        source: which case of the rule it was.
        best: the smallest share of misses that racing could reach.
        expected: the share of misses that this start leads to, were the two independent.
    """

    race_after_s: float | None
    share: float
    source: RaceSource
    best: float
    expected: float


def fit(
    primary: Curve,
    backup: Curve,
    failing: float,
    target_s: float,
    *,
    allowed: float,
    max_extra: float,
    at_most_s: float,
) -> Fit:
    """The start that meets the target at the least expense, or comes nearest to it.

    Args:
        primary: the share of first attempts that keep a call waiting.
        backup: the share of backups that have not answered, failures left out.
        failing: the share of backups that fail. It counts where it is asked whether the target can be met, and not in
            the start: there it overspends, and the correction of ``allowed`` repairs what is missing.
        target_s: the 95th percentile to reach, in seconds.
        allowed: the share of misses to aim at, 0 to 1.
        max_extra: extra attempts per call that may be spent, 0 to 1.
        at_most_s: the latest start.
    """
    late = primary.beyond(target_s)
    # A backup that was never watched for so long has not been shown to be too slow.
    slow = backup.beyond(target_s) if backup.longest_s >= target_s else 0.0
    unsaved = failing + (1.0 - failing) * slow
    best = late * unsaved
    if late <= MISSES:
        return Fit(None, 0.0, RaceSource.NONE, best, late)
    if best > MISSES and best - _SURE * _deviation(primary, backup, failing, target_s) > MISSES:
        source, price = RaceSource.INFEASIBLE, _PRICE
    else:
        start_s = _latest(backup, 1.0 - allowed / late, target_s, at_most_s)
        if primary.beyond(start_s) <= max_extra:
            return Fit(start_s, 1.0, RaceSource.FITTED, best, late * backup.beyond(target_s - start_s))
        source, price = RaceSource.CAPPED, 0.0
    found = _within(primary, backup, target_s, max_extra=max_extra, at_most_s=at_most_s, price=price)
    if found is None:
        return Fit(None, 0.0, source, best, late)
    return Fit(found.start_s, found.share, source, best, late - found.saved)


def _deviation(primary: Curve, backup: Curve, failing: float, target_s: float) -> float:
    """What chance may have done to the smallest share of misses, as a standard deviation."""
    late, answering = primary.beyond(target_s), 1.0 - failing
    unsaved = failing + answering * backup.beyond(target_s)
    return math.sqrt(unsaved**2 * primary.variance(target_s) + (late * answering) ** 2 * backup.variance(target_s))


def _latest(backup: Curve, saved: float, target_s: float, at_most_s: float) -> float:
    """The latest start after which a share ``saved`` of backups answers before the target."""
    needed_s = backup.quantile(saved)
    if needed_s is None:
        # All that is known of the rest is that they take longer than the longest that was seen.
        needed_s = backup.longest_s
    return min(max(target_s - needed_s, 0.0), at_most_s)


@attrs.frozen(slots=True)
class _Start:
    """A start, the share of calls that race there, and the share of all calls that this saves."""

    start_s: float
    share: float
    saved: float


def _within(
    primary: Curve, backup: Curve, target_s: float, *, max_extra: float, at_most_s: float, price: float = 0.0
) -> _Start | None:
    """The start that saves most within ``max_extra``, each extra attempt counted as ``price`` saved calls.

    Racing all calls late enough to be affordable wastes the backups that then come too late; a part of the calls that
    races earlier saves more. An attempt started at d costs S(d) of a call and saves P(Y <= T - d) of a late one.
    """
    late, best, best_gain = primary.beyond(target_s), None, 0.0
    latest_s = min(target_s, at_most_s)
    for step in range(_GRID + 1):
        start_s = latest_s * step / _GRID
        racing = primary.beyond(start_s)
        share = 1.0 if racing <= max_extra else max_extra / racing
        saved = share * late * (1.0 - backup.beyond(target_s - start_s))
        gain = saved - price * share * racing
        if gain > best_gain:
            best, best_gain = _Start(start_s, share, saved), gain
    return best
