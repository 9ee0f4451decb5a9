"""The computation and the real thing: a frontier as `routeware tune` predicts it, and as the engine measures it.

Both see the demo's providers (recorded quantiles, their correlation, refusals and dropped connections), but different
requests: the prediction comes from the first 4,000, the engine serves the next 4,000 on a clock that jumps. It predicts
twice, from pairs of one request and as if the two providers had nothing to do with each other.

    python benchmarks/race_thresholds.py [--calls 4000] [--picture docs/race-thresholds.svg]      # half a minute
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from routeware import Attempt, AttemptTrigger, CallRecord, RoutingPolicy, record_of, routed
from routeware.demo.draws import Draw, Draws, Fault
from routeware.demo.facts import packaged_facts
from routeware.lab.tune import tune
from routeware.lab.tune_facts import Estimate, Threshold
from routeware.lab.tune_samples import ANSWERED, FAILED, Sample
from tests.fakes.clock import run_jumping

PRIMARY, BACKUP = "openai", "anthropic"
QUANTILES = (0.5, 0.95, 0.99)
Fates = Sequence[Mapping[str, Draw]]


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


def measured(race_after_ms: float | None, drawn: Fates) -> Measured:
    """Serve the requests with the engine, one after another."""
    policy = RoutingPolicy(chain=[f"{PRIMARY}:m", f"{BACKUP}:m"], latency={"race_after_ms": race_after_ms})

    @routed(policy)
    async def ask(attempt: Attempt, fate: Mapping[str, Draw]) -> str:
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
        "| race after, ms | p50 measured | paired | p95 measured | paired | independent | p99 measured | paired |",
        end="",
    )
    print(" extra measured | paired |\n|" + "---|" * 10)
    for ours, theirs, real in zip(paired, apart, found, strict=True):
        p50, p95, p99 = real.quantiles_ms
        after = "never" if real.race_after_ms is None else f"{real.race_after_ms:,.0f}"
        cells = (
            *(after, f"{p50:,.0f}", told(ours.p50_ms), f"{p95:,.0f}", told(ours.p95_ms), told(theirs.p95_ms)),
            *(f"{p99:,.0f}", told(ours.p99_ms), f"{real.extra:.1%}", f"{ours.extra.value or 0:.1%}"),
        )
        print("| " + " | ".join(cells) + " |")


def told(estimate: Estimate) -> str:
    return f"{estimate.value or 0:,.0f} ({estimate.low or 0:,.0f} to {estimate.high or 0:,.0f})"


def draw(paired: Sequence[Threshold], found: Sequence[Measured], path: Path) -> None:
    """Lines and bands are predicted, dots are measured."""
    figure = Figure(figsize=(8.0, 7.0), layout="constrained")
    FigureCanvasAgg(figure)
    latency, spend = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    at = [each.race_after_ms for each in paired if each.race_after_ms is not None]
    rows = list(zip(paired, found, strict=True))[: len(at)]
    for place, (name, colour) in enumerate((("p50", "#4c78a8"), ("p95", "#e45756"), ("p99", "#9d755d"))):
        predicted = [(each.p50_ms, each.p95_ms, each.p99_ms)[place] for each, _ in rows]
        latency.plot(at, [each.value for each in predicted], color=colour, label=f"{name} predicted")
        low, high = [each.low for each in predicted], [each.high for each in predicted]
        latency.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
        latency.plot(at, [real.quantiles_ms[place] for _, real in rows], "o", color=colour, label=f"{name} measured")
    spend.plot(at, [100 * (each.extra.value or 0) for each, _ in rows], color="#54a24b", label="predicted")
    spend.plot(at, [100 * real.extra for _, real in rows], "o", color="#54a24b", label="measured")
    latency.set_title(f"{PRIMARY} raced against {BACKUP}: predicted from other requests, measured by the engine")
    latency.set_ylabel("latency of the call, ms")
    spend.set_ylabel("extra attempts, % of calls")
    spend.set_xlabel("race_after_ms")
    for axes in (latency, spend):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args(arguments)
    # Some requests fail at both providers; that is in the figures.
    logging.getLogger("routeware").setLevel(logging.ERROR)
    known, fresh = fates(0, given.calls), fates(given.calls, given.calls)
    primary, backup = sample(PRIMARY, known), sample(BACKUP, known)
    paired = tune(primary, backup, paired=True).thresholds
    every = paired[:: len(paired) // 12]
    chosen = [*every, *([] if every[-1].race_after_ms is None else [paired[-1]])]
    apart = {each.race_after_ms: each for each in tune(primary, backup).thresholds}
    found = [measured(each.race_after_ms, fresh) for each in chosen]
    show(chosen, [apart[each.race_after_ms] for each in chosen], found)
    if given.picture is not None:
        draw(chosen, found, given.picture)
        print(f"\nWrote {given.picture}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
