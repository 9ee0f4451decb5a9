"""Requests of like size, so that long ones need not wait as short ones do, nor short ones race as long ones do.

Numbers are cut at their quantiles, texts go by value. A size that is not usable has a bucket of its own: it is decided
and counted, and never guessed.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from numbers import Real

import attrs

from routeware.threshold.window import Size

__all__ = ["FEWEST", "MOST", "BucketRange", "Buckets", "checked_size", "find_buckets"]

MOST = 8
"""Buckets that are made at most, the one of unknown sizes not counted."""

FEWEST = 40
"""Calls that a bucket has to have when it is made."""

# Reports show sizes, and a prompt that is passed as one by mistake must not fill the memory.
_LONGEST_TEXT = 64


@attrs.frozen(kw_only=True)
class BucketRange:
    """The sizes in a bucket.

    Attributes:
        above: numbers above this; ``None`` is no bound.
        up_to: numbers up to this; ``None`` is no bound.
        value: the text that they share; "other" for the rarest together, "unknown" where no size was given. ``None``
            for numbers, and where all calls are one bucket.
    """

    above: float | None = None
    up_to: float | None = None
    value: str | None = None


class Buckets:
    """The buckets of sizes.

    Args:
        edges: upper bounds of the ranges of numbers but the last, ascending; ``None`` without any such range.
        values: texts with a bucket of their own.
        other: whether all other sizes that are known share a bucket.

    Attributes:
        ranges: what each bucket holds; the last one is that of unknown sizes.
    """

    __slots__ = ("_by_value", "_edges", "_other", "_unknown", "ranges")

    def __init__(self, edges: Sequence[float] | None, values: Sequence[str] = (), *, other: bool = False) -> None:
        numbers = 0 if edges is None else len(edges) + 1
        bounds = (None, *(edges or ()), None)
        ranges = [BucketRange(above=bounds[at], up_to=bounds[at + 1]) for at in range(numbers)]
        ranges += [BucketRange(value=value) for value in values]
        if other:
            ranges.append(BucketRange(value="other"))
        self._edges = edges
        self._by_value = {value: numbers + place for place, value in enumerate(values)}
        self._unknown = len(ranges)
        self._other = len(ranges) - other
        self.ranges = (*ranges, BucketRange(value="unknown"))

    def __len__(self) -> int:
        return len(self.ranges)

    def place(self, size: Size) -> int:
        """Return the bucket of a size; NaN is unknown."""
        if isinstance(size, float):
            # NaN alone differs from itself.
            if size != size:  # noqa: PLR0124
                return self._unknown
            return self._other if self._edges is None else bisect_left(self._edges, size)
        return self._unknown if size is None else self._by_value.get(size, self._other)


def find_buckets(sizes: Sequence[Size], *, most: int = MOST, fewest: int = FEWEST) -> Buckets | None:
    """Cut sizes into buckets; ``None`` if they don't make two.

    Args:
        sizes: those of the latest calls, as :func:`checked_size` returns them; NaN is unknown, too.
        most: how many buckets there may be.
        fewest: how many of the sizes each has to hold.
    """
    if len(sizes) < 2 * fewest:
        return None
    # NaN alone differs from itself.
    numbers = sorted([size for size in sizes if isinstance(size, float) and size == size])  # noqa: PLR0124
    texts = Counter([size for size in sizes if isinstance(size, str)] if len(numbers) < len(sizes) else ())
    known = len(numbers) + texts.total()
    values, rest = _frequent(texts, most - (len(numbers) >= fewest), fewest)
    edges = _edges(numbers, most - len(values) - (rest > 0), fewest) if len(numbers) >= fewest else None
    if edges is None:
        rest += len(numbers)
    buckets = Buckets(edges, values, other=rest > 0)
    return buckets if len(buckets) > 2 or 0 < known < len(sizes) else None


def checked_size(value: object) -> Size:
    """Return a size that can be used, or ``None``: NaN, infinity and other types are no sizes.

    Texts are cut at 64 characters.
    """
    if isinstance(value, str):
        return sys.intern(value[:_LONGEST_TEXT])
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _frequent(texts: Counter[str], most: int, fewest: int) -> tuple[list[str], int]:
    """Return the texts that have a bucket of their own, and how many calls the others have together."""
    own = [(value, count) for value, count in texts.most_common(most) if count >= fewest]
    rest = texts.total() - sum(count for _, count in own)
    while own and (0 < rest < fewest or (rest and len(own) == most)):
        rest += own.pop()[1]
    return [value for value, _ in own], rest


def _edges(numbers: Sequence[float], most: int, fewest: int) -> list[float]:
    """Return the upper bounds of ranges of equal number, but the last one's; equal sizes stay together."""
    total, made = len(numbers), min(most, len(numbers) // fewest)
    edges, taken = list[float](), 0
    for at in range(1, made):
        edge = numbers[at * total // made - 1]
        end = bisect_right(numbers, edge)
        if end - taken >= fewest and total - end >= fewest:
            edges.append(edge)
            taken = end
    return edges
