"""Races bought where they save most: the lower convex hulls of what starts cost and what they save.

Every bucket of calls offers starts, each with its extra attempts and its misses. The cheapest way to a number of misses
over all buckets takes the edges of their lower convex hulls by slope, steepest first: one more extra attempt then saves
the same share of misses in every bucket (equal slopes, Everett 1963). Pure arithmetic, used online and offline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

import attrs

__all__ = ["Bought", "Point", "Purchase", "Share", "buy", "lower_hull"]

Point = tuple[float, float, "float | None"]
"""Extra attempts and misses as shares of a bucket's calls, if all of them start their backup at the third; ``None`` is
never. The third is only carried along, in whatever unit."""

Share = tuple["float | None", float]
"""When a share of a bucket's calls start their backup (``None`` is never), and the share."""

_EQUAL = 1e-12


@attrs.frozen(slots=True)
class Bought:
    """The starts chosen for one bucket.

    Attributes:
        starts: when its calls start their backup, the earlier start first. Two shares: its calls draw lots.
        misses: the share of its calls that misses.
        extra: the share of its calls that starts a backup.
    """

    starts: tuple[Share, ...]
    misses: float
    extra: float


@attrs.frozen(slots=True)
class Purchase:
    """The chosen starts of all buckets.

    Attributes:
        buckets: what was bought for each. At most one bucket draws lots.
        misses: the share of all calls that misses.
        extra: the share of all calls that starts a backup.
        capped: whether ``max_extra`` ended it, before the misses were few enough.
    """

    buckets: tuple[Bought, ...]
    misses: float
    extra: float
    capped: bool


def lower_hull(points: Iterable[Point]) -> list[Point]:
    """Return the lower convex hull, from the cheapest point to the one with the fewest misses (Andrew 1979).

    Args:
        points: by ascending extra attempts. Of equal cost, the later one has to be as good as the one before.
    """
    hull: list[Point] = []
    slopes: list[float] = []
    for point in points:
        extra, misses, _ = point
        while hull:
            before_extra, before_misses, _ = hull[-1]
            saved, cost = before_misses - misses, extra - before_extra
            if saved <= _EQUAL:
                break
            if cost > _EQUAL and (not slopes or saved < slopes[-1] * cost):
                slopes.append(saved / cost)
                hull.append(point)
                break
            # The one before costs as much and saves less, or a mixture of its neighbours does better.
            hull.pop()
            if slopes:
                slopes.pop()
        if not hull:
            hull.append(point)
    return hull


def buy(
    offers: Sequence[Sequence[Point]],
    weights: Sequence[float],
    *,
    allowed: float,
    max_extra: float = inf,
    least_slope: float = 0.0,
    lots: bool = True,
    hulls: Sequence[Sequence[Point]] | None = None,
) -> Purchase:
    """Buy edges of all hulls, steepest first, until few enough calls miss or too many race; the last one in part.

    Args:
        offers: the starts of each bucket, by ascending extra attempts. The first one is taken if nothing is bought.
        weights: the buckets' shares of the calls; their sum is 1.
        allowed: misses to end at, as a share of all calls.
        max_extra: extra attempts to end at, as a share of all calls.
        least_slope: misses that an extra attempt has to save.
        lots: whether the last edge may be bought in part. Otherwise the nearest start that is offered is taken.
        hulls: the lower hulls of ``offers``, if they are known.
    """
    hulls = [lower_hull(each) for each in offers] if hulls is None else hulls
    bought = [Bought(((hull[0][2], 1.0),), hull[0][1], hull[0][0]) for hull in hulls]
    misses = sum(weight * each.misses for weight, each in zip(weights, bought, strict=True))
    extra = sum(weight * each.extra for weight, each in zip(weights, bought, strict=True))
    capped = extra > max_extra
    for steepness, bucket, end in () if capped else _edges(hulls):
        if misses <= allowed + _EQUAL or steepness <= least_slope:
            break
        weight, before, after = weights[bucket], hulls[bucket][end - 1], hulls[bucket][end]
        saving, affordable = _part(misses - allowed, weight * (before[1] - after[1])), max_extra - extra
        part = min(1.0, saving, _part(affordable, weight * (after[0] - before[0])))
        capped = part < min(1.0, saving)
        if part < 1.0 and not lots:
            last = _nearest(offers[bucket], before, after, part, capped)
        else:
            last = _mixed(before, after, part)
        misses -= weight * (bought[bucket].misses - last.misses)
        extra -= weight * (bought[bucket].extra - last.extra)
        bought[bucket] = last
        if part < 1.0:
            break
    return Purchase(tuple(bought), misses, extra, capped)


def _edges(hulls: Sequence[Sequence[Point]]) -> list[tuple[float, int, int]]:
    """Return slope, bucket and end of all edges, steepest first; those of one hull stay in order."""
    edges = [
        ((hull[end - 1][1] - hull[end][1]) / (hull[end][0] - hull[end - 1][0]), bucket, end)
        for bucket, hull in enumerate(hulls)
        for end in range(1, len(hull))
    ]
    edges.sort(key=lambda edge: -edge[0])
    return edges


def _part(left: float, whole: float) -> float:
    return left / whole if whole > 0.0 else inf


def _mixed(before: Point, after: Point, part: float) -> Bought:
    """Return a share ``part`` at the one start, and the rest of the bucket at the other."""
    shares = ((after[2], part), (before[2], 1.0 - part))
    extra, misses = before[0] + part * (after[0] - before[0]), before[1] + part * (after[1] - before[1])
    return Bought(tuple([each for each in shares if each[1] > 0.0]), misses, extra)


def _nearest(offered: Sequence[Point], before: Point, after: Point, part: float, capped: bool) -> Bought:
    """Return the cheapest start that saves as much as a part of an edge would; under a cap, the best that it allows."""
    wanted, affordable = before[1] - part * (before[1] - after[1]), before[0] + part * (after[0] - before[0])
    between = [point for point in offered if before[0] <= point[0] <= after[0]]
    if capped:
        extra, misses, start_s = min((point for point in between if point[0] <= affordable), key=lambda point: point[1])
    else:
        extra, misses, start_s = next(point for point in between if point[1] <= wanted + _EQUAL)
    return Bought(((start_s, 1.0),), misses, extra)
