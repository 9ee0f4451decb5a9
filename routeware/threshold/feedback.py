"""Corrections of the rule by measured outcomes, and the tests that tell change from chance.

The rule takes primary and backup for independent, so more calls may miss than it plans. It buys where its estimate is
best, so more calls may race than it plans. And providers change: when to act at once, when to wait, and when a primary
is out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from routeware.threshold.rule import Decision, Fit, RaceSource
from routeware.threshold.window import ANSWERED, CUT, LinkHistory, Size, Window, kaplan_meier

__all__ = ["KEPT_AFTER_CHANGE", "Feedback", "has_slowed", "is_out"]

KEPT_AFTER_CHANGE = 30
"""Attempts that are kept when the earlier ones no longer tell how the link is."""

# Steady enough not to follow chance, quick enough to repair a dependence within some thousand calls.
_STEP = 0.02
_SPEND_STEP = 0.002
_LEAST_SPEND = 0.6

_WATCHED = 40
_ALL = (1 << _WATCHED) - 1
# And one: a false alarm in some hundreds of calls, which costs no more than a fit.
_DEVIATIONS = 2.5

# This many standard deviations are a change and not chance: what was learned before is given up.
_CHANGED = 4.0
_LATEST = 20
_ENOUGH = 60

_OUT, _IN = 0.4, 0.2
_RECENT, _RECENT_PROBES = 40, 20
_FEW_BACKUPS = 20


class Feedback:
    """The misses to aim at and the extra attempts to plan with, moved a little by each call, and the latest misses.

    Args:
        misses: the share of calls that may miss the target.
        max_extra: extra attempts per call that may be spent.

    Attributes:
        allowed: the share of misses to aim at: 0.4 to 1.6 of ``misses``.
        affordable: the extra attempts to plan with: 0.6 to 1 of ``max_extra``.
    """

    __slots__ = ("_at_cap", "_max_extra", "_missed", "_most", "_target", "affordable", "allowed")

    def __init__(self, misses: float, max_extra: float) -> None:
        self._target, self._max_extra = misses, max_extra
        self.allowed = self._at_cap = misses
        self.affordable = max_extra
        # The misses among the last 40 calls, a bit for each, and how many of them are not unusual.
        self._missed, self._most = 0, _not_unusual(misses)

    def call_ended(self, decision: Decision, *, missed: bool, extra: bool) -> bool:
        """Learn from a call whose outcome is known; return whether the last 40 missed the target unusually often.

        Counting begins anew then. ``extra`` says whether its backup was started.
        """
        if not decision.swap:
            self._correct(decision.source, missed, extra)
        self._missed = (self._missed << 1 | missed) & _ALL
        if not missed or self._missed.bit_count() <= self._most:
            return False
        self._missed = 0
        return True

    def fitted(self, found: Fit) -> None:
        """Take note of a new fit: what the cap does not bind, it may correct, and its misses are usual from now on."""
        if found.source is not RaceSource.CAPPED:
            self._at_cap = self.allowed
        # What the target allows always is usual.
        self._most = _not_unusual(min(max(found.misses, self._target), 1.0))

    def _correct(self, source: RaceSource, missed: bool, extra: bool) -> None:
        """Move both shares.

        Not where the rule does not race, nor where its starts are not to be had: a share that is lowered then would
        stay low for long after. Under the cap it may rise again, so that a share that is too low does not keep itself
        in force.
        """
        least, most = self._target * 2 / 5, self._target * 8 / 5
        if source is RaceSource.CAPPED:
            least, most = self._at_cap, max(self._at_cap, self._target)
            # The steepest edge is the one whose estimate was luckiest, so plans are overspent.
            planned = self.affordable + _SPEND_STEP * (self._max_extra - extra)
            self.affordable = min(max(planned, _LEAST_SPEND * self._max_extra), self._max_extra)
        elif source is not RaceSource.FITTED:
            return
        moved = self.allowed + _STEP * self._target * (self._target - missed)
        self.allowed = min(max(moved, least), most)


def _not_unusual(share: float) -> int:
    return math.floor(_WATCHED * share + _DEVIATIONS * math.sqrt(_WATCHED * share * (1.0 - share)) + 1.0)


def has_slowed(
    window: Window, place: Callable[[Size], int], patience_s: Sequence[float], usual: Sequence[float], *, least: float
) -> bool:
    """Return whether the latest attempts take longer than usual far more often than chance allows.

    Judged against what the sizes of these very attempts make usual: twenty long requests in a row are no change.

    Args:
        window: the attempts.
        place: the bucket of a size.
        patience_s: for each bucket the time that counts as long.
        usual: for each bucket the share of attempts that takes longer.
        least: the smallest share that counts as usual.
    """
    if len(window) < _ENOUGH:
        return False
    latest = [(elapsed_s / patience_s[place(size)], kind, size) for elapsed_s, kind, size in window.latest(_LATEST)]
    answered = [lasted for lasted, kind, _ in latest if kind == ANSWERED]
    cut = [lasted for lasted, kind, _ in latest if kind == CUT]
    if not answered and not cut:
        # Errors are no latencies: a link that only fails has not become slow.
        return False
    expected = sum(usual[place(size)] for _, _, size in latest) / _LATEST
    slow = kaplan_meier(answered, cut).beyond(1.0)
    deviation = math.sqrt(max(expected, least) * (1.0 - expected) / _LATEST)
    return slow > expected + _CHANGED * deviation


def is_out(primary: LinkHistory, backup: LinkHistory, target_s: float, *, swapped: bool) -> bool:
    """Return whether the backup should be tried first: the primary is late often, and twice as often as its backup.

    Where the backup is tried first already (``swapped``), coming back takes fewer late attempts.
    """
    other = backup.as_primary if swapped and len(backup.as_primary) >= _FEW_BACKUPS else backup.as_backup
    if len(other) < _FEW_BACKUPS:
        return False
    late = primary.as_primary.curve(_RECENT_PROBES if swapped else _RECENT).beyond(target_s)
    return late >= (_IN if swapped else _OUT) and late >= 2 * other.curve(_RECENT).beyond(target_s)
