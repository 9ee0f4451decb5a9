"""Notices for people, and how often: a target that turns out to be out of reach, or capped."""

from __future__ import annotations

import math

from routeware.threshold.facts import LatencyReport, RaceSource
from routeware.threshold.rule import Fit

__all__ = ["Notices", "target_event"]

# Calls without the state after which it is new again.
_NEW_AGAIN = 300
# A fit on a hundred calls may be capped by chance; three in a row are reported.
_CAPPED_FITS = 3
_CAPPED_CALLS = 100
_WORTH_TELLING = 1.1
_HOUR_S = 3600.0


class Notices:
    """Decides which fits are reported.

    Args:
        misses: the share of calls that may miss the target.
    """

    def __init__(self, misses: float) -> None:
        self._worth_telling = _WORTH_TELLING * misses
        self._since_infeasible = self._since_capped = _NEW_AGAIN
        self._capped_fits = 0
        self._told_capped_at = -math.inf

    def look(self, found: Fit, *, calls: int, known: int, now: float) -> bool:
        """Return whether to report a new fit: it has just turned infeasible, or capped.

        Args:
            found: the fit.
            calls: calls since the one before.
            known: first attempts that it was made from.
            now: when it was made, in seconds.
        """
        infeasible = self._infeasible(found.source is RaceSource.INFEASIBLE, calls)
        capped = found.source is RaceSource.CAPPED and found.misses > self._worth_telling
        return self._capped(capped and known >= _CAPPED_CALLS, calls, now) or infeasible

    def _infeasible(self, now_so: bool, calls: int) -> bool:
        if not now_so:
            self._since_infeasible += calls
            return False
        told = self._since_infeasible < _NEW_AGAIN
        self._since_infeasible = 0
        return not told

    def _capped(self, now_so: bool, calls: int, now: float) -> bool:
        """Once per state and hour: a function near its cap would otherwise tell it every few minutes."""
        if not now_so:
            self._since_capped += calls
            self._capped_fits = 0
            return False
        self._capped_fits += 1
        if self._capped_fits < _CAPPED_FITS:
            return False
        new = self._since_capped >= _NEW_AGAIN and now - self._told_capped_at >= _HOUR_S
        self._since_capped = 0
        if new:
            self._told_capped_at = now
        return new


def target_event(report: LatencyReport) -> tuple[str, dict[str, float | None]]:
    """Return the event for a report from :meth:`Learner.call_ended`, and its fields."""
    if report.source is RaceSource.CAPPED:
        return "target_capped", {
            "target_ms": report.target_ms,
            "expected_miss_share": report.expected_miss_share,
            "max_extra_needed": report.max_extra_needed,
        }
    return "target_out_of_reach", {"target_ms": report.target_ms, "best_miss_share": report.best_miss_share}
