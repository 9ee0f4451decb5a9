"""Thresholds by size beside one for all, and beside an older learner on the same calls.

Worlds: latencies by input size that were recorded (facts computed from them, in a folder that is not part of this
project; skipped without it), and made ones. Nothing was tuned on the seeds that are reported: those below 100.

    git worktree add --detach ../older COMMIT
    python benchmarks/threshold_sizes.py [--data DIR] [--against ../older] [--runs 40] [--only KIND]   # numpy
"""

from __future__ import annotations

import argparse
import csv
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType

import attrs
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from threshold_world import Array, Played, World, normal_quantile, play, ranks, world

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CALLS = 6000
ATTAINABLE = 0.04
"""Racing at once has to leave no more than this share of misses, or a target is not asked for."""
AFTER = slice(CALLS // 2, CALLS // 2 + 1000)
"""The thousand calls after a change half-way."""

Make = Callable[[int], World]


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
    sizes: Array

    def at(self, buckets: Array, uniform: Array) -> Array:
        every = np.stack([np.interp(uniform, self.shares, values) for values in self.latency_s])
        return np.asarray(every[buckets, np.arange(len(buckets))])


@attrs.frozen
class Pair:
    """Two models of different providers, and the rank correlation of their latencies within sizes."""

    first: Recorded
    second: Recorded
    spearman: float


def models(folder: Path) -> dict[str, Recorded]:
    rows: dict[str, list[dict[str, str]]] = {}
    with (folder / "bfcl_by_size.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["model"], []).append(row)
    found = {}
    for model, each in rows.items():
        by_bucket = [[row for row in each if int(row["size_bucket"]) == bucket] for bucket in range(8)]
        found[model] = Recorded(
            each[0]["provider"],
            np.array([float(row["q"]) for row in by_bucket[0]]),
            [np.array([float(row["latency_ms"]) for row in own]) / 1000 for own in by_bucket],
            np.array([[float(own[0]["input_tokens_from"]), float(own[0]["input_tokens_to"])] for own in by_bucket]),
        )
    return found


def pairs(folder: Path) -> list[Pair]:
    known = models(folder)
    with (folder / "bfcl_by_size_spearman.csv").open(encoding="utf-8") as file:
        rows = [(row["model_a"], row["model_b"], float(row["spearman_within_buckets"])) for row in csv.DictReader(file)]
    both = [(known[a], known[b], rho) for x, y, rho in rows for a, b in ((x, y), (y, x))]
    return [Pair(a, b, rho) for a, b, rho in both if a.provider != b.provider]


def recorded_world(pair: Pair, generator: np.random.Generator, *, order: str = "mixed", late: float = 0.1) -> World:
    """Draw calls of a pair, the primary late for a share of them; sizes mixed, hidden, in blocks or growing."""
    buckets = generator.integers(0, 8, CALLS)
    if order == "growing":
        buckets = np.sort(buckets)
    elif order == "blocks":
        buckets = np.repeat(generator.permutation(np.tile(np.arange(8), 3)), CALLS // 24)
    u, v = ranks(generator, CALLS, pair.spearman)
    edges = pair.first.sizes[buckets]
    size = np.round(edges[:, 0] + generator.random(CALLS) * (edges[:, 1] - edges[:, 0]))
    primary = pair.first.at(buckets, u)
    return World(
        primary=primary,
        backup=pair.second.at(buckets, v),
        target_s=float(np.quantile(primary, 1.0 - late)),
        size=generator.permutation(size) if order == "hidden" else size,
    )


def recorded_worlds(folder: Path, runs: int, order: str, late: float = 0.1) -> list[World]:
    """Draws of pairs that racing can bring to the target, in an order that was drawn once."""
    generator = np.random.default_rng(1)
    found: list[World] = []
    for place in generator.permutation(len(known := pairs(folder))):
        drawn = recorded_world(known[place], generator, order=order, late=late)
        racing = float(((drawn.primary > drawn.target_s) & (drawn.backup > drawn.target_s)).mean())
        if racing <= ATTAINABLE * late / 0.1:
            found.append(drawn)
        if len(found) == runs:
            break
    return found


def made_world(seed: int, *, spread: float, mode: bool = False) -> World:
    """Lognormal latencies whose median grows ``spread``-fold over the sizes; ``mode``: 9 % take seven times as long."""
    generator = np.random.default_rng(seed)
    place = generator.random(CALLS)
    u, v = ranks(generator, CALLS, 0.3 if mode else 0.0)
    median = spread**place
    primary, backup = median * np.exp(0.5 * normal_quantile(u)), 1.1 * median * np.exp(0.5 * normal_quantile(v))
    if mode:
        slow = generator.random(CALLS) < 0.09
        primary = np.where(slow, 7.0 * median * np.exp(0.3 * normal_quantile(u)), primary)
    target_s = float(np.quantile(primary, 0.92 if mode else 0.9))
    return World(primary=primary, backup=backup, target_s=target_s, size=np.round(100 * 30.0**place))


def telling_nothing(seed: int, shape: str, late: float) -> World:
    """A world of docs/latency-targets.md, with sizes that say nothing."""
    drawn = world(seed, shape, 0.0, late)
    return attrs.evolve(drawn, size=np.round(1000 * np.random.default_rng(30_000 + seed).random(CALLS)))


def changed(drawn: World, *, primary: float = 1.0, backup: float = 1.0) -> World:
    """Make the providers slower from half-way on."""
    later = np.arange(CALLS) >= CALLS // 2
    return attrs.evolve(
        drawn,
        primary=np.where(later, primary, 1.0) * drawn.primary,
        backup=np.where(later, backup, 1.0) * drawn.backup,
    )


def with_outage(drawn: World, seed: int) -> World:
    """Make 60 % of a thousand calls hang at the primary."""
    hanging = np.random.default_rng(10_000 + seed).random(1000) < 0.6
    primary = drawn.primary.copy()
    primary[AFTER] = np.where(hanging, 60.0 * drawn.target_s, primary[AFTER])
    return attrs.evolve(drawn, primary=primary)


@attrs.frozen
class Kind:
    """A kind of world, and which of its calls count."""

    name: str
    worlds: list[World]
    counted: slice = slice(None)
    settings: dict[str, float | bool] = attrs.field(factory=dict)
    every_s: float = 1.0


@attrs.frozen
class Runs:
    """What one learner did in all worlds of a kind."""

    learner: str
    misses: Array
    first: Array
    extra: Array
    tail: Array


def runs(kind: Kind, learner: str, old: ModuleType | None) -> Runs:
    played: list[Played] = []
    for seed, drawn in enumerate(kind.worlds, 1):
        given = {"every_s": kind.every_s, **kind.settings}
        if learner == "older":
            played.append(play(drawn, seed, by=old, **given))
        else:
            played.append(play(drawn, seed, sized=learner == "sizes", **given))
    alone = [float(np.quantile(drawn.primary, 0.99)) for drawn in kind.worlds]
    return Runs(
        learner,
        np.array([float(each.missed[kind.counted].mean()) for each in played]),
        np.array([float(each.missed[:300].mean()) for each in played]),
        np.array([float(each.extra[kind.counted].mean()) for each in played]),
        np.array([np.quantile(each.elapsed, 0.99) / p99 for each, p99 in zip(played, alone, strict=True)]),
    )


def show(kind: Kind, old: ModuleType | None) -> None:
    """One row for each learner: the older one, one start for all, and starts by size."""
    base: Runs | None = None
    for learner in ("older", "one", "sizes") if old is not None else ("one", "sizes"):
        found = runs(kind, learner, old)
        base = base or found
        cells = (
            *(kind.name, {"older": "the learner before", "one": "one bucket", "sizes": "by size"}[learner]),
            *(
                f"{100 * found.misses.mean():.2f}",
                f"{100 * found.misses.max():.2f}",
                f"{np.mean(found.misses > 0.06):.0%}",
            ),
            *(f"{100 * found.first.mean():.2f}", f"{100 * found.extra.mean():.2f}", f"{100 * found.extra.max():.2f}"),
            *(ratio(found.extra, base.extra), f"{found.tail.mean():.3f}"),
        )
        print("| " + " | ".join(cells) + " |", flush=True)


def ratio(ours: Array, theirs: Array) -> str:
    """The ratio of the means with its 90 % interval, by resampled worlds."""
    generator = np.random.default_rng(1)
    drawn = [
        ours[places].mean() / theirs[places].mean() for places in generator.integers(0, len(ours), (1000, len(ours)))
    ]
    low, high = np.quantile(drawn, (0.05, 0.95))
    return f"{ours.mean() / theirs.mean():.2f} ({low:.2f} to {high:.2f})"


def kinds(folder: Path, count: int) -> Iterable[tuple[str, Callable[[], list[Kind]]]]:
    def made(**shape: float | bool) -> list[World]:
        return [made_world(seed, **shape) for seed in range(1, count + 1)]  # type: ignore[arg-type]

    def recorded(order: str = "mixed") -> list[World]:
        return recorded_worlds(folder, count, order)

    def drifting() -> list[Kind]:
        each = recorded() if folder.is_dir() else made(spread=3.0)
        out = [with_outage(drawn, seed) for seed, drawn in enumerate(each)]
        return [
            Kind("primary 1.6 times slower, next 1,000", [changed(one, primary=1.6) for one in each], AFTER),
            Kind("backup twice slower, next 1,000", [changed(one, backup=2.0) for one in each], AFTER),
            Kind("both 1.5 times slower, next 1,000", [changed(one, primary=1.5, backup=1.5) for one in each], AFTER),
            Kind("after an outage, next 2,000", out, slice(CALLS // 2 + 1000, CALLS)),
        ]

    def caps() -> list[Kind]:
        each = recorded() if folder.is_dir() else made(spread=3.0)
        return [Kind(f"max_extra {cap}", each, settings={"max_extra": cap}) for cap in (0.05, 0.1, 0.2, 0.35)]

    def nothing() -> list[Kind]:
        shapes = (
            ("lognormal", 0.08),
            ("lognormal", 0.1),
            ("lognormal", 0.15),
            ("two-humped", 0.08),
            ("two-humped", 0.15),
        )
        return [
            Kind(
                f"says nothing: {shape}, {late:.0%} late",
                [telling_nothing(seed, shape, late) for seed in range(1, count + 1)],
            )
            for shape, late in shapes
        ]

    if folder.is_dir():
        yield "recorded", lambda: [Kind("recorded, by size", recorded())]
        yield "hidden", lambda: [Kind("recorded, size hidden", recorded("hidden"))]
    yield "tenfold", lambda: [Kind("made, median tenfold", made(spread=10.0))]
    yield "threefold", lambda: [Kind("made, median threefold", made(spread=3.0))]
    yield "mode", lambda: [Kind("made, second mode", made(spread=1.0, mode=True))]
    yield "nothing", nothing
    yield "caps", caps
    yield "drift", drifting
    if folder.is_dir():
        yield "blocks", lambda: [Kind("recorded, sizes in blocks", recorded("blocks"))]
        yield "growing", lambda: [Kind("recorded, sizes grow", recorded("growing"))]
        yield (
            "p99",
            lambda: [
                Kind(
                    "recorded, target_p99_ms",
                    recorded_worlds(folder, count, "mixed", 0.02),
                    settings={"percentile": 99},
                )
            ],
        )
        yield "rare", lambda: [Kind("recorded, a call in ten minutes", recorded(), every_s=600.0)]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--only", default="")
    given = parser.parse_args(arguments)
    old = older(given.against) if given.against else None
    columns = "| calls | learner | misses, % | worst | over 6 % | first 300 | extra, % | most | ratio | p99 / alone |"
    print(columns + "\n|" + "---|" * 10)
    for name, make in kinds(given.data, given.runs):
        if not given.only or name in given.only.split(","):
            for kind in make():
                show(kind, old)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
