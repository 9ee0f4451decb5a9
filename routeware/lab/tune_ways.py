"""The ways to serve the calls: as it is now, raced, and with the two links swapped.

Often the cheapest answer is to swap: for half of the pairs of hosted models the backup alone meets a target that the
primary needs 30 % extra attempts for.
"""

from __future__ import annotations

import math

from routeware.lab.tune_facts import Choice, Estimate, Threshold, Way
from routeware.lab.tune_links import Goal, Links, Prices, choose, frontier_of

__all__ = ["ways_of"]


def ways_of(links: Links, goal: Goal, prices: Prices, never: Threshold, choice: Choice | None) -> tuple[Way, ...]:
    """Return what the calls are like now, raced, with the links swapped, and swapped and raced.

    A way that would not meet the goal is left out, but for the two that need no threshold.
    """
    free = Estimate(0.0, 0.0, 0.0)
    kept, swapped = (links.primary.label, links.backup.label), (links.backup.label, links.primary.label)
    ways = [_way("now", kept, never, goal, free)]
    if (result := _raced(choice)) is not None:
        ways.append(_way("race", kept, result, goal, _more(result, prices, None)))
    other, back = links.again(links.backup, links.primary, None), prices.swapped()
    alone = frontier_of(other, goal, back).point(math.inf)
    ways.append(_way("swap", swapped, alone, goal, _more(alone, back, prices)))
    if choice is not None and not ways[-1].meets and (result := _raced(choose(other, goal, back))) is not None:
        ways.append(_way("swap_and_race", swapped, result, goal, _more(result, back, prices)))
    return tuple(ways)


def _way(name: str, order: tuple[str, str], result: Threshold, goal: Goal, more: Estimate | None) -> Way:
    return Way(name=name, first=order[0], second=order[1], result=result, meets=_meets(result, goal), more_usd=more)


def _raced(choice: Choice | None) -> Threshold | None:
    """Return the chosen threshold, unless it is never."""
    chosen = None if choice is None else choice.chosen
    return None if chosen is None or chosen.race_after_ms is None else chosen


def _meets(point: Threshold, goal: Goal) -> bool | None:
    """Return whether a call meets the goal; ``None`` without one. A cap on spending is met by never racing."""
    if goal.target_ms is None:
        return None if goal.max_extra is None else (point.extra.value or 0.0) <= goal.max_extra
    return (point.misses_at_most or 0.0) <= goal.allowed


def _more(point: Threshold, prices: Prices, before: Prices | None) -> Estimate | None:
    """Return dollars per call more than now: those of the backups, and where the order changes those of the first."""
    base = 0.0
    if before is not None:
        if prices.primary_usd is None or before.primary_usd is None:
            return None
        base = prices.primary_usd - before.primary_usd
    if not point.extra.value:
        return Estimate(base, base, base)
    usd = prices.backup_usd
    if usd is None:
        return None
    extra = (point.extra.value, point.extra.low, point.extra.high)
    return Estimate(*(None if each is None else base + each * usd for each in extra))
