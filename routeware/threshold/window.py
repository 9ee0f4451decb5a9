"""The last attempts at a link, kept apart by role: a link may be slower when it is asked because another was slow.

Bounded in number, so that what was long ago is forgotten, and so is memory.
"""

from __future__ import annotations

from collections import deque
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


class Window:
    """The last attempts at one link in one role."""

    __slots__ = ("_attempts", "_failed")

    def __init__(self) -> None:
        # Elapsed seconds, whether it was cut off, when it ended; an elapsed time of None is a failure.
        self._attempts: deque[tuple[float | None, bool, float]] = deque()
        self._failed = 0

    def __len__(self) -> int:
        return len(self._attempts)

    def add(self, elapsed_s: float, ended: Ended, now: float) -> None:
        """Remember an attempt that ended at ``now``, and forget the oldest one where there are too many."""
        if len(self._attempts) == KEPT:
            self._forget_oldest()
        if ended is Ended.FAILED:
            self._failed += 1
            self._attempts.append((None, False, now))
        else:
            self._attempts.append((elapsed_s, ended is Ended.CENSORED, now))

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

    def samples(self, latest: int = KEPT) -> list[tuple[float, bool]]:
        """Elapsed seconds, and whether it was cut off there, of the ``latest`` attempts, without failures."""
        attempts = self._attempts
        chosen = attempts if len(attempts) <= latest else [attempts[at] for at in range(-latest, 0)]
        return [(elapsed_s, cut) for elapsed_s, cut, _ in chosen if elapsed_s is not None]

    def curve(self) -> Curve:
        """The share of attempts that lasts longer than a time; failures left out."""
        return kaplan_meier(self.samples())

    def waiting_curve(self) -> Curve:
        """The share that keeps a call waiting: a failure is gone at once, for the next link follows it."""
        return kaplan_meier(self.samples(), at_once=self.failed_share)

    def _forget_oldest(self) -> None:
        if self._attempts.popleft()[0] is None:
            self._failed -= 1


@attrs.frozen(eq=False)
class LinkHistory:
    """One link's windows: when it was tried first, and when it was tried after or beside another."""

    label: str
    as_primary: Window = attrs.field(factory=Window)
    as_backup: Window = attrs.field(factory=Window)
