"""What traces and metrics cost: microseconds per call, beside the same spans and measurements written by hand.

Run it with ``python benchmarks/tracing.py [--rounds N] [--spans N]``; it needs the extra ``dev``. The subjects take
turns within one run, each is timed in processor time, and the ratio is the median over the rounds: a busy machine slows
all of them alike. After the table a million spans go through an exporter that never comes back: how much memory that
takes, and how much longer calls take than with tracing off. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AnyValue

from routeware import Attempt, RoutingPolicy, routed

CALLS = 300
LINK = {
    "provider": "primary",
    "model": "small",
    "price": {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0},
}
CHAIN: list[Any] = [LINK, {**LINK, "provider": "backup"}]
REPLY = {"model": "small", "usage": {"prompt_tokens": 12, "completion_tokens": 34}}

NAME = {"routeware.call.name": "ask"}
CALL_START: dict[str, AnyValue] = {
    **NAME,
    "routeware.policy.label": "routing_policy(chain=2)",
    "routeware.policy.chain": ["primary:small", "backup:small"],
    "routeware.policy.max_attempts": 2,
}
CALL_END: dict[str, AnyValue] = {
    "routeware.call.outcome": "succeeded",
    "routeware.call.attempts": 1,
    "routeware.call.selected": "primary:small",
    "routeware.call.cost_usd": 0.00037,
    "routeware.call.uncertain_usd": 0.0,
    "routeware.call.wasted_usd": 0.0,
}
ATTEMPT_LINK: dict[str, AnyValue] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "primary",
    "gen_ai.request.model": "small",
    "routeware.link.label": "primary:small",
}
ATTEMPT_START: dict[str, AnyValue] = {
    **ATTEMPT_LINK,
    "routeware.attempt.number": 1,
    "routeware.attempt.trigger": "initial",
    "routeware.attempt.timeout_s": 120.0,
}
ATTEMPT_END: dict[str, AnyValue] = {
    "routeware.attempt.status": "succeeded",
    "routeware.cost.usd": 0.00037,
    "routeware.cost.source": "priced",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 34,
    "gen_ai.response.model": "small",
}

Subject = Callable[[], Awaitable[object]]


class Row(NamedTuple):
    """One comparison: the same things left behind by routeware and by hand."""

    name: str
    ours: Subject
    by_hand: Subject


async def provider(_prompt: str) -> Mapping[str, Any]:
    return REPLY


def spans_by_hand(provider_of_tracers: TracerProvider) -> Subject:
    """The two spans of a call, with the attributes that routeware gives them."""
    tracer = provider_of_tracers.get_tracer("by hand")

    async def call() -> object:
        outer = tracer.start_span("routeware.call ask", kind=SpanKind.INTERNAL, attributes=CALL_START)
        context = trace.set_span_in_context(outer)
        inner = tracer.start_span("chat small", context, kind=SpanKind.CLIENT, attributes=ATTEMPT_START)
        with trace.use_span(inner, end_on_exit=False):
            answer = await provider("hi")
        inner.set_attributes(ATTEMPT_END)
        inner.end()
        outer.set_attributes(CALL_END)
        outer.end()
        return answer

    return call


def measured_by_hand(call: Subject, meter: Meter) -> Subject:
    """The same call with the measurements that routeware makes."""
    calls = meter.create_histogram("routeware.call.duration", "s")
    attempts = meter.create_histogram("routeware.attempt.duration", "s")
    count, cost = meter.create_counter("routeware.attempts"), meter.create_counter("routeware.cost")
    inflight = meter.create_up_down_counter("routeware.inflight")
    link = {**NAME, **ATTEMPT_LINK}
    ended = {**link, "routeware.attempt.status": "succeeded"}
    counted = {**ended, "routeware.attempt.trigger": "initial"}
    spent: dict[str, AnyValue] = {**ended, "routeware.cost.wasted": False}
    answered = {**NAME, "routeware.call.outcome": "succeeded"}

    async def measured() -> object:
        start = time.perf_counter()
        inflight.add(1, link)
        answer = await call()
        inflight.add(-1, link)
        took = time.perf_counter() - start
        count.add(1, counted)
        attempts.record(took, ended)
        cost.add(0.00037, spent)
        calls.record(took, answered)
        return answer

    return measured


async def bare() -> object:
    return await provider("hi")


def asking(**providers: Any) -> Subject:
    """A routed function whose calls are answered by the first link, and report their usage."""

    @routed(RoutingPolicy(chain=CHAIN), name="ask", **providers)
    async def ask(attempt: Attempt, prompt: str) -> object:
        return attempt.report(await provider(prompt))

    return lambda: ask("hi")


def rows() -> list[Row]:
    """What is compared: each kind of tracing, with metrics and without."""
    compared = []
    for name, sampler in (("spans recorded", ALWAYS_ON), ("spans sampled out", ALWAYS_OFF), ("no SDK", None)):
        tracers = TracerProvider(sampler=sampler, shutdown_on_exit=False) if sampler is not None else None
        meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
        by_hand = bare if tracers is None else spans_by_hand(tracers)
        compared += [
            Row(name, asking(tracer_provider=tracers), by_hand),
            Row(
                f"{name}, with metrics",
                asking(tracer_provider=tracers, meter_provider=meters),
                measured_by_hand(by_hand, meters.get_meter("by hand")),
            ),
        ]
    return compared[::-1]


async def time_us(subject: Subject, calls: int = CALLS) -> float:
    """Microseconds of processor time for one call."""
    start = time.process_time()
    for number in range(calls):
        await subject()
        if number % 100 == 0:
            await asyncio.sleep(0)  # so that the loop turns, and forgets timers that were cancelled
    return (time.process_time() - start) / calls * 1e6


async def compare(rounds: int) -> None:
    """Time everything in turns, and print."""
    compared = rows()
    times = [[(await time_us(row.ours), await time_us(row.by_hand)) for row in compared] for _ in range(rounds)]
    print(f"{'µs per call':38} {'routeware':>10} {'by hand':>10} {'ratio':>7} {'added to no SDK':>16}")
    plain = [each[1][0] for each in times]
    for index, row in enumerate(compared):
        ours, by_hand = ([each[index][side] for each in times] for side in (0, 1))
        ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, by_hand, strict=True))
        added = statistics.median(mine - without for mine, without in zip(ours, plain, strict=True))
        shown = "" if row.by_hand is bare else f"{ratio:7.2f}"
        print(
            f"{row.name:38} {statistics.median(ours):10.1f} {statistics.median(by_hand):10.1f} {shown:>7} {added:16.1f}"
        )


class Stopped(SpanExporter):
    """An exporter whose collector took the connection, and never answers."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.released.wait()
        return SpanExportResult.FAILURE


def peak_mib() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


async def stopped(spans: int) -> None:
    """Send so many spans to an exporter that never comes back, and print what became of memory and time."""
    exporter = Stopped()
    tracers = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(exporter))
    ours, off = asking(tracer_provider=tracers), asking()
    steps = 10
    calls = spans // 2 // steps
    await time_us(ours, 5_000)  # the queue is full
    began, before = time.monotonic(), peak_mib()
    took = [(await time_us(ours, calls), await time_us(off, calls // 10)) for _ in range(steps)]
    grown = peak_mib() - before
    with_spans, without = (statistics.median(side) for side in zip(*took, strict=True))
    exporter.released.set()
    print(
        f"\n{2 * calls * steps:,} spans through an exporter that never comes back, in {time.monotonic() - began:.0f} s:"
        f"\nmemory grew by {grown:.1f} MiB to {before + grown:.0f} MiB; {with_spans:.1f} µs per call, {without:.1f} µs"
        f" with tracing off; the first tenth took {took[0][0]:.1f} µs, the last {took[-1][0]:.1f} µs"
    )
    tracers.shutdown()


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="how often each subject is timed (default: 40)")
    parser.add_argument("--spans", type=int, default=1_000_000, help="for the stopped exporter (default: a million)")
    chosen = parser.parse_args()
    print(
        f"CPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {chosen.rounds} rounds\n"
    )
    asyncio.run(compare(chosen.rounds))
    asyncio.run(stopped(chosen.spans))


if __name__ == "__main__":
    main()
