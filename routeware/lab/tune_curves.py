"""Survival curves of many resamples at once, and the dependence of two latencies of one request.

A resample of a million latencies is a draw of how many fall into each of some hundred bins, so hundreds of resamples
cost no more than one pass over the data. Row 0 of every array is the sample itself.

The same request tends to be slow at both providers. A file without pairs holds no trace of that, so the dependence has
to be assumed: as a rank correlation (Spearman's), which is the same whatever the latencies' distributions are. The
Gaussian copula with that rank correlation then gives the share of requests that are slow at both.

Sources: Nelsen 2006, An Introduction to Copulas; Drezner & Wesolowsky 1990 (the integral).
"""

from __future__ import annotations

import math

import attrs
import numpy as np
import numpy.typing as npt

from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, Sample

__all__ = [
    "Curves",
    "both_longer",
    "curves",
    "grid_of",
    "normal_quantile",
    "normal_share",
    "pearson",
    "resampled_counts",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_EXACT = 1_200
"""Distinct latencies up to which each has a bin of its own."""
_EVEN = 400
_BEYOND = 100
_TAIL = np.concatenate([np.linspace(0.0, 0.9, 500), 1.0 - np.geomspace(0.1, 1e-6, 400)])
_MOST_BLOCKS = 2_000
_FAILURE_TIMES = 12
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_SCORES = np.linspace(-8.0, 8.0, 16_001)
_SHARES = np.array([0.5 * math.erfc(-score / math.sqrt(2.0)) for score in _SCORES.tolist()])
"""The standard normal distribution, finely enough to interpolate in: to six digits, and both ways."""


def pearson(spearman: Floats | float) -> Floats:
    """Return the correlation of the normal scores that have this rank correlation."""
    return np.asarray(2.0 * np.sin(np.pi * np.asarray(spearman, dtype=np.float64) / 6.0))


def normal_quantile(share: Floats) -> Floats:
    """Return the quantiles of the standard normal distribution, cut at eight deviations."""
    share = np.asarray(share, dtype=np.float64)
    # From the lower half: next to 1, shares lie too close together to tell scores apart.
    found = np.interp(np.minimum(share, 1.0 - share), _SHARES, _SCORES)
    return np.asarray(np.where(share > 0.5, -found, found))


def both_longer(first: Floats, second: Floats, scores: tuple[Floats, Floats], correlation: Floats) -> Floats:
    """Return the share of requests that last longer than a time at one link and than another time at the other.

    ``first`` and ``second`` are the shares at each link, a row per resample; ``scores`` the normal quantiles of what is
    left to 1; ``correlation`` that of the scores (see :func:`pearson`), one per row.
    """
    one, two = scores
    angle = np.arcsin(correlation)[:, None]
    squares, product = one * one + two * two, 2.0 * one * two
    integral = np.zeros_like(first)
    for node, weight in zip(_NODES, _WEIGHTS, strict=True):
        theta = angle * (0.5 * (node + 1.0))
        integral += weight * np.exp((np.sin(theta) * product - squares) / (2.0 * np.cos(theta) ** 2))
    joint = first * second + integral * angle / (4.0 * np.pi)
    return np.asarray(np.clip(joint, 0.0, np.minimum(first, second)))


def normal_share(score: Floats) -> Floats:
    """Return the standard normal distribution's share below each score, exact to six digits."""
    return np.asarray(np.interp(score, _SCORES, _SHARES))


def grid_of(samples: tuple[Sample, ...], target_ms: float | None) -> Floats:
    """Return upper edges of bins in milliseconds, ascending: dense in the tail, exact for small samples."""
    parts = [np.array([] if target_ms is None else [target_ms])]
    for sample in samples:
        seen = np.unique(sample.elapsed_ms[sample.kinds != FAILED])
        parts.append(seen if len(seen) <= _EXACT else np.quantile(seen, _TAIL, method="higher"))
    edges = np.unique(np.concatenate(parts))
    positive = edges[edges > 0]
    if len(positive):  # latencies of nothing at all are one bin
        # A call can last as long as the one link and then the other.
        longest = sum(float(sample.elapsed_ms.max()) for sample in samples)
        beyond = np.geomspace(positive[-1], longest, _BEYOND)
        edges = np.unique(np.concatenate([edges, np.geomspace(positive[0], positive[-1], _EVEN), beyond]))
    return edges


def resampled_counts(bins: Ints, size: int, repeats: int, ordered: bool, random: np.random.Generator) -> Floats:
    """Return how many observations fall into each of ``size`` bins: as they are, and in ``repeats`` resamples.

    Where ``bins`` is in the order of time, blocks are drawn, so that slow spells stay together.
    """
    counts = np.bincount(bins, minlength=size).astype(np.float64)
    if not ordered:
        drawn = random.multinomial(len(bins), counts / len(bins), size=repeats)
        return np.vstack([counts, drawn])
    blocks = min(max(len(bins) // max(round(len(bins) ** (1 / 3)), 1), 1), _MOST_BLOCKS)
    block_of = np.arange(len(bins)) * blocks // len(bins)
    table = np.zeros((blocks, size), dtype=np.float32)
    np.add.at(table, (block_of, bins), 1.0)
    weights = random.multinomial(blocks, np.full(blocks, 1.0 / blocks), size=repeats).astype(np.float32)
    return np.vstack([counts, weights @ table])


@attrs.frozen(eq=False)
class Curves:
    """One link's curves over a grid, one row per resample.

    Attributes:
        lasting: the share of attempts that do not fail and last longer than each edge.
        failing: the share that fails, one column per time in ``failure_ms``.
        reach_ms: up to where ``lasting`` is known; infinite where the longest observation is an answer.
    """

    lasting: Floats
    failing: Floats
    failure_ms: Floats
    attempts: int
    reach_ms: float

    @property
    def failed(self) -> Floats:
        """Return the share that fails, per resample."""
        return np.asarray(self.failing.sum(axis=1))

    def alone(self) -> Curves:
        """Return the sample's own curve, without the resamples."""
        return attrs.evolve(self, lasting=self.lasting[:1], failing=self.failing[:1])

    @property
    def longer(self) -> Floats:
        """Return the share that lasts longer than each edge, among the attempts that do not fail."""
        return np.asarray(self.lasting / np.maximum(1.0 - self.failed, 1e-12)[:, None])


def curves(sample: Sample, grid: Floats, repeats: int, random: np.random.Generator) -> Curves:
    """Return Kaplan and Meier's estimate for ``sample`` and its resamples; failures are a share of their own."""
    size = len(grid)
    failure_ms, failure_bins = _failure_times(sample)
    place = np.minimum(np.searchsorted(grid, sample.elapsed_ms), size - 1)
    bins = np.where(sample.kinds == ANSWERED, place, size + place)
    bins[sample.kinds == FAILED] = 2 * size + failure_bins
    columns = 2 * size + len(failure_ms)
    counts = resampled_counts(bins.astype(np.int64), columns, repeats, sample.ordered, random)
    answered, cut, failed = counts[:, :size], counts[:, size : 2 * size], counts[:, 2 * size :]
    leaving = answered + cut
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1]
    hazard = np.divide(answered, at_risk, out=np.zeros_like(answered), where=at_risk > 0)
    total = counts.sum(axis=1)[:, None]
    failing = np.divide(failed, total, out=np.zeros_like(failed), where=total > 0)
    lasting = np.cumprod(1.0 - hazard, axis=1) * (1.0 - failing.sum(axis=1)[:, None])
    return Curves(lasting, failing, failure_ms, len(sample), _reach_ms(sample))


def _failure_times(sample: Sample) -> tuple[Floats, Ints]:
    """Return a few times at which failures come, and the index of the time for each failure."""
    at = sample.elapsed_ms[sample.kinds == FAILED]
    if not len(at):
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    times = np.unique(np.quantile(at, np.linspace(0.0, 1.0, _FAILURE_TIMES), method="higher"))
    return times, np.searchsorted(times, at).astype(np.int64)


def _reach_ms(sample: Sample) -> float:
    """Return the longest observation if it was cut off: beyond it nothing is known. Otherwise infinity."""
    longest = sample.elapsed_ms[sample.kinds != FAILED].max()
    cut_there = (sample.elapsed_ms == longest) & (sample.kinds == CENSORED)
    return float(longest) if cut_there.any() else float("inf")
