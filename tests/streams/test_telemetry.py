"""What a stream leaves in spans, events, metrics and the learner: told at the win, and at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from routeware import Attempt, RoutedStream, RoutingPolicy, routed
from tests.fakes.measuring import Measured
from tests.fakes.providers import HTTPStatusError, pause
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


async def test_an_attempts_span_says_when_its_first_item_came_and_how_many_were_read() -> None:
    """A role is no first item; a loser has none."""
    traces = Traces()
    film = Film(
        {"a": [Wait(500), "a1"], "b": ["", Wait(10), "b1", Wait(100), "b2"]},
        latency={"race_after_ms": 50},
        options=traces.options,
    )
    film.ask.first_item(bool)
    await read(film.ask())

    won, lost = traces.attempts["b"].attributes, traces.attempts["a"].attributes
    assert (won["gen_ai.request.stream"], lost["gen_ai.request.stream"]) == (True, True)
    assert won["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.01)
    assert "gen_ai.response.time_to_first_chunk" not in lost
    assert (won["routeware.stream.items"], lost["routeware.stream.items"]) == (3, 0)
    assert [span.name.partition(" ")[0] for span in traces.spans][-1] == "routeware.call"
    event = traces.event("llm.routing.first_item")
    assert (event["link"], event["after_ms"]) == ("b", 60)


async def test_a_function_that_calls_no_model_has_no_attributes_of_one() -> None:
    """Under ``operation=None``."""
    traces = Traces()
    film = Film({"a": [Wait(10), LAST]}, options={**traces.options, "operation": None})
    await read(film.ask())

    told = traces.attempts["a"].attributes
    assert told["routeware.stream.first_item_s"] == pytest.approx(0.01)
    assert not [name for name in told if name.startswith("gen_ai.")]


async def reads_all(stream: RoutedStream[Any]) -> None:
    """Read to the end, whatever that is."""
    await read(stream)


async def closes(stream: RoutedStream[Any]) -> None:
    """Leave after the first item."""
    await anext(stream)
    await stream.aclose()


async def is_cancelled(stream: RoutedStream[Any]) -> None:
    """Be cancelled while waiting for an item."""
    task = asyncio.ensure_future(read(stream))
    await pause(1)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize(
    ("use", "scenes", "ended", "is_error"),
    [
        (reads_all, ["1"], "completed", False),
        (closes, ["1", "2"], "closed", False),
        (reads_all, ["1", HTTPStatusError(503)], "failed", True),
        (reads_all, ["1", Wait(2_000)], "failed", True),
        (is_cancelled, ["1", Wait(500)], "cancelled", False),
    ],
)
async def test_the_calls_span_says_how_the_stream_ended(
    use: Any, scenes: list[Any], ended: str, is_error: bool
) -> None:
    """A reader that leaves is no error; a deadline is one."""
    traces = Traces()
    film = Film({"a": scenes}, latency={"deadline_ms": 1_000}, options=traces.options)

    await use(film.ask())

    assert traces.call.attributes is not None
    assert traces.call.attributes["routeware.stream.ended"] == ended
    assert (traces.call.status.status_code is StatusCode.ERROR) == is_error


async def test_what_the_generator_raises_while_it_is_closed_is_no_error_of_the_call() -> None:
    """The reader had left."""
    traces = Traces()

    @routed(RoutingPolicy(chain=["a:m"]), **traces.options)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise KeyError

    stream = await ask().start()
    with pytest.raises(KeyError):
        await stream.aclose()

    assert traces.call.status.status_code is StatusCode.UNSET


async def test_metrics_are_of_attempts_and_calls_never_of_items() -> None:
    """The time to the first item, once per attempt that answered; durations run to the end."""
    measured = Measured()
    film = Film(
        {"a": [Wait(500), "a1"], "b": [Wait(10), "b1", Wait(100), "b2"]},
        latency={"race_after_ms": 50},
        options=measured.options,
    )
    stream = await film.ask().start()
    await pause(1)
    assert measured.values("routeware.inflight") == {(): 1}
    await read(stream)

    (first,) = measured.points("routeware.attempt.time_to_first_item")
    assert (first.count, first.sum) == (1, pytest.approx(0.01))
    assert first.attributes["routeware.link.label"] == "b"
    (call,) = measured.points("routeware.call.duration")
    assert call.sum == pytest.approx(0.161)
    assert sum(measured.values("routeware.inflight").values()) == 0


async def test_no_item_is_told_to_anybody(caplog: pytest.LogCaptureFixture) -> None:
    """Not in spans, events, logs, notes, records, nor in what is shown of a stream."""
    caplog.set_level(logging.DEBUG)
    traces = Traces()
    film = Film(
        {"a": ["SECRET-held", HTTPStatusError(503)], "b": ["SECRET-1", HTTPStatusError(500)]},
        options=traces.options,
    )
    film.ask.first_item(lambda item: "held" not in item)
    stream = film.ask("SECRET-prompt")
    items, error = await read(stream)

    assert items == ["SECRET-1"]
    assert error is not None
    told = [traces.text(), caplog.text, repr(stream), repr(stream.record), str(error.__notes__)]
    assert not [text for text in told if "SECRET" in text]


async def test_a_learner_hears_of_losers_and_of_links_that_do_not_open() -> None:
    """A loser is censored where it was cut off: at the win."""
    film = Film({"a": [HTTPStatusError(503)], "b": [1, Wait(1_000), 2]}, latency={"target_p95_ms": 1_000})

    def attempts() -> list[int]:
        report = film.ask.latency_report()
        assert report is not None
        return [link.as_primary.attempts + link.as_backup.attempts for link in report.links]

    stream = await film.ask().start()
    assert sum(attempts()) == 2
    await read(stream)

    film.films["a"] = [Wait(5_000), "late"]
    stream = await film.ask().start()
    assert sum(attempts()) == 4
    assert film.clock() < 3_000
    await read(stream)


async def test_a_learner_hears_that_a_stream_that_was_turned_down_has_failed() -> None:
    """It was cut off, but not for being slow: it is not censored."""
    film = Film({"a": ["no"], "b": ["yes"]}, latency={"target_p95_ms": 1_000})
    film.ask.accept(lambda item: item == "yes")

    assert await read(film.ask()) == (["yes"], None)

    report = film.ask.latency_report()
    assert report is not None
    first = report.links[0].as_primary
    assert (first.attempts, first.censored, first.failed_share) == (1, 0, 1)
