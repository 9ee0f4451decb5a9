"""Racing at a threshold, as a call sees it: the distribution of its latency, its share of misses, its extra attempts.

There are two ways to compute it: from the curve of each link and an assumed dependence, or from pairs of latencies that
belong together, as rows of one prompt do. Both answer the same questions for all resamples at once. Row 0 of every
array is the sample itself.

The dependence is assumed, given, or learned from calls that raced. These show how often both links were late. The
curves of the links and a rank correlation predict that share, so the correlation that predicts what happened is the one
to go by. It also makes up for what the curves get wrong: in production a backup is only ever seen on slow requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs
import numpy as np
import numpy.typing as npt

from routeware.lab.tune_curves import Curves, both_longer, normal_quantile, pearson
from routeware.lab.tune_facts import Assumption
from routeware.lab.tune_samples import CENSORED, FAILED, RacedCalls, Sample

__all__ = ["Paired", "Race", "Raced", "Unpaired", "assumption", "pairs_of", "spearmans"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SIDE = 100
_EXACT_PAIRS = 4_000
_ASSUMED = 0.5
"""The rank correlation that is taken for granted by default: cautious. The median of 626 pairs of hosted models over
identical prompts was 0.42, nine in ten lay between 0.06 and 0.68 (computed from BFCL-Result, July 2024)."""
_RANGE = (0.05, 0.75)
"""Between these, nine in ten correlations are taken to lie: a little wider than they did."""
_FEWEST_RACED = 200
"""Raced calls from which they correct the assumption: 5 % of fewer are a matter of chance."""
_TRIED = np.linspace(-0.6, 0.95, 63)
_STARTS = 25
_DEVIATIONS = 1.645


@attrs.frozen(eq=False)
class Raced:
    """A call that races at one threshold.

    Attributes:
        edges_ms: times, ascending.
        waiting: returns the share of calls that last longer than the edges at the given places, one row per resample.
        reach_ms: beyond this time nothing is known.
        extra: the share of calls in which a backup starts before the primary has ended, per resample.
        failed: the share of calls that never get an answer, per resample.
    """

    edges_ms: Floats
    waiting: Callable[[Ints], Floats]
    reach_ms: float
    extra: Floats
    failed: Floats

    def mean_ms(self, places: Ints, waiting: Floats) -> Floats:
        """Return the mean over calls that are answered; NaN where the longest of them are not known.

        ``waiting`` are the shares at some places of the edges, the last one among them.
        """
        if self.edges_ms[-1] > self.reach_ms:
            return np.full(len(waiting), np.nan)
        answered = np.hstack([(1.0 - self.failed)[:, None], waiting - self.failed[:, None]])
        widths = np.diff(self.edges_ms[places], prepend=0.0)
        known = answered[:, -1] < 1e-9
        with np.errstate(divide="ignore", invalid="ignore"):
            area = (0.5 * (answered[:, :-1] + answered[:, 1:])) @ widths
            return np.where(known, area / (1.0 - self.failed), np.nan)


class Race(Protocol):
    """Two links that are raced against each other; ``calls`` is the number of calls of each that this rests on."""

    calls: int

    def at(self, threshold_ms: float) -> Raced:
        """Return a call that starts the backup after ``threshold_ms``; infinity means never."""
        ...

    def misses(self, thresholds_ms: Floats, target_ms: float) -> Floats:
        """Return the share of calls that take longer than ``target_ms``: a column per threshold, a row per resample."""
        ...


class Unpaired:
    """Two links of which no pairs are known, with an assumed rank correlation (see :mod:`routeware.lab.tune_curves`).

    A call still waits at t if the primary does and the backup, started at d, has not answered within t - d. A primary
    that fails before d is followed by the backup at once; failures are taken to be independent of latencies.

    Both curves are over ``grid``. There is a correlation per row: what is uncertain about it varies by resample.
    """

    def __init__(self, primary: Curves, backup: Curves, grid: Floats, spearman: Floats) -> None:
        self.calls = min(primary.attempts, backup.attempts)
        self._primary = primary
        self._backup = backup
        self._grid = grid
        self._correlation = pearson(spearman)
        everyone = np.ones((len(backup.lasting), 1))
        self._x = np.hstack([everyone, primary.longer])
        self._y = np.hstack([everyone, backup.longer])
        self._x_scores, self._y_scores = normal_quantile(1.0 - self._x), normal_quantile(1.0 - self._y)

    def at(self, threshold_ms: float) -> Raced:
        """Return a call that starts the backup after ``threshold_ms``; infinity means never."""
        reach_ms = min(self._primary.reach_ms, threshold_ms + self._backup.reach_ms)
        extra = self._in_flight(threshold_ms) if threshold_ms < np.inf else np.zeros(len(self._x))
        failed = self._primary.failed * self._backup.failed

        def waiting(places: Ints) -> Floats:
            return self._waiting(threshold_ms, self._grid[places])

        return Raced(self._grid, waiting, reach_ms, extra, failed)

    def misses(self, thresholds_ms: Floats, target_ms: float) -> Floats:
        """Return the share of calls that take longer than ``target_ms``: a column per threshold, a row per resample."""
        return self._waiting(thresholds_ms, np.full(len(thresholds_ms), target_ms))

    def _waiting(self, threshold_ms: float | Floats, times: Floats) -> Floats:
        primary, backup = self._places(times), self._places(times - threshold_ms)
        x, y = self._x[:, primary], self._y[:, backup]
        scores = self._x_scores[:, primary], self._y_scores[:, backup]
        answering = (1.0 - self._backup.failed)[:, None]
        both = answering * both_longer(x, y, scores, self._correlation) + (1.0 - answering) * x
        waiting = (1.0 - self._primary.failed)[:, None] * both
        for step, failure_ms in enumerate(self._primary.failure_ms):
            since = self._places(times - np.minimum(failure_ms, threshold_ms))
            waiting += self._primary.failing[:, step : step + 1] * (answering * self._y[:, since] + 1.0 - answering)
        return np.asarray(waiting)

    def _in_flight(self, threshold_ms: float) -> Floats:
        late_failures = self._primary.failing[:, self._primary.failure_ms > threshold_ms].sum(axis=1)
        place = self._places(np.array([threshold_ms]))[0]
        return np.asarray((1.0 - self._primary.failed) * self._x[:, place] + late_failures)

    def _places(self, times: Floats) -> Ints:
        """Return the columns of the curves at these times; column 0 is before any answer."""
        return np.where(times < 0, 0, np.searchsorted(self._grid, times, side="right"))


def assumption(
    given: float | None, raced: RacedCalls | None, curves: tuple[Curves, Curves], grid: Floats, target_ms: float | None
) -> Assumption:
    """Return the rank correlation to go by, and the range in which nine in ten would lie.

    What the user has given is taken to be certain. Calls that raced are compared at the target, or at their 90th
    percentile.
    """
    if given is not None:
        return Assumption(given, given, given, "given", 0)
    count = 0 if raced is None else len(raced)
    if raced is None or count < _FEWEST_RACED:
        return Assumption(_ASSUMED, *_RANGE, "assumed", count)
    at_ms = target_ms if target_ms is not None else float(np.quantile(raced.latency_ms, 0.9, method="lower"))
    late = float((raced.latency_ms > at_ms).mean())
    error = _DEVIATIONS * np.sqrt(max(late * (1.0 - late), 1.0 / count) / count)
    starts = np.quantile(raced.after_ms, (np.arange(_STARTS) + 0.5) / _STARTS)
    predicted = np.array([_predicted(curves, grid, starts, at_ms, tried) for tried in _TRIED])
    low, middle, high = (float(np.interp(share, predicted, _TRIED)) for share in (late - error, late, late + error))
    return Assumption(middle, low, high, "raced", count)


def _predicted(curves: tuple[Curves, Curves], grid: Floats, starts: Floats, at_ms: float, spearman: float) -> float:
    race = Unpaired(curves[0].alone(), curves[1].alone(), grid, np.array([spearman]))
    late = race.misses(starts, at_ms)[0].tolist()
    shares = [each / max(race.at(start).extra[0], 1e-9) for each, start in zip(late, starts.tolist(), strict=True)]
    return float(np.mean(shares))


def spearmans(assumed: Assumption, repeats: int, random: np.random.Generator) -> Floats:
    """Return the rank correlation for the sample and for each resample: an uncertain one differs between them."""
    deviations = random.standard_normal(repeats) / _DEVIATIONS
    below, above = assumed.spearman - assumed.low, assumed.high - assumed.spearman
    drawn = assumed.spearman + deviations * np.where(deviations < 0.0, below, above)
    return np.asarray(np.clip(np.concatenate([[assumed.spearman], drawn]), -0.95, 0.95))


def pairs_of(primary: Sample, backup: Sample) -> tuple[Ints, Ints]:
    """Return the places of rows that belong together: the n-th row of a key on one side with the n-th on the other."""
    waiting: dict[str, list[int]] = {}
    for place, key in reversed(list(enumerate(backup.keys))):
        waiting.setdefault(key, []).append(place)
    found = [(place, waiting[key].pop()) for place, key in enumerate(primary.keys) if waiting.get(key)]
    both = np.array(found, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


class Paired:
    """Pairs of latencies that belong together. Many pairs are gathered into cells of which each stands for its mean.

    An attempt that was cut off counts as one that never answers: how long it would have taken is not in the data, and
    this is the cautious choice.
    """

    def __init__(self, primary: Sample, backup: Sample, repeats: int, random: np.random.Generator) -> None:
        ours, theirs = pairs_of(primary, backup)
        if not len(ours):
            raise ValueError(f"no row of {primary.label} has a partner among those of {backup.label}")
        self.calls = len(ours)
        x, y = _waits(primary, ours), _waits(backup, theirs)
        kinds = 2 * (primary.kinds[ours] == FAILED) + (backup.kinds[theirs] == FAILED)
        if len(ours) <= _EXACT_PAIRS:
            counts = np.ones(len(ours))
            self._x, self._y = x, y
            self._primary_fails, self._backup_fails = kinds >= 2, kinds % 2 == 1
        else:
            codes = (_cells(x) * (_SIDE + 2) + _cells(y)) * 4 + kinds
            found, which, cells = np.unique(codes, return_inverse=True, return_counts=True)
            counts = cells.astype(np.float64)
            self._x = np.bincount(which, weights=x) / counts
            self._y = np.bincount(which, weights=y) / counts
            self._primary_fails, self._backup_fails = found % 4 >= 2, found % 2 == 1
        drawn = random.multinomial(self.calls, counts / self.calls, size=repeats)
        self._weights = np.vstack([counts, drawn]) / self.calls

    def at(self, threshold_ms: float) -> Raced:
        """Return a call that starts the backup after ``threshold_ms``; infinity means never."""
        latency = self._latency(threshold_ms)
        order = np.argsort(latency, kind="stable")
        order = order[np.isfinite(latency[order])]
        edges, last = np.unique(latency[order][::-1], return_index=True)
        waiting = 1.0 - np.cumsum(self._weights[:, order], axis=1)[:, len(order) - 1 - last]
        failed = self._weights @ ~np.isfinite(latency)
        extra = self._weights @ (self._x > threshold_ms)
        return Raced(edges, lambda places: waiting[:, places], np.inf, np.asarray(extra), np.asarray(failed))

    def misses(self, thresholds_ms: Floats, target_ms: float) -> Floats:
        """Return the share of calls that take longer than ``target_ms``: a column per threshold, a row per resample."""
        late = [self._weights @ (self._latency(each) > target_ms) for each in thresholds_ms.tolist()]
        return np.stack(late, axis=1)

    def _latency(self, threshold_ms: float) -> Floats:
        started = np.where(self._primary_fails, np.minimum(self._x, threshold_ms), threshold_ms)
        answered = np.where(self._primary_fails, np.inf, self._x)
        return np.minimum(answered, np.where(self._backup_fails, np.inf, started + self._y))


def _waits(sample: Sample, places: Ints) -> Floats:
    return np.where(sample.kinds[places] == CENSORED, np.inf, sample.elapsed_ms[places])


def _cells(values: Floats) -> Ints:
    """Return the bin of each latency: the number of bins is what resampling costs."""
    finite = values[np.isfinite(values)]
    edges = np.unique(finite)
    if len(edges) > _SIDE:
        places = np.concatenate([np.linspace(0.0, 0.9, _SIDE // 2), 1.0 - np.geomspace(0.1, 1e-5, _SIDE // 2)])
        edges = np.unique(np.quantile(finite, places, method="higher"))
    return np.asarray(np.searchsorted(edges, values), dtype=np.int64)
