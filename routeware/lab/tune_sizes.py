"""Thresholds per size, which share one budget of misses.

One threshold for all requests wastes races on requests that are long by nature, and a budget of misses per size does
not repair it: some sizes need no race, and what they do not miss is worth more elsewhere. So the misses are bought
where they are cheapest: of each size the lower convex hull of (extra attempts, misses) over the thresholds, and of all
hulls the edges by their slope. The hull and the purchase are those of the online learner.

Sources: Kaler, He & Elnikety 2017, Optimal reissue policies; Everett 1963 (one multiplier for many choices).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from routeware.lab.tune_facts import Bucket, Sizes, Tuning
from routeware.lab.tune_frontier import Frontier, Goal
from routeware.lab.tune_race import pairs_of
from routeware.lab.tune_samples import Sample
from routeware.text import visible
from routeware.threshold.buckets import BucketRange, find_buckets
from routeware.threshold.hull import Bought, Point, buy

__all__ = ["with_sizes"]

Ints = npt.NDArray[np.int64]

_STEPS = 48
_ALLOWED = {"target_p95": 0.05, "target_p99": 0.01}


def with_sizes(tuning: Tuning, primary: Sample, backup: Sample, column: str) -> Tuning:
    """Return ``tuning`` with thresholds per size; a ``ValueError`` if the rows do not bear more than one size."""
    choice = tuning.choice
    assert choice is not None
    assert tuning.target_ms is not None
    paired = tuning.pairs is not None
    if paired:
        ours, theirs = pairs_of(primary, backup)
        primary, backup = _rows(primary, ours), _rows(backup, theirs)
    buckets = find_buckets(primary.sizes)
    if buckets is None:
        raise ValueError(f"{column} does not divide the rows of {primary.label} into sizes of 40 rows or more")
    at = np.array([buckets.place(size) for size in primary.sizes])
    its = np.array([buckets.place(size) for size in backup.sizes])
    used = [place for place in range(len(buckets)) if (at == place).any()]
    offers = []
    for place in used:
        same = np.flatnonzero(its == place)
        # Where the backup has no row of this size, all of its rows stand for it.
        second = _rows(backup, same if len(same) else np.arange(len(backup)))
        offers.append(_offers(_rows(primary, np.flatnonzero(at == place)), second, tuning))
    weights = [float((at == place).mean()) for place in used]
    allowed = _ALLOWED[choice.rule]
    bought = buy(offers, weights, allowed=allowed, lots=choice.rule == "target_p95")
    rows = [
        _bucket(_name(buckets.ranges[place]), int((at == place).sum()), offer, each)
        for place, offer, each in zip(used, offers, bought.buckets, strict=True)
    ]
    after_ms, extra = _single(offers, weights, allowed)
    return attrs.evolve(
        tuning,
        sizes=Sizes(
            column=column,
            buckets=tuple(rows),
            misses=bought.misses,
            extra=bought.extra,
            one_threshold_ms=after_ms,
            one_extra=extra,
        ),
    )


def _offers(primary: Sample, backup: Sample, tuning: Tuning) -> list[Point]:
    """Return the starts of one size, from never to at once, each with its extra attempts and its misses."""
    target_ms, paired = tuning.target_ms or 0.0, tuning.pairs is not None
    spearman = None if tuning.correlation is None else tuning.correlation.spearman
    race = Frontier(primary, backup, Goal(target_ms=target_ms), paired=paired, correlation=spearman).race
    starts = np.linspace(0.0, target_ms, _STEPS, endpoint=False)[::-1]
    misses = race.misses(np.append(starts, math.inf), target_ms)[0].tolist()
    raced = [
        (float(race.at(start).extra[0]), late, start) for start, late in zip(starts.tolist(), misses, strict=False)
    ]
    never = (0.0, misses[-1], None)
    return [never, *raced]


def _single(
    offers: Sequence[Sequence[Point]], weights: Sequence[float], allowed: float
) -> tuple[float | None, float | None]:
    """Return the latest threshold that misses as rarely if all sizes race at it, and its extra attempts."""
    for points in zip(*offers, strict=True):
        extra, misses = (sum(w * point[of] for w, point in zip(weights, points, strict=True)) for of in (0, 1))
        if misses <= allowed and points[0][2] is not None:
            return points[0][2], extra
    return None, None


def _bucket(name: str, calls: int, offer: Sequence[Point], bought: Bought) -> Bucket:
    return Bucket(
        name=name,
        calls=calls,
        late=offer[0][1],
        starts=bought.starts,
        misses=bought.misses,
        extra=bought.extra,
    )


def _name(sizes: BucketRange) -> str:
    if sizes.value is not None:
        return visible(sizes.value)
    if sizes.above is None and sizes.up_to is None:
        return "all numbers"
    if sizes.above is None:
        return f"up to {sizes.up_to:g}"
    return f"above {sizes.above:g}" if sizes.up_to is None else f"{sizes.above:g} to {sizes.up_to:g}"


def _rows(sample: Sample, rows: Ints) -> Sample:
    return attrs.evolve(
        sample,
        elapsed_ms=sample.elapsed_ms[rows],
        kinds=sample.kinds[rows],
        keys=tuple(sample.keys[row] for row in rows) if sample.keys else (),
        sizes=tuple(sample.sizes[row] for row in rows),
        ordered=False,
    )
