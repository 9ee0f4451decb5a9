"""Two corrections by measured outcomes.

The rule takes primary and backup for independent, so more calls may miss than it plans. It buys where its estimate is
best, so more calls may race than it plans.
"""

from __future__ import annotations

from routeware.threshold.facts import Decision, RaceSource

__all__ = ["Correction"]

# Steady enough not to follow chance, quick enough to repair a dependence within some thousand calls.
_STEP = 0.02
_SPEND_STEP = 0.002
_LEAST_SPEND = 0.6
_CORRECTED = frozenset((RaceSource.FITTED, RaceSource.CAPPED))


class Correction:
    """The misses to aim at and the extra attempts to plan with, moved a little by each call.

    Args:
        misses: the share of calls that may miss the target.
        max_extra: extra attempts per call that may be spent.

    Attributes:
        allowed: the share of misses to aim at: 0.4 to 1.6 of ``misses``.
        affordable: the extra attempts to plan with: 0.6 to 1 of ``max_extra``.
    """

    __slots__ = ("_at_cap", "_max_extra", "_target", "affordable", "allowed")

    def __init__(self, misses: float, max_extra: float) -> None:
        self._target, self._max_extra = misses, max_extra
        self.allowed = self._at_cap = misses
        self.affordable = max_extra

    def call_ended(self, decision: Decision, *, missed: bool, extra: bool) -> None:
        """Learn from a call whose outcome is known.

        Not where the rule does not race, nor where its starts are not to be had: a share that is lowered then would
        stay low for long after. Under the cap it may rise again, so that a share that is too low does not keep itself
        in force.

        Args:
            decision: what was decided for it.
            missed: whether it missed the target.
            extra: whether its backup was started.
        """
        if decision.swap or decision.source not in _CORRECTED:
            return
        least, most = self._target * 2 / 5, self._target * 8 / 5
        if decision.source is RaceSource.CAPPED:
            least, most = self._at_cap, max(self._at_cap, self._target)
            # The steepest edge is the one whose estimate was luckiest, so plans are overspent.
            planned = self.affordable + _SPEND_STEP * (self._max_extra - extra)
            self.affordable = min(max(planned, _LEAST_SPEND * self._max_extra), self._max_extra)
        moved = self.allowed + _STEP * self._target * (self._target - missed)
        self.allowed = min(max(moved, least), most)

    def fitted(self, source: RaceSource) -> None:
        """Take note of a new fit: what the cap does not bind, it may correct."""
        if source is not RaceSource.CAPPED:
            self._at_cap = self.allowed
