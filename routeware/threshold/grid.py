"""Survival curves on a coarse grid: counts instead of sorting, and a little borrowed where there is little to count.

A target asks only how many attempts last longer than so much of it, so 24 steps from 0 to the target and one for
everything later are enough (Kaplan & Meier 1958 with grouped times; half of those cut off in a step are at risk in it,
Cutler & Ederer 1958).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import pairwise
from operator import add

import attrs

from routeware.threshold.buckets import Buckets
from routeware.threshold.window import CUT, FAILED, Window

__all__ = ["LATE", "STEPS", "Counts", "WindowCounts", "total", "weighed"]

STEPS = 24
"""Steps from 0 to the target."""

LATE = STEPS
"""The place of what took longer than the target, or was cut off after it."""

_CUT_FROM = LATE + 1
_FAILED = _CUT_FROM + STEPS
_WIDTH = _FAILED + 1
_NOWHERE = 0xFFFF
# An answer at the end of a step is in it; an attempt that was cut off at the end of a step belongs to the next one.
_NUDGE = (-1e-9, 1e-9)

Weights = Sequence[float]
"""Attempts, whole or in part, that ended in each step; those that were late come last."""


@attrs.frozen(slots=True)
class Counts:
    """The number of a bucket's attempts that ended in each step of the grid.

    Attributes:
        ended: answered in each step, and late.
        cut: cut off in each step.
        failed: answered by an error.
    """

    ended: Sequence[int]
    cut: Sequence[int]
    failed: int

    @property
    def lasting(self) -> int:
        """Attempts that have a latency."""
        return sum(self.ended) + sum(self.cut)

    @property
    def attempts(self) -> int:
        """All attempts."""
        return self.lasting + self.failed

    def survival(self, borrowed: Weights | None = None) -> list[float]:
        """Return the shares that last longer than 0, 1, … steps, failures left out; the last one is what is late."""
        ended = self.ended if borrowed is None else list(map(add, self.ended, borrowed))
        at_risk, lasting = sum(ended) + sum(self.cut), 1.0
        shares = [1.0]
        # The late ones, which come last, have no step to be cut off in.
        for now, cut in zip(ended, self.cut, strict=False):
            if now:
                exposed = at_risk - cut / 2
                # Parts of attempts do not add up exactly.
                lasting = lasting * (1.0 - now / exposed) if exposed > now else 0.0
            at_risk -= now + cut
            shares.append(lasting)
        return shares

    def variance(self) -> float:
        """Return the variance of the late share as an estimate (Greenwood 1926)."""
        at_risk, summed = float(self.lasting), 0.0
        for now, cut in zip(self.ended[:LATE], self.cut, strict=True):
            exposed = at_risk - cut / 2
            if exposed > now:
                summed += now / (exposed * (exposed - now))
            at_risk -= now + cut
        return self.survival()[LATE] ** 2 * summed


class WindowCounts:
    """The counts of one window, kept up to date: counting 600 attempts at every fit would be most of its cost."""

    __slots__ = ("_buckets", "_cells", "_forgotten", "_places", "_scale", "_seen", "_window")

    def __init__(self, window: Window, target_s: float) -> None:
        self._window = window
        self._scale = STEPS / target_s
        self._buckets: Buckets | None = None
        # Which cell each attempt is counted in, by its place in the window.
        self._places = array("H")
        self._cells = [0] * _WIDTH
        self._seen = self._forgotten = 0

    def by_bucket(self, buckets: Buckets | None) -> list[Counts]:
        """Return the counts for each bucket; ``None`` is one for all."""
        window = self._window
        if buckets is not self._buckets or window.forgotten != self._forgotten:
            self._buckets, self._forgotten = buckets, window.forgotten
            self._seen, self._places = 0, array("H")
            self._cells = [0] * (_WIDTH * (1 if buckets is None else len(buckets)))
        self._count(range(max(self._seen, window.added - window.kept), window.added))
        self._seen = window.added
        cells = self._cells
        return [_of(cells[start : start + _WIDTH]) for start in range(0, len(cells), _WIDTH)]

    def _count(self, added: range) -> None:
        """Count these attempts in, and out the ones whose places they took."""
        cells, places, kept = self._cells, self._places, self._window.kept
        elapsed, kinds, sizes = self._window.columns()
        # A place that was not counted yet: a window that is filled anew is counted from its beginning.
        if len(places) < len(kinds):
            places.extend([_NOWHERE] * (len(kinds) - len(places)))
        scale, place = self._scale, None if self._buckets is None else self._buckets.place
        for number in added:
            at = number % kept
            kind = kinds[at]
            if kind == FAILED:
                cell = _FAILED
            else:
                cell = int(elapsed[at] * scale + _NUDGE[kind])
                if cell >= LATE:
                    cell = LATE
                elif kind == CUT:
                    cell += _CUT_FROM
            if place is not None:
                cell += _WIDTH * place(sizes[at])
            if places[at] != _NOWHERE:
                cells[places[at]] -= 1
            cells[cell] += 1
            places[at] = cell


def total(counts: Sequence[Counts]) -> Counts:
    """Add up the counts of all buckets."""
    if len(counts) == 1:
        return counts[0]
    ended = [sum(each) for each in zip(*(counted.ended for counted in counts), strict=True)]
    cut = [sum(each) for each in zip(*(counted.cut for counted in counts), strict=True)]
    return Counts(ended, cut, sum(counted.failed for counted in counts))


def weighed(survival: Sequence[float], weight: float) -> list[float]:
    """Return a curve as that number of attempts, spread over its steps."""
    return [*(weight * (before - after) for before, after in pairwise(survival)), weight * survival[-1]]


def _of(cells: Sequence[int]) -> Counts:
    return Counts(cells[:_CUT_FROM], cells[_CUT_FROM:_FAILED], cells[_FAILED])
