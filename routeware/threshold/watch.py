"""What is chance and what is change: when to act at once, when to wait, and when a primary is out."""

from __future__ import annotations

import math

from routeware.threshold.rule import MISSES
from routeware.threshold.window import KEPT, LinkHistory, Window

__all__ = ["KEPT_AFTER_CHANGE", "Alarm", "Outage", "Steady", "has_slowed"]

_WATCHED = 40
_ALL = (1 << _WATCHED) - 1
# And one: a false alarm in some hundreds of calls, which costs no more than a fit.
_DEVIATIONS = 2.5

KEPT_AFTER_CHANGE = 30
"""Attempts that are kept when what came before is another world."""

# A change, not chance: what was learned is given up for it.
_CHANGED = 4.0
_LATEST = 20
_ENOUGH = 60

_FOLLOW = 0.25

_OUT, _IN = 0.4, 0.2
_RECENT, _RECENT_PROBES = 40, 20
_FEW_BACKUPS = 20


class Alarm:
    """Rings when the last 40 calls missed the target unusually often."""

    __slots__ = ("_missed", "_most")

    def __init__(self) -> None:
        self._missed = 0
        self._most = _WATCHED
        self.expect(MISSES)

    def expect(self, share: float) -> None:
        """From now on a share of 0 to 1 is usual; the target's own always is."""
        usual = min(max(share, MISSES), 1.0)
        self._most = math.floor(_WATCHED * usual + _DEVIATIONS * math.sqrt(_WATCHED * usual * (1.0 - usual)) + 1.0)

    def rings(self, missed: bool) -> bool:
        """Count one call; whether there have been too many misses. After that, counting begins anew."""
        self._missed = (self._missed << 1 | missed) & _ALL
        if not missed or self._missed.bit_count() <= self._most:
            return False
        self._missed = 0
        return True


class Steady:
    """A start that follows those found, by less and less: their mean at first, then a quarter of the way."""

    __slots__ = ("_found", "_start_s")

    def __init__(self) -> None:
        self._found = 0
        self._start_s = 0.0

    def forget(self) -> None:
        """What was found before is of another world."""
        self._found = 0

    def toward(self, found_s: float) -> float:
        """The start to use, now that ``found_s`` was found."""
        self._found += 1
        self._start_s += max(_FOLLOW, 1.0 / self._found) * (found_s - self._start_s)
        return self._start_s


def has_slowed(window: Window, patience_s: float) -> bool:
    """Whether the latest attempts take longer than ``patience_s`` far more often than all that are remembered."""
    if len(window) < _ENOUGH:
        return False
    usual = _late(window, KEPT, patience_s)
    deviation = math.sqrt(max(usual, MISSES) * (1.0 - usual) / _LATEST)
    return _late(window, _LATEST, patience_s) > usual + _CHANGED * deviation


class Outage:
    """Whether the primary is out, so that the backup had better be tried first.

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
