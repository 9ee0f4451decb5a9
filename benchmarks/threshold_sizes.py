"""Thresholds per size beside one for all, and beside an older learner on the same calls.

Worlds: latencies by input size that were recorded (facts computed from them, in a folder that is not part of this
project), and made ones whose median grows with the size. Nothing was tuned on the seeds that are reported (1 on).

    python benchmarks/threshold_sizes.py --data DIR [--against CHECKOUT] [--pairs 40]     # numpy
"""

from __future__ import annotations

import argparse
import csv
import importlib
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType

import attrs
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from threshold_world import Array, Played, World, normal_quantile, normal_share, play

CALLS = 6000
ATTAINABLE = 0.04


def older(checkout: Path) -> ModuleType:
    """Import ``routeware.threshold`` of another checkout, beside this one's."""
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "routeware"}
    for name in ours:
        del sys.modules[name]
    sys.path.insert(0, str(checkout))
    found = importlib.import_module("routeware.threshold")
    sys.path.pop(0)
    for name in [name for name in sys.modules if name.split(".")[0] == "routeware"]:
        del sys.modules[name]
    sys.modules.update(ours)
    return found


@attrs.frozen
class Recorded:
    """Quantile functions of a model's latency, by bucket of input size."""

    provider: str
    shares: Array
    latency_s: list[Array]
    sizes: list[tuple[float, float]]

    def at(self, buckets: Array, uniform: Array) -> Array:
        every = np.stack([np.interp(uniform, self.shares, latency_s) for latency_s in self.latency_s])
        return np.asarray(every[buckets, np.arange(len(buckets))])


def recorded(folder: Path) -> tuple[dict[str, Recorded], dict[tuple[str, str], float]]:
    rows: dict[str, list[dict[str, str]]] = {}
    with (folder / "bfcl_by_size.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["model"], []).append(row)
    models = {}
    for model, each in rows.items():
        latency_s, sizes, shares = [], [], np.array([])
        for bucket in range(8):
            own = [row for row in each if int(row["size_bucket"]) == bucket]
            shares = np.array([float(row["q"]) for row in own])
            latency_s.append(np.array([float(row["latency_ms"]) for row in own]) / 1000)
            sizes.append((float(own[0]["input_tokens_from"]), float(own[0]["input_tokens_to"])))
        models[model] = Recorded(each[0]["provider"], shares, latency_s, sizes)
    with (folder / "bfcl_by_size_spearman.csv").open(encoding="utf-8") as file:
        found = [
            (row["model_a"], row["model_b"], float(row["spearman_within_buckets"])) for row in csv.DictReader(file)
        ]
    return models, {pair: rho for a, b, rho in found for pair in ((a, b), (b, a))}


def copula(generator: np.random.Generator, calls: int, spearman: float) -> tuple[Array, Array]:
    rho = 2.0 * math.sin(math.pi * spearman / 6.0)
    first = generator.standard_normal(calls)
    second = rho * first + math.sqrt(1.0 - rho * rho) * generator.standard_normal(calls)
    return normal_share(first), normal_share(second)


def recorded_worlds(folder: Path, pairs: int, *, late: float, hidden: bool = False, seed: int = 1) -> Iterable[World]:
    """Draws of dependent pairs of different providers, where racing can reach the target."""
    models, spearman = recorded(folder)
    generator = np.random.default_rng(seed)
    made, order = 0, list(spearman)
    generator.shuffle(order)
    for a, b in order:
        first, second = models[str(a)], models[str(b)]
        if first.provider == second.provider:
            continue
        drawn = _drawn(first, second, spearman[str(a), str(b)], generator, late)
        racing = float(((drawn.primary > drawn.target_s) & (drawn.backup > drawn.target_s)).mean())
        if racing > ATTAINABLE:
            continue
        size = generator.permutation(drawn.size) if hidden else drawn.size
        yield attrs.evolve(drawn, size=size)
        made += 1
        if made == pairs:
            return


def _drawn(first: Recorded, second: Recorded, spearman: float, generator: np.random.Generator, late: float) -> World:
    buckets = generator.integers(0, 8, CALLS)
    u, v = copula(generator, CALLS, spearman)
    edges = np.array(first.sizes)
    size = edges[buckets, 0] + generator.random(CALLS) * (edges[buckets, 1] - edges[buckets, 0])
    primary, backup = first.at(buckets, u), second.at(buckets, v)
    return World(primary=primary, backup=backup, target_s=float(np.quantile(primary, 1.0 - late)), size=np.round(size))


def made_world(
    seed: int, *, spread: float, late: float = 0.1, spearman: float = 0.0, hidden: bool = False, slow: bool = False
) -> World:
    """Lognormal latencies whose median grows ``spread``-fold over the sizes; ``slow``: 9 % take seven times as long."""
    generator = np.random.default_rng(seed)
    place = generator.random(CALLS)
    u, v = copula(generator, CALLS, spearman)
    median = spread**place
    primary, backup = median * np.exp(0.5 * normal_quantile(u)), 1.1 * median * np.exp(0.5 * normal_quantile(v))
    if slow:
        primary = np.where(generator.random(CALLS) < 0.09, 7.0 * median * np.exp(0.3 * normal_quantile(u)), primary)
    size = generator.permutation(place) if hidden else place
    return World(
        primary=primary,
        backup=backup,
        target_s=float(np.quantile(primary, 1.0 - late)),
        size=np.round(100 * 30.0**size),
    )


def p99_ratio(played: Played, drawn: World) -> float:
    return float(np.quantile(played.elapsed, 0.99) / np.quantile(drawn.primary, 0.99))


def row(name: str, worlds: Sequence[World], old: ModuleType | None, **settings: float) -> None:
    """One kind of world: misses, extra attempts, p99 over p99 alone of each learner."""
    runs: dict[str, list[Played]] = {"one": [], "sizes": []}
    if old is not None:
        runs["older"] = []
    for seed, drawn in enumerate(worlds, 1):
        runs["one"].append(play(drawn, seed, **settings))
        runs["sizes"].append(play(drawn, seed, sized=True, **settings))
        if old is not None:
            runs["older"].append(play(drawn, seed, by=old, **settings))
    print(f"{name} ({len(worlds)} runs)")
    base = np.mean([run.spent for run in runs.get("older", runs["one"])])
    for kind, each in runs.items():
        misses = np.array([run.misses for run in each])
        extra = np.array([run.spent for run in each])
        first = np.mean([run.missed[:300].mean() for run in each])
        tail = np.mean([p99_ratio(run, drawn) for run, drawn in zip(each, worlds, strict=True)])
        print(
            f"  {kind:6} misses {100 * misses.mean():5.2f} (max {100 * misses.max():5.2f},"
            f" over 6: {np.mean(misses > 0.06):4.0%})"
            f"  first 300 {100 * first:5.2f}  extra {100 * extra.mean():5.2f} ({extra.mean() / base:4.2f})"
            f"  max {100 * extra.max():5.1f}  p99 {tail:4.2f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("/work/shared/data"))
    parser.add_argument("--against", type=Path)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--late", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    old = older(given.against) if given.against else None
    n = given.pairs
    kinds: dict[str, Callable[[], list[World]]] = {
        "bfcl": lambda: list(recorded_worlds(given.data, n, late=given.late, seed=given.seed)),
        "bfcl hidden": lambda: list(recorded_worlds(given.data, n, late=given.late, hidden=True, seed=given.seed)),
        "made x10": lambda: [made_world(given.seed * 1000 + s, spread=10, late=given.late) for s in range(n)],
        "made x3": lambda: [made_world(given.seed * 1000 + s, spread=3, late=given.late) for s in range(n)],
        "made x1": lambda: [made_world(given.seed * 1000 + s, spread=1, late=given.late) for s in range(n)],
        "mode": lambda: [
            made_world(given.seed * 1000 + s, spread=1, late=0.08, spearman=0.3, slow=True) for s in range(n)
        ],
    }
    for kind, make in kinds.items():
        if not given.only or kind in given.only.split(","):
            row(kind, make(), old)
