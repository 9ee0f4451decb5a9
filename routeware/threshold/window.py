"""The last attempts at a link, kept apart by role: a link may be slower when it is asked because another was slow.

Bounded in number, so that what was long ago is forgotten, and so is memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum

import attrs

from routeware.threshold.curve import Curve, kaplan_meier

__all__ = ["Ended", "LinkHistory", "Window"]

KEPT = 300
"""Attempts that a window remembers."""


class Ended(Enum):
    """How an attempt came to its end, as far as its latency is concerned."""

    ANSWERED = "answered"
    """It took this long."""
    CENSORED = "censored"
    """It was cut off: by a lost race, a time-out, the deadline or its caller. It would have taken longer."""
    FAILED = "failed"
    """It was answered by an error, which is no latency."""


_Seen = tuple[float, bool | None, float]
"""Elapsed seconds, whether it was cut off (``None`` for a failure), and when it ended: plain, for it is read often."""

_CUT = {Ended.ANSWERED: False, Ended.CENSORED: True, Ended.FAILED: None}


class Window:
    """The last attempts at one link in one role."""

    __slots__ = ("_attempts", "_failed")

    def __init__(self) -> None:
        self._attempts: deque[_Seen] = deque()
        self._failed = 0

    def __len__(self) -> int:
        return len(self._attempts)

    def add(self, elapsed_s: float, ended: Ended, now: float) -> None:
        """Remember an attempt that ended at ``now``, and forget the oldest one where there are too many."""
        if len(self._attempts) == KEPT:
            self._forget_oldest()
        self._failed += ended is Ended.FAILED
        self._attempts.append((elapsed_s, _CUT[ended], now))

    def forget_before(self, moment: float) -> None:
        """Forget what ended before ``moment``."""
        attempts = self._attempts
        while attempts and attempts[0][2] < moment:
            self._forget_oldest()

    def keep_latest(self, count: int) -> None:
        """Forget all but the latest ``count``."""
        while len(self._attempts) > count:
            self._forget_oldest()

    @property
    def failed_share(self) -> float:
        """The share of attempts that failed, 0 to 1."""
        return self._failed / len(self._attempts) if self._attempts else 0.0

    def curve(self, latest: int = KEPT) -> Curve:
        """The share of the ``latest`` attempts that lasts longer than a time; failures left out."""
        attempts = list(self._attempts)[-latest:]
        return kaplan_meier(_answered(attempts), _cut(attempts))

    def waiting_curve(self) -> Curve:
        """The share that keeps a call waiting: a failure is gone at once, for the next link follows it."""
        attempts = self._attempts
        return kaplan_meier(_answered(attempts), _cut(attempts), at_once=self.failed_share)

    @property
    def censored(self) -> int:
        """How many were cut off."""
        return len(_cut(self._attempts))

    def _forget_oldest(self) -> None:
        self._failed -= self._attempts.popleft()[1] is None


def _answered(attempts: Iterable[_Seen]) -> list[float]:
    return [elapsed_s for elapsed_s, cut, _ in attempts if cut is False]


def _cut(attempts: Iterable[_Seen]) -> list[float]:
    return [elapsed_s for elapsed_s, cut, _ in attempts if cut]


@attrs.frozen(eq=False)
class LinkHistory:
    """One link's windows: when it was tried first, and when it was tried after or beside another."""

    label: str
    as_primary: Window = attrs.field(factory=Window)
    as_backup: Window = attrs.field(factory=Window)
