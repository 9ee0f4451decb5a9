"""What racing at a threshold does to a call: its latency's distribution, how often it misses, what it spends.

Two ways to get there: from the curves of each link, as if they had nothing to do with each other; or from pairs of
latencies that belong together, as rows of one prompt do. Both answer the same questions for all resamples at once.
"""

from __future__ import annotations

from typing import Protocol

import attrs
import numpy as np
import numpy.typing as npt

from routeware.lab.tune_curves import Curves
from routeware.lab.tune_samples import CENSORED, FAILED, Sample

__all__ = ["Independent", "Paired", "Race", "Raced", "pairs_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SIDE = 100


@attrs.frozen(eq=False)
class Raced:
    """A call that races at one threshold, one row per resample.

    Attributes:
        edges_ms: times, ascending.
        waiting: the share of calls that last longer than each; past what is known, and for ever, not a number.
        extra: the share of calls in which a backup starts before the primary has ended.
        failed: the share of calls that never get an answer.
    """

    edges_ms: Floats
    waiting: Floats
    extra: Floats
    failed: Floats

    def quantile_ms(self, share: float) -> Floats:
        """By when ``share`` of the calls have their answer; not a number where that is not known."""
        reached = self.waiting <= 1.0 - share + 1e-9
        place = reached.argmax(axis=1)
        return np.where(reached.any(axis=1), self.edges_ms[place], np.nan)

    def mean_ms(self) -> Floats:
        """The mean over calls that are answered; not a number where the longest ones are not known."""
        answered = self.waiting - self.failed[:, None]
        widths = np.diff(self.edges_ms, prepend=0.0)
        before = np.hstack([1.0 - self.failed[:, None], answered[:, :-1]])
        known = answered[:, -1] < 1e-9
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(known, before @ widths / (1.0 - self.failed), np.nan)


class Race(Protocol):
    """What is known of two links.

    Attributes:
        calls: on how many calls of each it rests.
    """

    calls: int

    def at(self, threshold_ms: float) -> Raced:
        """A call that starts the backup after ``threshold_ms``; infinite is never."""
        ...

    def misses(self, threshold_ms: float, target_ms: float) -> Floats:
        """The share of calls that take longer than ``target_ms``, per resample."""
        ...


class Independent:
    """Two links whose latencies have nothing to do with each other.

    A call still waits at t where the primary does and, where it was started at d, the backup has not answered within
    t - d. A primary that fails before d is followed by the backup at once.
    """

    def __init__(self, primary: Curves, backup: Curves, grid: Floats) -> None:
        self.calls = min(primary.attempts, backup.attempts)
        self._primary = primary
        self._backup = backup
        self._grid = grid
        self._unanswered = np.hstack([np.ones((len(backup.lasting), 1)), backup.unanswered])

    def at(self, threshold_ms: float) -> Raced:
        """A call that starts the backup after ``threshold_ms``; infinite is never."""
        waiting = self._waiting(threshold_ms, self._grid)
        reach_ms = min(self._primary.reach_ms, threshold_ms + self._backup.reach_ms)
        waiting[:, self._grid > reach_ms] = np.nan
        failed = self._primary.failed * self._backup.failed
        if threshold_ms < np.inf:
            return Raced(self._grid, waiting, self._in_flight(threshold_ms), failed)
        return Raced(self._grid, waiting, np.zeros(len(waiting)), failed)

    def misses(self, threshold_ms: float, target_ms: float) -> Floats:
        """The share of calls that take longer than ``target_ms``, per resample."""
        return self._waiting(threshold_ms, np.array([target_ms]))[:, 0]

    def _waiting(self, threshold_ms: float, times: Floats) -> Floats:
        lasting = self._primary.lasting[:, self._place(times)]
        lasting[:, times < self._grid[0]] = (1.0 - self._primary.failed)[:, None]
        waiting = lasting * self._backup_waiting(times - threshold_ms)
        for step, failure_ms in enumerate(self._primary.failure_ms):
            share = self._primary.failing[:, step : step + 1]
            waiting += share * self._backup_waiting(times - min(failure_ms, threshold_ms))
        return np.asarray(waiting)

    def _backup_waiting(self, since_ms: Floats) -> Floats:
        """The share of backups without an answer so long after their start; all of them before it."""
        places = np.searchsorted(self._grid, since_ms, side="right")
        return np.asarray(self._unanswered[:, np.where(since_ms < 0, 0, places)])

    def _in_flight(self, threshold_ms: float) -> Floats:
        late_failures = self._primary.failing[:, self._primary.failure_ms > threshold_ms].sum(axis=1)
        if threshold_ms < self._grid[0]:
            return np.asarray(1.0 - self._primary.failed + late_failures)
        return np.asarray(self._primary.lasting[:, self._place(np.array([threshold_ms]))[0]] + late_failures)

    def _place(self, times: Floats) -> Ints:
        return np.maximum(np.searchsorted(self._grid, times, side="right") - 1, 0)


def pairs_of(primary: Sample, backup: Sample) -> tuple[Ints, Ints]:
    """Places of rows that belong together: the n-th of a key on one side with the n-th on the other."""
    waiting: dict[str, list[int]] = {}
    for place, key in enumerate(backup.keys):
        waiting.setdefault(key, []).append(place)
    for places in waiting.values():
        places.reverse()
    found = [(place, waiting[key].pop()) for place, key in enumerate(primary.keys) if waiting.get(key)]
    both = np.array(found, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


class Paired:
    """Pairs of latencies that belong together, gathered into cells of which each stands for its mean.

    An attempt that was cut off counts as one that never answers: what it would have taken is not in the data, and that
    is the cautious way.
    """

    def __init__(self, primary: Sample, backup: Sample, repeats: int, random: np.random.Generator) -> None:
        ours, theirs = pairs_of(primary, backup)
        if not len(ours):
            raise ValueError(f"no row of {primary.label} has a partner among those of {backup.label}")
        self.calls = len(ours)
        x, y = _waits(primary, ours), _waits(backup, theirs)
        kinds = 2 * (primary.kinds[ours] == FAILED) + (backup.kinds[theirs] == FAILED)
        codes = (_cells(x) * (_SIDE + 2) + _cells(y)) * 4 + kinds
        found, which, counts = np.unique(codes, return_inverse=True, return_counts=True)
        self._x = np.bincount(which, weights=x) / counts
        self._y = np.bincount(which, weights=y) / counts
        self._primary_fails, self._backup_fails = found % 4 >= 2, found % 2 == 1
        drawn = random.multinomial(self.calls, counts / self.calls, size=repeats)
        self._weights = np.vstack([counts, drawn]) / self.calls

    def at(self, threshold_ms: float) -> Raced:
        """A call that starts the backup after ``threshold_ms``; infinite is never."""
        latency = self._latency(threshold_ms)
        order = np.argsort(latency, kind="stable")
        waiting = 1.0 - np.cumsum(self._weights[:, order], axis=1)
        known = np.isfinite(latency[order])
        failed = self._weights @ ~np.isfinite(latency)
        return Raced(latency[order][known], waiting[:, known], self._weights @ (self._x > threshold_ms), failed)

    def misses(self, threshold_ms: float, target_ms: float) -> Floats:
        """The share of calls that take longer than ``target_ms``, per resample."""
        return np.asarray(self._weights @ (self._latency(threshold_ms) > target_ms))

    def _latency(self, threshold_ms: float) -> Floats:
        started = np.where(self._primary_fails, np.minimum(self._x, threshold_ms), threshold_ms)
        answered = np.where(self._primary_fails, np.inf, self._x)
        return np.minimum(answered, np.where(self._backup_fails, np.inf, started + self._y))


def _waits(sample: Sample, places: Ints) -> Floats:
    return np.where(sample.kinds[places] == CENSORED, np.inf, sample.elapsed_ms[places])


def _cells(values: Floats) -> Ints:
    """Which of a few bins each latency is in: their number is what resampling costs."""
    finite = values[np.isfinite(values)]
    edges = np.unique(finite)
    if len(edges) > _SIDE:
        places = np.concatenate([np.linspace(0.0, 0.9, _SIDE // 2), 1.0 - np.geomspace(0.1, 1e-5, _SIDE // 2)])
        edges = np.unique(np.quantile(finite, places, method="higher"))
    return np.asarray(np.searchsorted(edges, values), dtype=np.int64)
