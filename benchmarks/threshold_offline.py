"""What `routeware tune` is worth on data that it has not seen: do its intervals cover, does its choice meet the target?

Fresh synthetic data, 400 repeats each; the truth comes from two million draws of the same world. Then all pairs of the
eight recorded hosts in ../shared/data/llama2_hosts.csv: threshold from the first half, result on the second. Without
that folder the pairs are left out.

    python benchmarks/threshold_offline.py [--repeats 400]        # some three minutes, numpy
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import numpy as np
from threshold_world import latency_s, ranks  # first: it finds routeware

from routeware.lab.tune import SEARCHED, candidates_of, race_of, tune
from routeware.lab.tune_facts import Estimate, Threshold
from routeware.lab.tune_frontier import Frontier, meeting
from routeware.lab.tune_samples import ANSWERED, CENSORED, Sample, samples_from_csv

HOSTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "llama2_hosts.csv"
Array = np.ndarray


@attrs.frozen(kw_only=True)
class Case:
    """A world that data are drawn from, and how they are seen."""

    name: str
    shape: str
    spearman: float = 0.0
    count: int = 1000
    cut_at_ms: float | None = None
    paired: bool = False
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
)


def covered(case: Case, repeats: int) -> Sequence[object]:
    """How often the 90 % intervals hold the truth, over the thresholds of a frontier; and what the choices do."""
    x, y = case.draw(999_999, 2_000_000)
    hits: dict[str, list[bool]] = {"p50": [], "p95": [], "mean": [], "extra": [], "misses": []}
    by_bound, by_point, none = [], [], 0
    for repeat in range(repeats):
        primary, backup = case.samples(repeat)
        race, _ = race_of(primary, backup, case.target_ms, case.paired, np.random.default_rng(repeat))
        frontier = Frontier(race, case.target_ms, 0.9, None)
        candidates = candidates_of(primary, case.target_ms, SEARCHED)
        point = frontier.point(candidates[(7 * repeat) % (len(candidates) - 1)])
        choice = meeting(frontier, candidates, case.target_ms)
        for name, estimate, truth in _truths(point, x, y, case.target_ms):
            if estimate.value is not None:
                hits[name].append(_holds(estimate, truth))
        for chosen, kept in ((choice.chosen, by_bound), (choice.by_the_point, by_point)):
            if chosen is not None:
                kept.append(_misses(chosen, x, y, case.target_ms) <= 0.05)
        none += choice.chosen is None
    shares = [f"{np.mean(each):.0%}" if each else "-" for each in hits.values()]
    return (case.name, *shares, f"{np.mean(by_bound):.0%}", f"{np.mean(by_point):.0%}", f"{none} of {repeats}")


def _truths(point: Threshold, x: Array, y: Array, target_ms: float) -> Iterable[tuple[str, Estimate, float]]:
    after = np.inf if point.race_after_ms is None else point.race_after_ms
    latency = np.minimum(x, after + y)
    assert point.misses is not None
    yield "p50", point.p50_ms, float(np.quantile(latency, 0.5))
    yield "p95", point.p95_ms, float(np.quantile(latency, 0.95))
    yield "mean", point.mean_ms, float(latency.mean())
    yield "extra", point.extra, float((x > after).mean())
    yield "misses", point.misses, float((latency > target_ms).mean())


def _holds(estimate: Estimate, truth: float) -> bool:
    low = -np.inf if estimate.low is None else estimate.low
    high = np.inf if estimate.high is None else estimate.high
    return bool(low - 1e-9 <= truth <= high + 1e-9)


def _misses(point: Threshold, x: Array, y: Array, target_ms: float) -> float:
    after = np.inf if point.race_after_ms is None else point.race_after_ms
    return float((np.minimum(x, after + y) > target_ms).mean())


def pairs() -> Iterable[Sequence[object]]:
    """All pairs of hosts: threshold from the first half of the rows, result on the second."""
    samples = {label.partition(":")[0]: sample for label, sample in samples_from_csv(HOSTS).items()}
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
    after = chosen.race_after_ms
    there = tune(_half(primary, late=True), _half(backup, late=True), target_p95_ms=target_ms)
    # The nearest threshold of the second half's frontier that is not later.
    reached = [each for each in there.thresholds if _not_later(each, after)][-1]
    assert reached.misses is not None
    never = there.thresholds[-1]
    return (
        *(first, second, f"{target_ms:,.0f}", _shown(chosen.race_after_ms), "yes" if choice.chosen else "no"),
        *(_shown(never.p95_ms.value, "unknown"), _shown(reached.p95_ms.value, "unknown")),
        *(f"{reached.misses.value or 0:.0%}", f"{reached.extra.value or 0:.0%}"),
    )


def _not_later(point: Threshold, after: float | None) -> bool:
    return after is None or (point.race_after_ms is not None and point.race_after_ms <= after)


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
    parser.add_argument("--repeats", type=int, default=400)
    repeats = parser.parse_args(arguments).repeats
    intervals = ("p50", "p95", "mean", "extra", "misses")
    choices = ("meets, by the bound", "meets, by the point", "no threshold")
    table("Intervals and choices", ("data", *intervals, *choices), (covered(case, repeats) for case in CASES))
    if not HOSTS.is_file():
        print(f"\nNo recorded requests at {HOSTS}: the pairs of hosts are left out.")
        return 0
    columns = ("target, ms", "race after, ms", "met with confidence", "p95 alone", "p95 raced", "misses", "extra")
    table("Eight hosts: threshold from the first half, result on the second", ("primary", "backup", *columns), pairs())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
