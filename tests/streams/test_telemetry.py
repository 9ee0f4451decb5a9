"""What a stream leaves in spans, events, metrics and the learner: told at the win, and at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from opentelemetry import trace

from routeware import (
    Attempt,
    RoutingPolicy,
    routed,
)
from tests.fakes.providers import pause
from tests.fakes.tracing import Traces
from tests.streams.films import LAST, USED, Film, Report, Wait, read


async def test_race_events_are_told_at_the_win() -> None:
    """Not at the end of a long stream; each once."""
    traces = Traces()
    film = Film(
        {"a": [Wait(500), "a1"], "b": [Wait(10), "b1", Wait(1_000), "b2"]},
        latency={"race_after_ms": 50},
        options=traces.options,
    )
    stream = await film.ask().start()
    await pause(10)
    assert traces.attempts["a"].end_time is not None
    await read(stream)
    assert [name.rpartition(".")[2] for name in traces.events].count("race_won") == 1
    assert traces.call.attributes["routeware.stream.ended"] == "completed"


async def test_the_attempt_span_is_current_inside_the_generator_only() -> None:
    """In the reader's body it is the reader's own."""
    traces = Traces()
    seen: list[Any] = []

    @routed(RoutingPolicy(chain=["a:m"]), **traces.options)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        seen.append(trace.get_current_span() is attempt.span)
        yield 1
        seen.append(trace.get_current_span() is attempt.span)

    before = trace.get_current_span()
    async for _ in ask():
        assert trace.get_current_span() is before
    assert seen == [True, True]


async def test_a_learner_is_told_at_the_win() -> None:
    """Not at the end of a long stream, and once."""
    film = Film({"a": [Wait(5), 1, Wait(1_000), 2], "b": [1]}, latency={"target_p95_ms": 1_000})

    def seen() -> int:
        report = film.ask.latency_report()
        assert report is not None
        return sum(link.as_primary.attempts + link.as_backup.attempts for link in report.links)

    stream = await film.ask().start()
    assert seen() == 1
    await read(stream)
    assert seen() == 1


async def test_finish_reasons_are_on_the_attempts_span() -> None:
    """Where an item or a report told them."""
    for scenes in ([{"choices": [{"delta": {"content": "x"}}]}, LAST, USED], ["x", Report(LAST), Report(USED), "y"]):
        traces = Traces()
        film = Film({"a": scenes}, options=traces.options)
        await read(film.ask())
        assert traces.attempts["a"].attributes["gen_ai.response.finish_reasons"] == ("stop",)
