"""Survival curves on a coarse grid: counts instead of sorting, and a little borrowed where there is little to count.

A target asks only how many attempts last longer than so much of it, so 24 steps from 0 to the target and one for
everything later are enough (Kaplan & Meier 1958 with grouped times; half of those cut off in a step are at risk in it,
Cutler & Ederer 1958).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import attrs

from routeware.threshold.buckets import Buckets
from routeware.threshold.window import CUT, FAILED, Window

__all__ = ["LATE", "STEPS", "Counts", "count", "total", "weighed"]

STEPS = 24
"""Steps from 0 to the target."""

LATE = STEPS
"""The place of what took longer than the target, or was cut off after it."""

_CUT_FROM = LATE + 1
_FAILED = _CUT_FROM + STEPS
_WIDTH = _FAILED + 1
# An answer at the end of a step is in it; who was cut off at the end of a step belongs to the next one.
_NUDGE = (-1e-9, 1e-9)

Weights = Sequence[float]
"""Attempts, whole or in part, that ended in each step; those that were late come last."""


@attrs.frozen(slots=True)
class Counts:
    """How many attempts of a bucket ended in each step of the grid.

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
        """Return the shares that last longer than 0, 1, … steps, failures left out; the last one is what is late.

        Args:
            borrowed: attempts to count in.
        """
        ended = self.ended if borrowed is None else [own + lent for own, lent in zip(self.ended, borrowed, strict=True)]
        at_risk, lasting = sum(ended) + sum(self.cut), 1.0
        shares = [1.0]
        for now, cut in zip(ended[:LATE], self.cut, strict=True):
            exposed = at_risk - cut / 2
            if exposed > 0.0:
                # Parts of attempts do not add up exactly.
                lasting *= max(1.0 - now / exposed, 0.0)
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


def count(window: Window, target_s: float, buckets: Buckets | None) -> list[Counts]:
    """Count the attempts of a window by bucket and step."""
    cells = [0] * (_WIDTH * (1 if buckets is None else len(buckets)))
    scale = STEPS / target_s
    elapsed, kinds = window.columns()
    offsets = [0] * len(kinds) if buckets is None else [_WIDTH * at for at in buckets.places(window.sizes)]
    for elapsed_s, kind, offset in zip(elapsed, kinds, offsets, strict=True):
        if kind == FAILED:
            cells[offset + _FAILED] += 1
            continue
        step = int(elapsed_s * scale + _NUDGE[kind])
        if step >= LATE:
            step = LATE
        elif kind == CUT:
            step += _CUT_FROM
        cells[offset + step] += 1
    return [_of(cells[start : start + _WIDTH]) for start in range(0, len(cells), _WIDTH)]


def total(counts: Sequence[Counts]) -> Counts:
    """Add up the counts of all buckets."""
    if len(counts) == 1:
        return counts[0]
    ended = [sum(each) for each in zip(*(counted.ended for counted in counts), strict=True)]
    cut = [sum(each) for each in zip(*(counted.cut for counted in counts), strict=True)]
    return Counts(ended, cut, sum(counted.failed for counted in counts))


def weighed(survival: Sequence[float], weight: float) -> list[float]:
    """Return a curve as so many attempts, spread over its steps."""
    return [*(weight * (before - after) for before, after in pairwise(survival)), weight * survival[-1]]


def _of(cells: Sequence[int]) -> Counts:
    return Counts(cells[:_CUT_FROM], cells[_CUT_FROM:_FAILED], cells[_FAILED])
