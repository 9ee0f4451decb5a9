"""Who has not answered yet: a survival curve, from observations of which some were cut off (Kaplan & Meier 1958).

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

    __slots__ = ("_answered", "_cut", "_ended", "_offset", "longest_s")

    def __init__(self, answered: list[float], cut: list[float], ended: list[float], offset: float) -> None:
        self._answered = answered
        self._cut = cut
        self._ended = ended
        self._offset = offset
        self.longest_s = max(answered[-1] if answered else 0.0, cut[-1] if cut else 0.0)

    def beyond(self, time_s: float) -> float:
        """The share that lasts longer than ``time_s``, 0 to 1; past the longest observation, the share there."""
        place = bisect_right(self._answered, time_s)
        return 1.0 - (self._ended[place - 1] if place else self._offset)

    def variance(self, time_s: float) -> float:
        """The variance of :meth:`beyond` as an estimate (Greenwood 1926); 0 where it is 0, for want of a better one."""
        total = len(self._answered) + len(self._cut)
        steps = enumerate(self._answered[: bisect_right(self._answered, time_s)])
        at_risk = [total - before - bisect_left(self._cut, answered_s) for before, answered_s in steps]
        return self.beyond(time_s) ** 2 * sum(1.0 / (n * (n - 1)) for n in at_risk if n > 1)

    def quantile(self, share: float) -> float | None:
        """The time in seconds by which ``share`` (0 to 1) have answered; ``None`` where the data do not reach it."""
        place = bisect_left(self._ended, share - _ROUNDING)
        return self._answered[place] if place < len(self._answered) else None


def kaplan_meier(answered: Iterable[float], cut: Iterable[float] = (), *, at_once: float = 0.0) -> Curve:
    """The curve of attempts that were observed for so many seconds, in any order.

    Args:
        answered: how long those took that answered.
        cut: how long those lasted that were cut off. At equal times, answers come first: who was cut had not answered.
        at_once: a further share, 0 to 1, that is gone from the start.
    """
    answers, cuts = sorted(answered), sorted(cut)
    at_risk, lasting = len(answers) + len(cuts), 1.0 - at_once
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
    return Curve(answers, cuts, ended, at_once)
