"""The latest attempts at a link, and the share of them that lasts longer than a time.

The attempts are kept apart by role: a link may be slower when it is tried because another was slow. Bounded in number,
so that old attempts are forgotten and memory stays small. Columns of plain numbers take a quarter of the space that a
tuple per attempt would.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from math import inf, isnan, nan

import attrs

__all__ = [
    "ANSWERED",
    "CUT",
    "FAILED",
    "KEPT",
    "KEPT_BACKUPS",
    "Curve",
    "LinkHistory",
    "Observation",
    "Size",
    "Window",
    "kaplan_meier",
]

# Products of many fractions miss the share that they mean by less than this.
_ROUNDING = 1e-9


class Curve:
    """The share of attempts that last longer than a time.

    Attributes:
        longest_s: the longest that was observed, cut off or not; 0 without observations. Beyond it nothing is known.
    """

    __slots__ = ("_answered", "_ended", "longest_s")

    def __init__(self, answered: list[float], ended: list[float], longest_s: float) -> None:
        self._answered = answered
        self._ended = ended
        self.longest_s = longest_s

    def beyond(self, time_s: float) -> float:
        """Return the share that lasts longer than ``time_s``, 0 to 1; past the longest observation, the share there."""
        place = bisect_right(self._answered, time_s)
        return 1.0 - (self._ended[place - 1] if place else 0.0)

    def quantile(self, share: float) -> float | None:
        """Return the seconds by which a ``share`` (0 to 1) has answered; ``None`` if the data don't reach it."""
        place = bisect_left(self._ended, share - _ROUNDING)
        return self._answered[place] if place < len(self._answered) else None


def kaplan_meier(answered: Iterable[float], cut: Iterable[float] = ()) -> Curve:
    """Estimate the curve of attempts that were observed for these times, in any order.

    Args:
        answered: how long those took that answered.
        cut: how long those lasted that were cut off. At equal times, answers come first: what was cut had not answered.
    """
    answers, cuts = sorted(answered), sorted(cut)
    at_risk, lasting = len(answers) + len(cuts), 1.0
    ended: list[float] = []
    coming = iter(cuts)
    next_cut = next(coming, inf)
    for answered_s in answers:
        while next_cut < answered_s:
            at_risk -= 1
            next_cut = next(coming, inf)
        lasting -= lasting / at_risk
        at_risk -= 1
        ended.append(1.0 - lasting)
    return Curve(answers, ended, max(answers[-1:] + cuts[-1:], default=0.0))


KEPT = 600
"""Attempts that a primary's window remembers."""

KEPT_BACKUPS = 400
"""Attempts that a backup's window remembers."""

ANSWERED, CUT, FAILED = 0, 1, 2
"""The end of an attempt, as the columns hold it."""

Size = float | str | None
"""The size of a request: a finite number, a short text, or ``None`` if it is unknown."""


class Observation(Enum):
    """The end of an attempt, as far as its latency is concerned."""

    ANSWERED = "answered"
    """It took this long."""
    CENSORED = "censored"
    """It was cut off by a lost race, a time-out, the deadline or its caller. It would have taken longer."""
    FAILED = "failed"
    """It was answered by an error, which is not a latency."""


_KIND = {Observation.ANSWERED: ANSWERED, Observation.CENSORED: CUT, Observation.FAILED: FAILED}


class Window:
    """The latest attempts at one link in one role.

    Args:
        kept: how many attempts are remembered.

    Attributes:
        kept: how many attempts are remembered.
        added: attempts since the last one was forgotten before its time, those that were left then included. The next
            one goes to place ``added % kept`` of :meth:`columns`.
        forgotten: how often attempts were forgotten before their time.
    """

    __slots__ = (
        *("_elapsed", "_ended_at", "_failed", "_kinds", "_numbers", "_oldest", "_sizes"),
        *("added", "forgotten", "kept"),
    )

    def __init__(self, kept: int = KEPT) -> None:
        self.kept = kept
        self.added = self.forgotten = 0
        self._elapsed, self._ended_at = array("d"), array("d")
        self._kinds = bytearray()
        # Sizes are numbers, NaN for an unknown one, until the first text turns the column into a list.
        self._numbers = array("d")
        self._sizes: list[Size] | None = None
        # The place of the oldest attempt: the next one goes there once the window is full.
        self._oldest = 0
        self._failed = 0

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, elapsed_s: float, ended: Observation, now: float, size: Size = None) -> None:
        """Remember an attempt that ended at ``now``; forget the oldest one if the window is full.

        Args:
            elapsed_s: how long it took, or how long it had lasted when it was cut off.
            ended: how it ended.
            now: when it ended, in seconds.
            size: the size of its request, as :func:`~routeware.threshold.buckets.checked_size` returns it.
        """
        kind, at = _KIND[ended], self._oldest
        self._failed += kind == FAILED
        self.added += 1
        if len(self._kinds) < self.kept:
            self._elapsed.append(elapsed_s)
            self._kinds.append(kind)
            self._ended_at.append(now)
            at = len(self._kinds) - 1
        else:
            self._failed -= self._kinds[at] == FAILED
            self._elapsed[at], self._kinds[at], self._ended_at[at] = elapsed_s, kind, now
            self._oldest = (at + 1) % self.kept
        self._put_size(at, size)

    def forget_before(self, moment: float, *, but: int = 0) -> None:
        """Forget attempts that ended before ``moment``, except for the latest ``but``."""
        total = len(self)
        if total > but and self._ended_at[self._oldest] < moment:
            recent = sum(ended_at >= moment for ended_at in self._ended_at)
            self.keep_latest(max(recent, but))

    def keep_latest(self, count: int) -> None:
        """Forget all but the latest ``count``."""
        total = len(self)
        if count >= total:
            return
        places = [(self._oldest + at) % total for at in range(total - count, total)]
        self._elapsed = array("d", [self._elapsed[at] for at in places])
        self._ended_at = array("d", [self._ended_at[at] for at in places])
        self._kinds = bytearray([self._kinds[at] for at in places])
        if self._sizes is None:
            self._numbers = array("d", [self._numbers[at] for at in places])
        else:
            self._sizes = [self._sizes[at] for at in places]
        self._oldest = 0
        self._failed = self._kinds.count(FAILED)
        self.added = count
        self.forgotten += 1

    @property
    def failed_share(self) -> float:
        """The share of attempts that failed, 0 to 1."""
        return self._failed / len(self) if self._kinds else 0.0

    @property
    def censored(self) -> int:
        """The number of attempts that were cut off."""
        return self._kinds.count(CUT)

    @property
    def sizes(self) -> list[Size]:
        """The sizes of all attempts, ``None`` if unknown, in the order of :meth:`columns`."""
        return [None if isnan(size) else size for size in self._numbers] if self._sizes is None else self._sizes

    def columns(self) -> tuple[Sequence[float], Sequence[int], Sequence[Size]]:
        """Return elapsed seconds, kinds and sizes of all attempts, in one order that is not the order of time.

        A size that is unknown may be NaN, too.
        """
        return self._elapsed, self._kinds, self._numbers if self._sizes is None else self._sizes

    def latest(self, count: int) -> Iterator[tuple[float, int, Size]]:
        """Yield elapsed seconds, kind and size of the latest ``count`` attempts, the newest first."""
        total = len(self)
        elapsed, kinds, sizes = self.columns()
        for back in range(1, min(count, total) + 1):
            at = (self._oldest - back) % total
            size = sizes[at]
            # NaN alone differs from itself.
            yield elapsed[at], kinds[at], size if size == size else None  # noqa: PLR0124

    def curve(self, latest: int = KEPT) -> Curve:
        """Return the share of the ``latest`` attempts that lasts longer than a time, failures left out."""
        seen = list(self.latest(latest))
        return kaplan_meier(
            (elapsed_s for elapsed_s, kind, _ in seen if kind == ANSWERED),
            (elapsed_s for elapsed_s, kind, _ in seen if kind == CUT),
        )

    def _put_size(self, at: int, size: Size) -> None:
        if self._sizes is None:
            if not isinstance(size, str):
                number = nan if size is None else size
                if at == len(self._numbers):
                    self._numbers.append(number)
                else:
                    self._numbers[at] = number
                return
            self._sizes, self._numbers = self.sizes, array("d")
        self._sizes[at : at + 1] = [size]


@attrs.frozen(eq=False)
class LinkHistory:
    """One link's windows: when it was tried first, and when it was tried after another link or in a race with it."""

    label: str
    as_primary: Window = attrs.field(factory=Window)
    as_backup: Window = attrs.field(factory=lambda: Window(KEPT_BACKUPS))
