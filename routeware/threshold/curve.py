"""A survival curve: the share of attempts without an answer after a time (Kaplan & Meier 1958).

An attempt that was cut off says only that it would have taken longer. Left out, the slow ones would be missing; counted
as answered, they would look fast. Here they count among those at risk until they were cut, and are gone after.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from math import inf

__all__ = ["Curve", "kaplan_meier"]

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
