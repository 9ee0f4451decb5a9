"""What the engine exported, read back: the same frontier as the latencies that the spans came from."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytest.importorskip("numpy")

from routeware import Attempt, CallRecord, RoutingPolicy, record_of, routed
from routeware.lab.calls import call_from_record, calls
from routeware.lab.reading import read_file
from routeware.lab.tune import tune
from routeware.lab.tune_samples import Sample, observed_calls
from tests.fakes.exported import jaeger

CALLS = 240
BEGAN_NS = 1_700_000_000 * 10**9


@pytest.mark.slow
async def test_spans_give_the_same_frontier_as_the_latencies_that_they_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Races are lost, attempts fail and time out; spans say each of it, so nothing is lost on the way to Jaeger."""
    loop = asyncio.get_running_loop()
    for clock in ("time.time_ns", "opentelemetry.sdk.trace.time_ns"):
        # One clock for spans and records: what differs is what was lost.
        monkeypatch.setattr(clock, lambda: BEGAN_NS + round(loop.time() * 1e9))
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    records = await _served(provider)
    file = tmp_path / "jaeger.json"
    file.write_text(json.dumps(jaeger(exporter.get_finished_spans())))

    read = observed_calls(calls(read_file(file))).samples
    known = observed_calls(call_from_record(record) for record in records).samples

    assert {label: _counts(sample) for label, sample in read.items()} == {
        label: _counts(sample) for label, sample in known.items()
    }
    ours, theirs = (tune(found["a:m"], found["b:m"], target_p95_ms=30) for found in (read, known))
    assert len(ours.thresholds) == len(theirs.thresholds)
    for here, there in zip(ours.thresholds, theirs.thresholds, strict=True):
        assert here.p50_ms.value == pytest.approx(there.p50_ms.value, abs=0.01)
        assert here.p95_ms.value == pytest.approx(there.p95_ms.value, abs=0.01)


async def _served(provider: TracerProvider) -> list[CallRecord]:
    drawn = random.Random(1)
    policy = RoutingPolicy(
        chain=[{"provider": "a", "model": "m", "timeout_ms": 60}, "b:m"], latency={"race_after_ms": 12}
    )

    @routed(policy, tracer_provider=provider)
    async def ask(attempt: Attempt, a_ms: float, b_ms: float) -> str:
        await asyncio.sleep((a_ms if attempt.provider == "a" else b_ms) / 1000)
        if a_ms < 4:
            raise ConnectionResetError
        return "answer"

    async def one(a_ms: float, b_ms: float) -> CallRecord | None:
        try:
            return (await ask.outcome(a_ms, b_ms)).record
        except ConnectionResetError as error:
            return record_of(error)

    records = []
    for _ in range(CALLS // 12):
        drawing = ((10 * drawn.lognormvariate(0, 0.65), 10 * drawn.lognormvariate(0, 0.65)) for _ in range(12))
        records += await asyncio.gather(*(one(*each) for each in drawing))
    return [record for record in records if record is not None]


def _counts(sample: Sample) -> list[int]:
    return [int((sample.kinds == kind).sum()) for kind in (0, 1, 2)]
