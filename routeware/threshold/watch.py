"""Telling change from chance: when to act at once, when to wait, and when a primary is out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from routeware.threshold.curve import kaplan_meier
from routeware.threshold.window import ANSWERED, CUT, LinkHistory, Size, Window

__all__ = ["KEPT_AFTER_CHANGE", "MissDetector", "Outage", "has_slowed"]

_WATCHED = 40
_ALL = (1 << _WATCHED) - 1
# And one: a false alarm in some hundreds of calls, which costs no more than a fit.
_DEVIATIONS = 2.5

KEPT_AFTER_CHANGE = 30
"""Attempts that are kept when the earlier ones no longer tell how the link is."""

# This many standard deviations are a change and not chance: what was learned before is given up.
_CHANGED = 4.0
_LATEST = 20
_ENOUGH = 60

_OUT, _IN = 0.4, 0.2
_RECENT, _RECENT_PROBES = 40, 20
_FEW_BACKUPS = 20


class MissDetector:
    """Rings when the last 40 calls missed the target unusually often.

    Args:
        usual: the share of misses that the target allows.
    """

    __slots__ = ("_least", "_missed", "_most")

    def __init__(self, usual: float) -> None:
        self._missed = 0
        self._least = usual
        self._most = _WATCHED
        self.expect(usual)

    def expect(self, share: float) -> None:
        """Take a share of 0 to 1 for usual from now on; what the target allows always is."""
        usual = min(max(share, self._least), 1.0)
        self._most = math.floor(_WATCHED * usual + _DEVIATIONS * math.sqrt(_WATCHED * usual * (1.0 - usual)) + 1.0)

    def rings(self, missed: bool) -> bool:
        """Count one call; return whether there have been too many misses. Counting then begins anew."""
        self._missed = (self._missed << 1 | missed) & _ALL
        if not missed or self._missed.bit_count() <= self._most:
            return False
        self._missed = 0
        return True


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


class Outage:
    """The state of an outage, in which the backup is tried first.

    Attributes:
        swapped: whether it is.
    """

    def __init__(self, target_s: float) -> None:
        self._target_s = target_s
        self.swapped = False

    def look(self, primary: LinkHistory, backup: LinkHistory) -> bool:
        """Decide anew, from the latest attempts: the primary is late often, and twice as often as its backup."""
        other = backup.as_primary if self.swapped and len(backup.as_primary) >= _FEW_BACKUPS else backup.as_backup
        recent = _RECENT_PROBES if self.swapped else _RECENT
        late = _late(primary.as_primary, recent, self._target_s)
        known = len(other) >= _FEW_BACKUPS
        self.swapped = (
            known and late >= (_IN if self.swapped else _OUT) and late >= 2 * _late(other, _RECENT, self._target_s)
        )
        return self.swapped


def _late(window: Window, latest: int, target_s: float) -> float:
    return window.curve(latest).beyond(target_s)
