"""Worlds in which thresholds are compared: latencies drawn for a primary and a backup, and calls played against them.

A call is played as the engine plays it: the backup starts at the threshold, the first answer wins, and the other
attempt is cut off at that moment, so that a learner sees of it only how long it had lasted.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from routeware import Attempt, CallRecord, RoutingPolicy, routed, threshold
from routeware.policy import LatencyRules
from routeware.threshold import Decision, LinkHistory, Observation, RaceSource
from tests.fakes.clock import run_jumping

Array = np.ndarray

SHAPES = ("lognormal", "two-humped")


@attrs.frozen(kw_only=True)
class World:
    """One run: what each call would wait for each link, in seconds, its size, and whether each backup fails."""

    primary: Array
    backup: Array
    target_s: float
    size: Array | None = None
    failing: Array | None = None
    gives_up_s: float = math.inf


@attrs.frozen
class Played:
    """What became of each call."""

    missed: Array
    extra: Array
    sources: list[RaceSource]
    swapped: Array
    elapsed: Array

    @property
    def misses(self) -> float:
        return float(self.missed.mean())

    @property
    def spent(self) -> float:
        return float(self.extra.mean())


def latency_s(shape: str, uniform: Array, median_s: float = 1.0) -> Array:
    """Latencies at ``uniform`` places: as hosted models have them, or a tenth of them at six times the median."""
    if shape == "lognormal":
        return median_s * np.exp(0.65 * normal_quantile(uniform))
    fast, slow = 0.9, 0.1
    hump = np.exp(0.35 * normal_quantile(np.clip(uniform / fast, 1e-12, 1 - 1e-12)))
    late = 6.0 * np.exp(0.3 * normal_quantile(np.clip((uniform - fast) / slow, 1e-12, 1 - 1e-12)))
    return median_s * np.where(uniform < fast, hump, late)


_Z = np.linspace(-7.5, 7.5, 30_001)
_SHARE = np.array([0.5 * math.erfc(-z / math.sqrt(2)) for z in _Z])
"""The normal distribution, finely enough to interpolate in."""


def normal_quantile(uniform: Array) -> Array:
    return np.interp(uniform, _SHARE, _Z)


def normal_share(z: Array) -> Array:
    return np.interp(z, _Z, _SHARE)


def ranks(generator: np.random.Generator, calls: int, spearman: float) -> tuple[Array, Array]:
    """Two columns of uniform draws with a rank correlation (Gaussian copula)."""
    rho = 2.0 * math.sin(math.pi * spearman / 6.0)
    first = generator.standard_normal(calls)
    second = rho * first + math.sqrt(1.0 - rho * rho) * generator.standard_normal(calls)
    return normal_share(first), normal_share(second)


def world(seed: int, shape: str, spearman: float, late: float, *, calls: int = 6000, slower: float = 1.1) -> World:
    """A world whose primary is late for a share ``late`` of the calls, and whose backup is a tenth slower."""
    generator = np.random.default_rng(seed)
    first, second = ranks(generator, calls, spearman)
    target = float(latency_s(shape, np.array([1.0 - late]))[0])
    return World(primary=latency_s(shape, first), backup=latency_s(shape, second, slower), target_s=target)


def best_miss_share(shape: str, spearman: float, late: float, slower: float = 1.1) -> float:
    """The share of misses that racing at once would leave, in the long run."""
    drawn = world(0, shape, spearman, late, calls=200_000, slower=slower)
    return float(np.mean((drawn.primary > drawn.target_s) & (drawn.backup > drawn.target_s)))


def fixed(drawn: World, after_s: float) -> tuple[float, float]:
    """The shares of misses and of extra calls, where every call races at ``after_s``."""
    backup = np.where(drawn.failing, math.inf, drawn.backup) if drawn.failing is not None else drawn.backup
    missed = (drawn.primary > drawn.target_s) & (after_s + backup > drawn.target_s)
    return float(missed.mean()), float((drawn.primary > after_s).mean())


def best_fixed(drawn: World) -> tuple[float, float, float]:
    """In hindsight: the latest start at which no more than 5 % miss; start, misses and extra calls there."""
    for after_s in np.linspace(drawn.target_s, 0.0, 401):
        misses, extra = fixed(drawn, float(after_s))
        if misses <= 0.05:
            return float(after_s), misses, extra
    return 0.0, *fixed(drawn, 0.0)


def best_capped(drawn: World, cap: float) -> float:
    """In hindsight: the fewest misses of a fixed start, for a random share of the calls, that keeps to a cap."""
    late, best = drawn.primary > drawn.target_s, 1.0
    for after_s in np.linspace(0.0, drawn.target_s, 201):
        spent = float((drawn.primary > after_s).mean())
        share = min(1.0, cap / spent) if spent else 1.0
        saved = float((late & (after_s + drawn.backup <= drawn.target_s)).mean())
        best = min(best, float(late.mean()) - share * saved)
    return best


def play(
    drawn: World,
    seed: int,
    *,
    every_s: float = 1.0,
    by: Any = threshold,
    sized: bool = False,
    percentile: int = 95,
    **settings: float | bool,
) -> Played:
    """Play all calls of a world, one after another, with what a learner decides; ``settings`` are the policy's.

    ``by`` is the package whose learner decides: this one, or an older one's. With ``sized`` it is given the sizes. The
    target is for the 95th or the 99th ``percentile``.
    """
    rules = LatencyRules(**{f"target_p{percentile}_ms": drawn.target_s * 1000, "max_extra": 1, **settings})
    histories = [by.LinkHistory("primary"), by.LinkHistory("backup")]
    draw = random.Random(seed).random
    learner = by.Learner(rules, histories, draw, by_size=True) if sized else by.Learner(rules, histories, draw)
    calls = len(drawn.primary)
    missed, extra, swapped = np.zeros(calls, bool), np.zeros(calls, bool), np.zeros(calls, bool)
    elapsed = np.zeros(calls)
    sources: list[RaceSource] = []
    ended = by.Observation if hasattr(by, "Observation") else by.Ended
    failing = drawn.failing if drawn.failing is not None else np.zeros(calls, bool)
    sizes = drawn.size.tolist() if sized and drawn.size is not None else [None] * calls
    lasting = zip(drawn.primary.tolist(), drawn.backup.tolist(), failing.tolist(), sizes, strict=True)
    for call, (primary_s, backup_s, fails, size) in enumerate(lasting):
        now = call * every_s
        decision = learner.decide(size) if sized else learner.decide()
        told = (size,) if sized else ()
        took = _Call(ended, drawn, histories, decision, now, fails, told).play(primary_s, backup_s)
        answered = took.elapsed_s <= drawn.gives_up_s
        learner.call_ended(decision, min(took.elapsed_s, drawn.gives_up_s), answered=answered, now=now)
        missed[call], extra[call], swapped[call] = took.elapsed_s > drawn.target_s, took.extra, decision.swap
        elapsed[call] = took.elapsed_s
        sources.append(decision.source)
    return Played(missed, extra, sources, swapped, elapsed)


def play_by_engine(drawn: World, seed: int, *, sized: bool = False, **settings: float | bool) -> Played:
    """Play all calls of a world by the real engine, on a clock that jumps; ``settings`` are the policy's."""
    latency = {"target_p95_ms": drawn.target_s * 1000, "max_extra": 1, **settings}
    policy = RoutingPolicy(chain=["a:m", "b:m"], latency=latency)

    @routed(policy)
    async def ask(attempt: Attempt, primary_s: float, backup_s: float, _size: float) -> str:
        await asyncio.sleep(primary_s if attempt.provider == "a" else backup_s)
        return attempt.provider

    if sized:

        @ask.size
        def measured(_primary_s: float, _backup_s: float, size: float) -> float:
            return size

    async def serve() -> list[CallRecord]:
        records = []
        sizes = np.zeros(len(drawn.primary)) if drawn.size is None else drawn.size
        for x, y, size in zip(drawn.primary.tolist(), drawn.backup.tolist(), sizes.tolist(), strict=True):
            records.append((await ask.outcome(x, y, size)).record)
            await asyncio.sleep(1.0)
        return records

    random.seed(seed)
    records = run_jumping(serve())
    elapsed = np.array([record.duration_ms / 1000 for record in records])
    # Sums of floats: the clock of the loop is not exact to the last digit.
    missed = elapsed > drawn.target_s + 1e-9
    extra = np.array([len(record.attempts) > 1 for record in records])
    sources = [RaceSource(record.race_source) for record in records]
    return Played(missed, extra, sources, np.zeros(len(records), bool), elapsed)


@attrs.frozen
class Took:
    elapsed_s: float
    extra: bool


@attrs.frozen
class _Call:
    ended: type[Observation]
    drawn: World
    histories: list[LinkHistory]
    decision: Decision
    now: float
    fails: bool
    told: tuple[float | str | None, ...]

    def play(self, primary_s: float, backup_s: float) -> Took:
        first, second = self.histories
        first_fails, second_fails = False, self.fails
        if self.decision.swap:
            first, second, primary_s, backup_s = second, first, backup_s, primary_s
            first_fails, second_fails = second_fails, first_fails
        return self._raced(first, second, primary_s, backup_s, first_fails, second_fails)

    def _raced(self, first: LinkHistory, second: LinkHistory, x: float, y: float, x_fails: bool, y_fails: bool) -> Took:
        after, gives_up, ended = self.decision.race_after_s, self.drawn.gives_up_s, self.ended
        if x_fails:
            # An error takes a tenth of what an answer would; the other link follows it at once.
            x *= 0.1
            first.as_primary.add(x, ended.FAILED, self.now, *self.told)
            second.as_backup.add(y, ended.ANSWERED, self.now, *self.told)
            return Took(x + y, False)
        if after is None or x <= after or after >= gives_up:
            how = ended.ANSWERED if x <= gives_up else ended.CENSORED
            first.as_primary.add(min(x, gives_up), how, self.now, *self.told)
            return Took(x, False)
        end = min(x, math.inf if y_fails else after + y)
        cut = min(end, gives_up)
        first.as_primary.add(cut, ended.ANSWERED if x <= cut else ended.CENSORED, self.now, *self.told)
        if y_fails and after + 0.1 * y <= cut:
            second.as_backup.add(0.1 * y, ended.FAILED, self.now, *self.told)
        else:
            # By comparing ends, not durations: a difference of sums is not exactly what was added.
            how = ended.ANSWERED if after + y <= cut else ended.CENSORED
            second.as_backup.add(min(y, cut - after), how, self.now, *self.told)
        return Took(end, True)
