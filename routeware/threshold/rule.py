"""The rule: when the backups of each bucket of calls have to start, so that few enough of all calls miss the target.

With X the primary's latency, Y the backup's, S(t) = P(X > t), T the target: a call that starts its backup at d costs
S(d) extra attempts, and misses where X > T and Y > T - d. Where the two are independent that is S(T) · P(Y > T - d).
The misses are one budget for all buckets (Kaler, He & Elnikety 2017 for a single one): it is spent where the last extra
attempt saves most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import attrs

from routeware.policy import LatencyRules
from routeware.threshold.grid import LATE, STEPS, Counts, total, weighed
from routeware.threshold.hull import Bought, Point, buy, lower_hull

__all__ = ["Bucket", "Decision", "Fit", "Goal", "RaceSource", "fit", "goal_of", "prior"]

_BORROWED = 20.0
"""Attempts that each bucket borrows from all, and that the primary's curve lends to the backup's."""
_FEW_BACKUPS = 20
_FEW_FOR_P99 = 90
_LATEST_STEP = 22
"""The latest start, in steps: it saves few calls from being late and nearly all of the tail.

"Never" would cost less and lose the tail. A start at the target itself costs as much as this one, and leaves the 99th
percentile 2 % higher (with a second mode 5 %).
"""
_SURE = 0.7
"""Standard deviations: three times of four."""
_PRICE = 0.03
"""Saved calls that an extra attempt has to be worth where a target can't be met: it is not bought at any price."""


class RaceSource(StrEnum):
    """The source of a race threshold."""

    FIXED = "fixed"
    """The policy's ``race_after_ms``, and no target."""
    PRIOR = "prior"
    """Too little is known yet: ``race_after_ms``, or half the target."""
    FITTED = "fitted"
    """The starts that meet the target at the least expense."""
    CAPPED = "capped"
    """``max_extra`` does not allow those starts: it is spent where it saves most."""
    EXPLORED = "explored"
    """This call races at once, so that the backup is known before it is needed."""
    NONE = "none"
    """The primary meets the target alone."""
    INFEASIBLE = "infeasible"
    """No start meets the target."""


@attrs.frozen(slots=True)
class Decision:
    """The decision for one call.

    Attributes:
        race_after_s: when the backup starts, in seconds after the latest start; ``None`` is not at all.
        source: where that came from.
        swap: whether the first two links of the chain change places.
    """

    race_after_s: float | None
    source: RaceSource
    swap: bool = False


@attrs.frozen(slots=True)
class Goal:
    """The goal of the rule.

    Attributes:
        target_s: the time that calls are to keep, in seconds.
        misses: the share of calls that may miss it: 0.05 for a 95th percentile.
        at_most_s: the latest start, in seconds.
        few: first attempts below which nothing is fitted.
        lots: whether calls of one bucket may start at two moments, at random.
    """

    target_s: float
    misses: float
    at_most_s: float
    few: int = 30
    lots: bool = True


@attrs.frozen(slots=True)
class Bucket(Bought):
    """The rule's result for one bucket; its misses are those of independent links.

    Attributes:
        weight: its share of the calls.
        calls: how many of its calls are remembered.
        late: the share of its calls that is late without racing.
        backup: the shares of its backups that have not answered after 0, 1, … steps.
    """

    weight: float
    calls: int
    late: float
    backup: Sequence[float]


@attrs.frozen(slots=True)
class Fit:
    """The rule's result.

    Attributes:
        source: which case of the rule it was.
        buckets: what it found for each bucket.
        best: the smallest share of misses that racing could reach.
        misses: the share of calls that misses with these starts, were primary and backup independent.
        extra: extra attempts per call.
        needed: extra attempts per call that would meet the target; ``None`` if none would.
    """

    source: RaceSource
    buckets: tuple[Bucket, ...]
    best: float
    misses: float
    extra: float
    needed: float | None = None


def goal_of(rules: LatencyRules) -> Goal:
    """Return the goal that a policy's rules set.

    Raises:
        ValueError: there is no target.
    """
    if rules.target_ms is None:
        raise ValueError("a threshold can be learned for a target, and with a backup")
    target_s = rules.target_ms / 1000
    bound_s = target_s if rules.race_after_ms is None else min(rules.race_after_ms / 1000, target_s)
    if rules.target_p99_ms is None:
        return Goal(target_s, misses=0.05, at_most_s=bound_s)
    # One in a hundred is the tail itself, so no call of a bucket is left to a later start by lot.
    return Goal(target_s, misses=0.01, at_most_s=bound_s, few=_FEW_FOR_P99, lots=False)


def prior(start_s: float | None, goal: Goal) -> Fit:
    """Return what is done while too little is known: all backups start at ``start_s``; ``None`` is never."""
    bucket = Bucket(((start_s, 1.0),), goal.misses, 0.0, 1.0, 0, 0.0, [1.0] * (STEPS + 1))
    return Fit(RaceSource.PRIOR, (bucket,), 0.0, goal.misses, 0.0)


_Curves = tuple[Sequence[float], Sequence[float]]
"""Shares of a bucket after 0, 1, … steps: calls that the primary keeps waiting, and backups without an answer."""


def fit(primary: Sequence[Counts], backup: Sequence[Counts], goal: Goal, *, allowed: float, max_extra: float) -> Fit:
    """Find the starts that meet the goal at the least expense, or come nearest to it.

    Aims at the share ``allowed`` of misses, and spends no more than ``max_extra`` extra attempts per call.
    """
    whole = total(primary)
    weights = [counted.attempts / max(whole.attempts, 1) for counted in primary]
    curves = _curves(primary, whole, backup)
    late = sum(weight * waiting[LATE] for weight, (waiting, _) in zip(weights, curves, strict=True))
    best, deviation = _best(late, whole, total(backup))
    never: list[Point] = [(0.0, waiting[LATE], None) for waiting, _ in curves]
    points = [_points(each, goal) for each in curves]
    needed = None
    if late <= goal.misses:
        source, bought = RaceSource.NONE, buy([[point] for point in never], weights, allowed=1.0)
    elif best > goal.misses and best - _SURE * deviation > goal.misses:
        source = RaceSource.INFEASIBLE
        offers = [[none, *offered] for none, offered in zip(never, points, strict=True)]
        bought = buy(offers, weights, allowed=0.0, max_extra=max_extra, least_slope=_PRICE, lots=goal.lots)
    else:
        hulls = [lower_hull(each) for each in points]
        source, bought = RaceSource.FITTED, buy(points, weights, allowed=allowed, lots=goal.lots, hulls=hulls)
        needed = bought.extra
        if needed > max_extra:
            offers = [[none, *offered] for none, offered in zip(never, points, strict=True)]
            # What lies above a hull lies above that hull with one point more: hulls are most of what a fit costs.
            hulls = [lower_hull([none, *hull]) for none, hull in zip(never, hulls, strict=True)]
            bought = buy(offers, weights, allowed=allowed, max_extra=max_extra, lots=goal.lots, hulls=hulls)
            source = RaceSource.CAPPED if bought.capped else RaceSource.FITTED
    rows = zip(primary, weights, curves, bought.buckets, strict=True)
    found = tuple(
        Bucket(each.starts, each.misses, each.extra, weight, counted.attempts, waiting[LATE], unanswered)
        for counted, weight, (waiting, unanswered), each in rows
    )
    return Fit(source, found, best, bought.misses, bought.extra, needed)


def _curves(primary: Sequence[Counts], whole: Counts, backup: Sequence[Counts]) -> list[_Curves]:
    """Return each bucket's curves. Few attempts tell little of a tail, so each curve borrows from a broader one.

    The primary's curve replaces the backup's, however many backups there are: one that is raced late is cut off
    early and never seen to take long, and the rule would end by giving up racing permanently.
    """
    common = whole.survival()
    lent = None if len(primary) == 1 else weighed(common, _BORROWED)
    unanswered = total(backup).survival(weighed(common, _BORROWED))
    backup_lent = weighed(unanswered, _BORROWED)
    failing, calls = whole.failed, max(whole.attempts, 1)
    curves: list[_Curves] = []
    everyone: _Curves | None = None
    for first, second in zip(primary, backup, strict=True):
        if len(primary) > 1 and not first.attempts and not second.attempts:
            # Nothing of its own: the curve of all.
            everyone = everyone or ([(1.0 - failing / calls) * share for share in common], unanswered)
            curves.append(everyone)
            continue
        failed = (first.failed + _BORROWED * failing / calls) / (first.attempts + _BORROWED)
        lasting = first.survival(lent)
        curves.append(([(1.0 - failed) * share for share in lasting], second.survival(backup_lent)))
    return curves


def _best(late: float, whole: Counts, backup: Counts) -> tuple[float, float]:
    """Return the smallest share of misses that racing could reach, and what chance may have done to it.

    Failing backups count here and not in the start: there they overspend, and the correction of ``allowed`` repairs
    what is missing.
    """
    if backup.attempts < _FEW_BACKUPS:
        # Too few to judge: the primary's curve is used instead, and a target is not given up for that.
        return late * late, math.inf
    failing = backup.failed / backup.attempts
    # A backup that was never watched for so long has not been shown to be too slow.
    slow = backup.survival()[LATE] if backup.ended[LATE] else 0.0
    answering = 1.0 - failing
    unsaved = failing + answering * slow
    variance = unsaved**2 * whole.variance() + (late * answering) ** 2 * backup.variance()
    return late * unsaved, math.sqrt(variance)


def _points(curves: _Curves, goal: Goal) -> list[Point]:
    """Return what each start costs and leaves, the latest first."""
    waiting, unanswered = curves
    late, step_s = waiting[LATE], goal.target_s / STEPS
    latest = min(goal.at_most_s / step_s, float(_LATEST_STEP))
    below = math.floor(latest)
    points: list[Point] = []
    if latest > below:
        points.append((_between(waiting, latest), late * _between(unanswered, STEPS - latest), goal.at_most_s))
    points += [(waiting[step], late * unanswered[STEPS - step], step * step_s) for step in range(below, -1, -1)]
    return points


def _between(curve: Sequence[float], place: float) -> float:
    before = min(math.floor(place), len(curve) - 2)
    return curve[before] + (place - before) * (curve[before + 1] - curve[before])
