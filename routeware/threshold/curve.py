"""Who has not answered yet: a survival curve, from observations of which some were cut off (Kaplan & Meier 1958).

An attempt that was cut off says only that it would have taken longer. Left out, the slow ones would be missing; counted
as answered, they would look fast. Here they count among those at risk until they were cut, and are gone after.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

__all__ = ["Curve", "kaplan_meier"]

# Products of many fractions miss the share that they mean by less than this.
_ROUNDING = 1e-9


class Curve:
    """The share of attempts that last longer than a time.

    Attributes:
        longest_s: the longest that was observed, cut off or not; 0 without observations. Beyond it nothing is known.
    """

    __slots__ = ("_at_risk", "_ended", "_offset", "_times", "longest_s")

    def __init__(
        self,
        times: Sequence[float],
        ended: Sequence[float],
        at_risk: Sequence[int],
        longest_s: float,
        offset: float = 0.0,
    ) -> None:
        self._times = times
        self._ended = ended
        self._at_risk = at_risk
        self._offset = offset
        self.longest_s = longest_s

    def beyond(self, time_s: float) -> float:
        """The share that lasts longer than ``time_s``, 0 to 1; past the longest observation, the share there."""
        place = bisect_right(self._times, time_s)
        return 1.0 - (self._ended[place - 1] if place else self._offset)

    def variance(self, time_s: float) -> float:
        """The variance of :meth:`beyond` as an estimate (Greenwood 1926); 0 where it is 0, for want of a better one."""
        place = bisect_right(self._times, time_s)
        share = self.beyond(time_s)
        return share * share * sum(1.0 / (n * (n - 1)) for n in self._at_risk[:place] if n > 1)

    def quantile(self, share: float) -> float | None:
        """The time in seconds by which ``share`` (0 to 1) have answered; ``None`` where the data do not reach it."""
        place = bisect_left(self._ended, share - _ROUNDING)
        return self._times[place] if place < len(self._times) else None


def kaplan_meier(samples: Iterable[tuple[float, bool]], *, at_once: float = 0.0) -> Curve:
    """The curve of ``samples``: pairs of elapsed seconds and whether they were cut off there, in any order.

    Args:
        samples: what was observed. At equal times, answers come before cuts: who was cut there had not answered.
        at_once: a further share, 0 to 1, that is gone from the start.
    """
    ordered = sorted(samples)
    at_risk = len(ordered)
    scale = 1.0 - at_once
    times: list[float] = []
    ended: list[float] = []
    risks: list[int] = []
    lasting = 1.0
    for elapsed_s, cut in ordered:
        if not cut:
            lasting *= 1.0 - 1.0 / at_risk
            times.append(elapsed_s)
            ended.append(at_once + scale * (1.0 - lasting))
            risks.append(at_risk)
        at_risk -= 1
    return Curve(times, ended, risks, ordered[-1][0] if ordered else 0.0, at_once)
