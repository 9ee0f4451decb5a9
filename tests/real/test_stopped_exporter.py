"""An exporter that never comes back costs no memory, no error and no waiting: spans are dropped, calls go on."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from threading import Event

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from routeware import Attempt, RoutingPolicy, routed

# Three spans each, and the queue holds 2,048.
FILLING, CALLS = 900, 1_800


class Stopped(SpanExporter):
    """Its collector took the connection, and never answers."""

    def __init__(self) -> None:
        self.called, self.released = Event(), Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.called.set()
        self.released.wait()
        return SpanExportResult.FAILURE


@pytest.fixture
def exporter() -> Stopped:
    """An exporter that takes one batch."""
    return Stopped()


@pytest.fixture
def stopped(exporter: Stopped) -> Iterator[TracerProvider]:
    """A tracer provider whose batches go nowhere."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=100))
    yield provider
    exporter.released.set()
    provider.shutdown()


class RefusedError(Exception):
    """What fails over."""

    status_code = 503


async def test_memory_is_bounded_and_calls_go_on(stopped: TracerProvider, exporter: Stopped) -> None:
    """Many times as many spans as the queue holds; `benchmarks/tracing.py` sends a million."""

    @routed(RoutingPolicy(chain=["a:m", "b:m"]), tracer_provider=stopped)
    async def ask(attempt: Attempt) -> str:
        await asyncio.sleep(0)  # so that the loop turns, and forgets timers that were cancelled
        if attempt.provider == "a":
            raise RefusedError
        return "done"

    async def many(calls: int) -> tuple[float, int]:
        started = time.monotonic()
        for _ in range(calls):
            assert await ask() == "done"
        gc.collect()
        return (time.monotonic() - started) / calls, tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        await many(FILLING)
        # On a busy machine its thread may take its batch later than this, which makes room in the queue once more.
        assert await asyncio.to_thread(exporter.called.wait, 60)
        filling_s, full = await many(FILLING)
        going_on_s, still_full = await many(CALLS)
    finally:
        tracemalloc.stop()

    assert still_full - full < 250_000  # bytes; the spans of these calls would take a hundred times as much
    # A machine that is busy meanwhile may make that much of a difference; waiting for the exporter would make more.
    assert going_on_s < 3 * filling_s + 0.01
