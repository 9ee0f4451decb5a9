"""Streams in the lab: their latency is the time to the first item, which is what their calls race for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress

import attrs
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytest.importorskip("numpy")

from routeware import Attempt, CallRecord, RoutingPolicy, routed
from routeware.lab import replay
from routeware.lab.calls import AttemptBar, CallTree, call_from_record, calls
from routeware.lab.reading_spans import jaeger_span
from routeware.lab.replaying import recorded
from routeware.lab.summary import summary
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, observed_calls
from routeware.records import AttemptStatus, AttemptTrigger
from tests.fakes.clock import run_jumping
from tests.fakes.drawing import drawn
from tests.fakes.exported import comparable, jaeger

POLICY = RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 400})


class BrokenError(Exception):
    """A connection that ended in the middle of a stream."""


def served(
    times: list[tuple[float, float]], *, breaks: bool = False, operation: str | None = "chat"
) -> tuple[list[CallRecord], list[CallTree]]:
    """The records and the traces of streams whose first items take so long at each provider, and 2 s more."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    records: list[CallRecord] = []

    @routed(POLICY, tracer_provider=provider, operation=operation, on_call=records.append)
    async def ask(attempt: Attempt, a_ms: float, b_ms: float) -> AsyncIterator[str]:
        await asyncio.sleep((a_ms if attempt.provider == "a" else b_ms) / 1000)
        yield "first"
        await asyncio.sleep(2)
        if breaks:
            raise BrokenError
        yield "last"

    async def serve() -> None:
        for a_ms, b_ms in times:
            with suppress(BrokenError):
                await ask.outcome(a_ms, b_ms)

    run_jumping(serve())
    traced = [span for trace in jaeger(exporter.get_finished_spans())["data"] for span in trace["spans"]]
    undated = [attrs.evolve(record, started_unix_s=None) for record in records]
    return undated, list(calls(jaeger_span(span) for span in traced))


@pytest.mark.parametrize("operation", ["chat", None])
def test_spans_and_records_of_streams_say_when_the_first_item_came(operation: str | None) -> None:
    """Under the conventions' name, or under routeware's where the function calls no model."""
    records, trees = served([(100, 100), (900, 50)], operation=operation)

    assert [comparable(tree) for tree in trees] == [comparable(call_from_record(record)) for record in records]
    assert [[bar.first_item_ms is not None for bar in tree.attempts] for tree in trees] == [[True], [False, True]]


@pytest.mark.parametrize("breaks", [False, True])
def test_a_stream_is_tuned_by_its_first_item_and_a_cut_attempt_without_one_is_censored(breaks: bool) -> None:
    """What becomes of a stream afterwards is no latency, and no failure to answer."""
    records, _ = served([(100, 100), (900, 50)], breaks=breaks)

    observed = observed_calls(call_from_record(record) for record in records)

    a, b = observed.samples["a:m"], observed.samples["b:m"]
    assert a.elapsed_ms == pytest.approx([100, 450], abs=1)
    assert a.kinds.tolist() == [ANSWERED, CENSORED]
    assert b.elapsed_ms == pytest.approx([50], abs=1)
    assert b.kinds.tolist() == [ANSWERED]
    assert observed.raced["a:m", "b:m"].latency_ms == pytest.approx([450], abs=1)


def test_a_first_item_that_was_not_accepted_is_a_failure() -> None:
    """It came, and was no answer."""
    bar = AttemptBar(
        number=1,
        label="a:m",
        status=AttemptStatus.REJECTED,
        trigger=AttemptTrigger.INITIAL,
        started_ms=0,
        duration_ms=200,
        first_item_ms=150,
    )

    sample = observed_calls([CallTree(name="ask", outcome="failed", duration_ms=200, attempts=(bar,))]).samples["a:m"]

    assert sample.kinds.tolist() == [FAILED]


@pytest.mark.parametrize("breaks", [False, True])
def test_streams_replay_up_to_their_first_item(breaks: bool) -> None:
    """The recorded policy gives what was recorded, whether calls come from records or from traces."""
    records, _ = served([(100, 100), (900, 50), (300, 80)] * 5, breaks=breaks)

    for past in (records, [call_from_record(record) for record in records]):
        expected, result = recorded(past), replay(past, POLICY)
        assert result.p95_ms.value == pytest.approx(expected.p95_ms.value, abs=1e-3)
        assert (result.succeeded, result.attempts_per_call) == (expected.succeeded, expected.attempts_per_call)
    assert recorded(records).p50_ms.value == pytest.approx(300, abs=1)


@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", "┃"), ("ascii", "|")])
def test_the_waterfall_marks_the_first_item(encoding: str, mark: str) -> None:
    """In blocks and in ASCII, and the words below say it."""
    (record, *_), _ = served([(900, 1600)])
    tree = call_from_record(record)

    lines = drawn(tree, encoding=encoding).splitlines()

    assert [line.count(mark) for line in lines if "b:m" in line or "a:m" in line][:2] == [1, 0]
    assert "a:m gave its first item after 900 ms and ended after 2.9 s" in summary(tree)
    assert json.loads(json.dumps(tree.to_dict()))["attempts"][0]["first_item_ms"] == pytest.approx(900)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (AttemptStatus.FAILED, "failed after 2 s"),
        (AttemptStatus.RACE_LOST, "lost the race after 2 s"),
        (AttemptStatus.CANCELLED, "was cancelled after 2 s"),
        (AttemptStatus.REJECTED, "was not accepted after 2 s"),
        (None, "stopped after 2 s"),
    ],
)
def test_every_end_of_a_stream_that_had_begun_has_its_words(status: AttemptStatus | None, told: str) -> None:
    """After its first item, which came whatever followed."""
    bar = AttemptBar(
        number=1,
        label="a:m",
        status=status,
        trigger=AttemptTrigger.INITIAL,
        started_ms=0,
        duration_ms=2000,
        first_item_ms=150,
    )

    told_all = summary(CallTree(name="ask", outcome="failed", duration_ms=2000, attempts=(bar,)))

    assert told_all.startswith(f"a:m gave its first item after 150 ms and {told}")
