"""The computation and the real thing: a frontier as `routeware tune` predicts it, and as the engine measures it.

Both see the demo's providers (recorded quantiles, their correlation, refusals and dropped connections), but different
requests: the prediction comes from the first 4,000, the engine serves the next 4,000 on a clock that jumps. It predicts
twice, from pairs of one request and as if the two providers had nothing to do with each other.

With a FILE of your own latencies, as `routeware tune` reads it, it does the same with them: the prediction comes from
the first half of the rows, and the engine serves the second half.

    python benchmarks/race_thresholds.py [--calls 4000] [--picture docs/race-thresholds.svg]      # half a minute
    python benchmarks/race_thresholds.py latencies.csv --primary openai --backup anthropic [--pair-by prompt]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from routeware import Attempt, AttemptTrigger, CallRecord, RoutingPolicy, record_of, routed
from routeware.demo.draws import Draw, Draws, Fault, packaged_facts
from routeware.lab.sources import links_of, read_source
from routeware.lab.tables import Mapping
from routeware.lab.tune import tune
from routeware.lab.tune_facts import Estimate, Threshold
from routeware.lab.tune_race import pairs_of
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, Sample
from tests.fakes.clock import run_jumping

PRIMARY, BACKUP = "openai", "anthropic"
NEVER_MS = 1e7
QUANTILES = (0.5, 0.95, 0.99)
Fates = Sequence[dict[str, Draw]]


class ProviderError(Exception):
    """A provider's answer that is none."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status


@attrs.frozen(kw_only=True)
class Measured:
    """What the engine did at one threshold."""

    race_after_ms: float | None
    quantiles_ms: tuple[float, ...]
    extra: float


def fates(first: int, count: int) -> Fates:
    draws = Draws(packaged_facts(), seed=1)
    return [draws.of(request) for request in range(first, first + count)]


def sample(provider: str, drawn: Fates) -> Sample:
    """What a table of these requests would hold."""
    elapsed = np.array([fate[provider].after_ms for fate in drawn])
    kinds = np.array([ANSWERED if fate[provider].fault is None else FAILED for fate in drawn], dtype=np.uint8)
    return Sample(provider, elapsed, kinds, tuple(map(str, range(len(drawn)))))


def halves(file: str, given: argparse.Namespace) -> tuple[Sample, Sample, Fates]:
    """The first half of a file's rows, and the second half as requests: the n-th row of one link with the other's."""
    mapping = Mapping(
        latency=given.latency,
        link=given.link,
        status=given.status,
        unit=given.unit,
        pair_by=given.pair_by,
        order_by=given.order_by,
    )
    primary, backup = links_of([read_source(file, mapping)], given.primary, given.backup)
    if given.pair_by is not None:
        ours, theirs = pairs_of(primary, backup)
        primary, backup = rows(primary, ours), rows(backup, theirs)
    count = min(len(primary), len(backup))
    known, fresh = np.arange(count // 2), np.arange(count // 2, count)
    later = rows(primary, fresh), rows(backup, fresh)
    requests = [
        {name: draw_of(each, place) for name, each in zip((PRIMARY, BACKUP), later, strict=True)}
        for place in range(len(fresh))
    ]
    return rows(primary, known), rows(backup, known), requests


def rows(sample: Sample, places: np.ndarray) -> Sample:
    keys = tuple(sample.keys[place] for place in places) if sample.keys else ()
    return attrs.evolve(sample, elapsed_ms=sample.elapsed_ms[places], kinds=sample.kinds[places], keys=keys)


def draw_of(sample: Sample, place: int) -> Draw:
    """What one row says: what was cut off is taken never to answer, as the prediction takes it."""
    if sample.kinds[place] == FAILED:
        return Draw(after_ms=float(sample.elapsed_ms[place]), fault=Fault.SERVER_ERROR, output_tokens=0)
    cut = sample.kinds[place] == CENSORED
    return Draw(after_ms=NEVER_MS if cut else float(sample.elapsed_ms[place]), fault=None, output_tokens=0)


def measured(race_after_ms: float | None, drawn: Fates) -> Measured:
    """Serve the requests with the engine, one after another. Nothing times out: time-outs are not what is compared."""
    chain = [{"provider": name, "model": "m", "timeout_ms": 10 * NEVER_MS} for name in (PRIMARY, BACKUP)]
    policy = RoutingPolicy(chain=chain, latency={"race_after_ms": race_after_ms})

    @routed(policy)
    async def ask(attempt: Attempt, fate: dict[str, Draw]) -> str:
        draw = fate[attempt.provider]
        await asyncio.sleep(draw.after_ms / 1000)
        match draw.fault:
            case None:
                return attempt.provider
            case Fault.DROPPED:
                raise ConnectionResetError
            case Fault.RATE_LIMITED:
                raise ProviderError(429)
            case Fault.SERVER_ERROR:
                raise ProviderError(500)

    async def serve() -> list[CallRecord]:
        records = []
        for fate in drawn:
            try:
                records.append((await ask.outcome(fate)).record)
            except (ConnectionResetError, ProviderError) as error:
                record = record_of(error)
                assert record is not None
                records.append(record)
        return records

    records = run_jumping(serve())
    latencies = [each.duration_ms if each.outcome == "succeeded" else np.inf for each in records]
    raced = [any(attempt.trigger is AttemptTrigger.RACE for attempt in each.attempts) for each in records]
    quantiles = np.quantile(latencies, QUANTILES, method="higher")
    return Measured(race_after_ms=race_after_ms, quantiles_ms=tuple(quantiles.tolist()), extra=float(np.mean(raced)))


def show(paired: Sequence[Threshold], apart: Sequence[Threshold], found: Sequence[Measured]) -> None:
    print(
        "| race after, ms | p50 measured | predicted | p95 measured | predicted | independent | p99 measured |",
        end=" predicted |",
    )
    print(" extra measured | predicted |\n|" + "---|" * 10)
    for ours, theirs, real in zip(paired, apart, found, strict=True):
        p50, p95, p99 = real.quantiles_ms
        after = "never" if real.race_after_ms is None else f"{real.race_after_ms:,.0f}"
        cells = (
            *(after, f"{p50:,.0f}", shown(ours.p50_ms), f"{p95:,.0f}", shown(ours.p95_ms), shown(theirs.p95_ms)),
            *(f"{p99:,.0f}", shown(ours.p99_ms), f"{real.extra:.1%}", f"{ours.extra.value or 0:.1%}"),
        )
        print("| " + " | ".join(cells) + " |")


def shown(estimate: Estimate) -> str:
    if estimate.value is None:
        return "unknown"
    high = "?" if estimate.high is None else f"{estimate.high:,.0f}"
    return f"{estimate.value:,.0f} ({estimate.low or 0:,.0f} to {high})"


def draw(title: str, paired: Sequence[Threshold], found: Sequence[Measured], path: Path) -> None:
    """Lines and bands are predicted, dots are measured."""
    figure = Figure(figsize=(8.0, 7.0), layout="constrained")
    FigureCanvasAgg(figure)
    latency, spend = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    at = [each.race_after_ms for each in paired if each.race_after_ms is not None]
    rows = list(zip(paired, found, strict=True))[: len(at)]
    for place, (name, colour) in enumerate((("p50", "#4c78a8"), ("p95", "#e45756"), ("p99", "#9d755d"))):
        predicted = [(each.p50_ms, each.p95_ms, each.p99_ms)[place] for each, _ in rows]
        latency.plot(at, [each.value for each in predicted], color=colour, label=f"{name} predicted")
        low = [each.low if each.low is not None else each.value for each in predicted]
        high = [each.high if each.high is not None else each.value for each in predicted]
        latency.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
        latency.plot(at, [real.quantiles_ms[place] for _, real in rows], "o", color=colour, label=f"{name} measured")
    spend.plot(at, [100 * (each.extra.value or 0) for each, _ in rows], color="#54a24b", label="predicted")
    spend.plot(at, [100 * real.extra for _, real in rows], "o", color="#54a24b", label="measured")
    latency.set_title(f"{title}: predicted from other requests, measured by the engine")
    latency.set_ylabel("latency of the call, ms")
    spend.set_ylabel("extra attempts, % of calls")
    spend.set_xlabel("race_after_ms")
    for axes in (latency, spend):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?")
    for name in ("primary", "backup", "latency", "link", "status", "unit", "pair-by", "order-by"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args(arguments)
    # Some requests fail at both providers; that is in the figures.
    logging.getLogger("routeware").setLevel(logging.ERROR)
    if given.file is None:
        known, fresh = fates(0, given.calls), fates(given.calls, given.calls)
        primary, backup, has_pairs = sample(PRIMARY, known), sample(BACKUP, known), True
    else:
        primary, backup, fresh = halves(given.file, given)
        has_pairs = given.pair_by is not None
    paired = tune(primary, backup, paired=has_pairs).thresholds
    every = paired[:: len(paired) // 12]
    chosen = [*every, *([] if every[-1].race_after_ms is None else [paired[-1]])]
    apart = {each.race_after_ms: each for each in tune(primary, backup, correlation=0.0).thresholds}
    found = [measured(each.race_after_ms, fresh) for each in chosen]
    show(chosen, [apart[each.race_after_ms] for each in chosen], found)
    if given.picture is not None:
        draw(f"{primary.label} raced against {backup.label}", chosen, found, given.picture)
        print(f"\nWrote {given.picture}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
