"""What `routeware tune` is worth on data that it has not seen: do its intervals cover, does its choice meet the target?

Made data first: fresh draws, the truth from two million draws of the same world. Then, with --recorded FOLDER (or
ROUTEWARE_RECORDED), latencies of hosted models: facts computed from recordings that this project does not hold. Each
repeat draws a pair of different providers, a target between the 95th percentile of racing at once and that of the
primary alone, and rows for a file that has no pairs although the two latencies of one request depend on each other.
Without the folder that part is left out.

    python benchmarks/threshold_offline.py [--repeats 400] [--recorded FOLDER] [--pairs 200]     # numpy, some minutes
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
from threshold_world import latency_s, ranks  # first: it finds routeware

from routeware.lab.sources import read_source
from routeware.lab.tables import Mapping as Columns
from routeware.lab.tune import tune
from routeware.lab.tune_facts import Choice, Estimate, Threshold
from routeware.lab.tune_frontier import SEARCHED, Frontier, Goal
from routeware.lab.tune_samples import ANSWERED, CENSORED, Sample

Array = np.ndarray
Draw = Callable[[np.random.Generator, int], tuple[Array, Array]]

TRUTH = 200_000


@attrs.frozen(kw_only=True)
class Case:
    """A world that data are drawn from, and how they are seen."""

    name: str
    shape: str
    spearman: float = 0.0
    count: int = 1000
    cut_at_ms: float | None = None
    paired: bool = False
    correlation: float | None = 0.0
    late: float = 0.1

    def draw(self, seed: int, count: int) -> tuple[Array, Array]:
        """Latencies in milliseconds of ``count`` calls."""
        first, second = ranks(np.random.default_rng(seed), count, self.spearman)
        return 1000 * latency_s(self.shape, first), 1000 * latency_s(self.shape, second, 1.1)

    def samples(self, seed: int) -> tuple[Sample, Sample]:
        """What is seen of them."""
        keys = tuple(map(str, range(self.count))) if self.paired else ()
        x, y = self.draw(seed, self.count)
        return self._seen("primary", x, keys), self._seen("backup", y, keys)

    def _seen(self, label: str, latencies: Array, keys: tuple[str, ...]) -> Sample:
        cut = latencies > (np.inf if self.cut_at_ms is None else self.cut_at_ms)
        elapsed = np.minimum(latencies, np.inf if self.cut_at_ms is None else self.cut_at_ms)
        return Sample(label, elapsed, np.where(cut, CENSORED, ANSWERED).astype(np.uint8), keys)

    @property
    def target_ms(self) -> float:
        """Where the primary alone is late for a share ``late`` of its calls."""
        return float(1000 * latency_s(self.shape, np.array([1.0 - self.late]))[0])


CASES = (
    Case(name="lognormal, 1,000 each", shape="lognormal"),
    Case(name="lognormal, 300 each", shape="lognormal", count=300),
    Case(name="lognormal, cut off at 3.5 medians", shape="lognormal", cut_at_ms=3500.0),
    Case(name="two-humped, 1,000 each", shape="two-humped", late=0.08),
    Case(name="lognormal, correlation 0.3, pairs", shape="lognormal", spearman=0.3, paired=True),
    Case(name="lognormal, correlation 0.3, pairs, 300", shape="lognormal", spearman=0.3, paired=True, count=300),
    Case(name="lognormal, correlation 0.3, no pairs", shape="lognormal", spearman=0.3, correlation=None),
    Case(name="lognormal, correlation 0.3, taken for independent", shape="lognormal", spearman=0.3),
)


def covered(case: Case, repeats: int) -> Sequence[object]:
    """How often the 90 % intervals hold the truth, over the thresholds of a frontier; and what the choices do."""
    x, y = case.draw(999_999, 2_000_000)
    goal = Goal(target_ms=case.target_ms)
    hits: dict[str, list[bool]] = {"p50": [], "p95": [], "p99": [], "mean": [], "extra": [], "misses": []}
    by_bound, by_point, none = [], [], 0
    for repeat in range(repeats):
        primary, backup = case.samples(repeat)
        correlation = None if case.paired else case.correlation
        frontier = Frontier(primary, backup, goal, paired=case.paired, correlation=correlation, seed=repeat)
        candidates = frontier.candidates(SEARCHED, case.target_ms)
        point = frontier.point(candidates[(7 * repeat) % (len(candidates) - 1)])
        choice = frontier.choose()
        assert choice is not None
        for name, estimate, truth in _truths(point, x, y, case.target_ms):
            if estimate.value is not None:
                hits[name].append(_holds(estimate, truth))
        for chosen, kept in ((choice.chosen, by_bound), (choice.by_the_point, by_point)):
            if chosen is not None:
                kept.append(_misses(chosen, x, y, case.target_ms) <= 0.05)
        none += choice.chosen is None
    shares = [_percent(each) for each in hits.values()]
    return (case.name, *shares, _percent(by_bound), _percent(by_point), f"{none} of {repeats}")


def _truths(point: Threshold, x: Array, y: Array, target_ms: float) -> Iterable[tuple[str, Estimate, float]]:
    after = np.inf if point.race_after_ms is None else point.race_after_ms
    latency = np.minimum(x, after + y)
    assert point.misses is not None
    yield "p50", point.p50_ms, float(np.quantile(latency, 0.5))
    yield "p95", point.p95_ms, float(np.quantile(latency, 0.95))
    yield "p99", point.p99_ms, float(np.quantile(latency, 0.99))
    yield "mean", point.mean_ms, float(latency.mean())
    yield "extra", point.extra, float((x > after).mean())
    yield "misses", point.misses, float((latency > target_ms).mean())


def _holds(estimate: Estimate, truth: float) -> bool:
    """Whether an interval holds the truth; an end that the data do not reach is open."""
    low = -np.inf if estimate.low is None else estimate.low
    high = np.inf if estimate.high is None else estimate.high
    return bool(low - 1e-9 <= truth <= high + 1e-9)


def _misses(point: Threshold, x: Array, y: Array, target_ms: float) -> float:
    after = np.inf if point.race_after_ms is None else point.race_after_ms
    return float((np.minimum(x, after + y) > target_ms).mean())


def _percent(hits: Sequence[bool]) -> str:
    return f"{np.mean(hits):.0%}" if len(hits) else "-"


# Recorded facts: quantile functions of hosted models, and how much the latencies of one prompt depend on each other.


@attrs.frozen
class Recorded:
    """Models by their quantile functions, one per size of the input, and the pairs of different providers."""

    curves: Mapping[str, Sequence[Array]]
    pairs: Sequence[tuple[str, str, float]]

    def draw(self, pair: tuple[str, str, float]) -> Draw:
        """Return what draws both latencies of a request: its size is the same at both."""
        first, second, spearman = pair

        def latencies(random: np.random.Generator, count: int) -> tuple[Array, Array]:
            u, v = _coupled(random, count, spearman)
            sizes = random.integers(0, len(self.curves[first]), count)
            x, y = np.empty(count), np.empty(count)
            for size in range(len(self.curves[first])):
                its = sizes == size
                x[its] = np.interp(u[its], *self.curves[first][size])
                y[its] = np.interp(v[its], *self.curves[second][size])
            return x, y

        return latencies


def _coupled(random: np.random.Generator, count: int, spearman: float) -> tuple[Array, Array]:
    rho = 2.0 * math.sin(math.pi * spearman / 6.0)
    first = random.standard_normal(count)
    second = rho * first + math.sqrt(max(0.0, 1.0 - rho * rho)) * random.standard_normal(count)
    return _shares_of(first), _shares_of(second)


_SCORES = np.linspace(-6.0, 6.0, 6001)
_NORMAL = np.array([0.5 * math.erfc(-score / math.sqrt(2.0)) for score in _SCORES])


def _shares_of(scores: Array) -> Array:
    return np.interp(scores, _SCORES, _NORMAL)


def recorded(folder: Path, *, by_size: bool) -> Recorded:
    """Read the facts of one campaign."""
    name = "bfcl_by_size" if by_size else "bfcl_quantiles"
    points: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    provider = {}
    with (folder / f"{name}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            provider[row["model"]] = row["provider"]
            points[row["model"]][int(row.get("size_bucket") or 0)].append((float(row["q"]), float(row["latency_ms"])))
    curves = {model: [np.array(sorted(sizes[size])).T for size in sorted(sizes)] for model, sizes in points.items()}
    pairs = []
    column = "spearman_within_buckets" if by_size else "spearman"
    with (folder / f"{'bfcl_by_size_spearman' if by_size else 'bfcl_spearman'}.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            first, second = row["model_a"], row["model_b"]
            if first in curves and second in curves and provider[first] != provider[second]:
                pairs += [(first, second, float(row[column])), (second, first, float(row[column]))]
    return Recorded(curves, pairs)


def unseen(facts: Recorded, name: str, count: int, repeats: int, seed: int) -> Sequence[object]:
    """Return how choice and intervals do on ``repeats`` pairs, from files with ``count`` rows per link and no pairs."""
    random = np.random.default_rng([seed, count])
    meets, by_point, extra, none = [], [], [], 0
    hits: dict[str, list[bool]] = defaultdict(list)
    done = 0
    while done < repeats:
        draw = facts.draw(facts.pairs[random.integers(len(facts.pairs))])
        x, y = draw(random, TRUTH)
        alone, at_once = (float(np.quantile(each, 0.95)) for each in (x, np.minimum(x, y)))
        if at_once * 1.05 >= alone:
            continue  # racing has nothing to give to this pair
        done += 1
        target_ms = float(random.uniform(1.05 * at_once, alone))
        primary, backup = (
            Sample(label, each, np.zeros(count, dtype=np.uint8))
            for label, each in zip("ab", draw(random, count), strict=True)
        )
        frontier = Frontier(primary, backup, Goal(target_ms=target_ms), seed=done)
        choice = frontier.choose()
        assert choice is not None
        for kind, point in (
            ("never", frontier.point(math.inf)),
            ("raced", _raced(choice) or frontier.point(0.5 * target_ms)),
        ):
            truths = {each: (estimate, truth) for each, estimate, truth in _truths(point, x, y, target_ms)}
            for quantile in ("p95", "p99"):
                hits[f"{kind} {quantile}"].append(_holds(*truths[quantile]))
        if choice.by_the_point is not None:
            by_point.append(_misses(choice.by_the_point, x, y, target_ms) <= 0.05)
        if choice.chosen is None:
            none += 1
            continue
        after = math.inf if choice.chosen.race_after_ms is None else choice.chosen.race_after_ms
        meets.append(_misses(choice.chosen, x, y, target_ms) <= 0.05)
        extra.append(float((x > after).mean()))
    shares = [_percent(hits[key]) for key in ("never p95", "never p99", "raced p95", "raced p99")]
    return (
        name,
        f"{count:,}",
        _percent(meets),
        _percent(by_point),
        f"{none} of {repeats}",
        f"{np.mean(extra):.0%}",
        *shares,
    )


def _raced(choice: Choice) -> Threshold | None:
    return choice.chosen if choice.chosen is not None and choice.chosen.race_after_ms is not None else None


def hosts(file: Path) -> Iterable[Sequence[object]]:
    """All pairs of hosts: threshold from the first half of the rows, result on the second."""
    samples = {label.partition(":")[0]: each for label, each in read_source(str(file), Columns()).samples.items()}
    for first, primary in samples.items():
        for second, backup in samples.items():
            if first != second:
                yield _pair(first, second, primary, backup)


def _pair(first: str, second: str, primary: Sample, backup: Sample) -> Sequence[object]:
    half = (_half(primary, late=False), _half(backup, late=False))
    alone = tune(*half).thresholds[-1].p95_ms.value
    if alone is None:
        return first, second, "unknown", "", "", "", "", "", ""
    target_ms = 0.8 * alone
    choice = tune(*half, target_p95_ms=target_ms).choice
    assert choice is not None
    chosen = choice.chosen or choice.best
    assert chosen is not None
    after = math.inf if chosen.race_after_ms is None else chosen.race_after_ms
    later = _half(primary, late=True), _half(backup, late=True)
    frontier = Frontier(*later, Goal(target_ms=target_ms))
    reached, never = frontier.point(after), frontier.point(math.inf)
    assert reached.misses is not None
    return (
        *(first, second, f"{target_ms:,.0f}", _shown(chosen.race_after_ms), "yes" if choice.chosen else "no"),
        *(_shown(never.p95_ms.value, "unknown"), _shown(reached.p95_ms.value, "unknown")),
        *(f"{reached.misses.value or 0:.0%}", f"{reached.extra.value or 0:.0%}"),
    )


def _shown(amount: float | None, absent: str = "never") -> str:
    return absent if amount is None else f"{amount:,.0f}"


def _half(sample: Sample, *, late: bool) -> Sample:
    middle = len(sample) // 2
    rows = slice(middle, None) if late else slice(None, middle)
    return attrs.evolve(sample, elapsed_ms=sample.elapsed_ms[rows], kinds=sample.kinds[rows])


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400, help="per made world; 0 leaves them out")
    parser.add_argument("--recorded", type=Path, default=os.environ.get("ROUTEWARE_RECORDED"))
    parser.add_argument("--pairs", type=int, default=200, help="draws of recorded pairs per row of the table")
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 150, 300, 800], help="rows per link in the file")
    parser.add_argument("--facts", nargs="+", default=["quantiles", "by size"], help="which recorded facts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hosts", action="store_true", help="the pairs of the eight recorded hosts, too")
    given = parser.parse_args(arguments)
    if given.repeats:
        intervals = ("p50", "p95", "p99", "mean", "extra", "misses")
        choices = ("meets, by the bound", "meets, by the point", "no threshold")
        rows = (covered(case, given.repeats) for case in CASES)
        table("Made data: intervals and choices", ("data", *intervals, *choices), rows)
    if given.recorded is None or not Path(given.recorded).is_dir():
        print("\nNo folder of recorded facts (--recorded): that part is left out.")
        return 0
    folder = Path(given.recorded)
    columns = ("data", "rows each", "meets, by the bound", "meets, by the point", "no threshold", "extra")
    coverage = ("p95 alone", "p99 alone", "p95 raced", "p99 raced")
    each = [(name, recorded(folder, by_size=name == "by size")) for name in given.facts]
    rows = (unseen(facts, name, count, given.pairs, given.seed) for name, facts in each for count in given.rows)
    table("Recorded models, dependent, without pairs in the file", (*columns, *coverage), rows)
    if given.hosts:
        columns = ("target, ms", "race after, ms", "met with confidence", "p95 alone", "p95 raced", "misses", "extra")
        table("Eight hosts", ("primary", "backup", *columns), hosts(folder / "llama2_hosts.csv"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
