"""Leaving a stream: closed, cancelled, dropped; and never a clean end that is not one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

import routeware
from routeware import (
    Attempt,
    RoutingPolicy,
    SessionClosedError,
    StreamClosedError,
    current_attempt,
    current_session,
    is_final,
    record_of,
    routed,
)
from tests.fakes.providers import armed_timers, other_tasks, pause
from tests.streams.films import Film, Report, Wait, read

LAST = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
USED = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}


def quiet() -> None:
    """Check that nothing is left on the loop."""
    assert not other_tasks()
    assert not armed_timers()


async def test_leaving_cuts_the_generator_off_and_waits_for_it() -> None:
    """A reader that breaks out of ``async with`` leaves nothing running."""
    film = Film({"a": [1, 2, Wait(1_000), 3]})

    async with film.ask() as stream:
        async for _ in stream:
            break

    assert film.ended["a"] == (0, "CancelledError")
    record = film.records[-1]
    assert (record.outcome, record.ended, record.items) == ("succeeded", "closed", 1)
    assert str(record.attempts[0].status) == "succeeded"
    quiet()
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_generator_that_ignores_being_cut_off_is_waited_for_250_ms() -> None:
    """Then it is a straggler: the reader goes on, and the session is corrected when it ends."""
    left: list[float] = []
    clock = asyncio.get_running_loop().time

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            until = clock() + 2
            while clock() < until:
                try:
                    await asyncio.sleep(until - clock())
                except asyncio.CancelledError:
                    continue
            left.append(clock())

    stream = ask()
    await anext(stream)
    await stream.aclose()
    assert clock() == 0.25
    assert stream.record is not None
    assert stream.record.ended == "closed"
    await pause(2_000)
    assert left == [2.0]


async def test_a_generator_that_yields_on_after_being_cut_off_is_closed() -> None:
    """What it yields is dropped."""
    seen: list[str] = []

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
        except asyncio.CancelledError:
            try:
                yield 2
            except GeneratorExit:
                seen.append("closed")
                raise

    stream = ask()
    assert await anext(stream) == 1
    await stream.aclose()
    assert seen == ["closed"]
    quiet()


async def test_what_the_generator_raises_while_it_is_closed_comes_out() -> None:
    """As from a bare generator; the record says closed."""

    class CleanUpError(Exception):
        pass

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise CleanUpError

    stream = ask()
    await anext(stream)
    with pytest.raises(CleanUpError):
        await stream.aclose()
    assert stream.record is not None
    assert stream.record.ended == "closed"
    await stream.aclose()


async def test_a_stream_that_was_not_started_calls_nothing_when_it_is_closed() -> None:
    """Nor when it is dropped."""
    film = Film({"a": [1]})
    stream = film.ask()

    await stream.aclose()
    await stream.aclose()

    assert film.made == []
    assert film.records == []
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_closing_after_the_last_item_lets_the_generator_end() -> None:
    """Usage comes after the finish reason."""
    film = Film(
        {"a": [{"choices": []}, LAST, Wait(100), USED, Wait(50)]},
        links={"a": {"price": {"input_usd_per_mtok": 1e6, "output_usd_per_mtok": 1e6}}},
    )
    film.ask.last_item(is_final)

    async with film.ask() as stream:
        async for item in stream:
            if item is LAST:
                break

    assert film.clock() == 150
    assert film.ended["a"] == (150, "end")
    record = film.records[-1]
    assert record.cost_usd == 7
    assert record.uncertain_usd == 0
    quiet()


async def test_a_generator_that_does_not_end_after_the_last_item_is_cut_off() -> None:
    """250 ms, not for ever."""
    film = Film({"a": [LAST, Wait(60_000)]})
    film.ask.last_item(is_final)

    async with film.ask() as stream:
        await anext(stream)

    assert film.clock() == 250
    assert film.ended["a"][1] == "CancelledError"
    quiet()


async def test_a_dropped_stream_is_cut_off() -> None:
    """A ``break`` out of a bare ``async for``."""
    film = Film({"a": [1, 2]})

    async for _ in film.ask():
        break
    gc.collect()
    await pause(1)

    assert film.ended["a"][1] == "CancelledError"
    assert film.records[-1].ended == "closed"
    quiet()


async def test_a_reader_that_is_cancelled_cancels_the_call() -> None:
    """Everything is cut off, awaited, settled; then the cancellation goes on, with the record."""
    film = Film({"a": [1, Wait(1_000), 2]})
    stream = film.ask()
    await anext(stream)
    reading = asyncio.ensure_future(anext(stream))
    await pause(10)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await reading

    record = record_of(caught.value)
    assert record is not None
    assert (record.outcome, record.ended) == ("cancelled", "cancelled")
    assert film.ended["a"] == (10, "CancelledError")
    with pytest.raises(StreamClosedError):
        await anext(stream)
    quiet()


async def test_a_cancelled_start_cancels_the_call() -> None:
    """And a stream that is asked again afterwards does not end cleanly."""
    film = Film({"a": [Wait(1_000), 1]})
    stream = film.ask()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stream.start(), 0.1)

    assert film.records[-1].outcome == "cancelled"
    with pytest.raises(StreamClosedError):
        await anext(stream)
    quiet()


async def test_a_wait_for_that_times_out_never_ends_in_a_clean_end() -> None:
    """What was read is not all of it."""
    film = Film({"a": [1, Wait(1_000), 2]})
    stream = film.ask()
    await anext(stream)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.1)
    items, error = await read(stream)

    assert items == []
    assert isinstance(error, StreamClosedError)


async def test_waiting_without_giving_up_loses_nothing() -> None:
    """For keep-alive comments of a server."""
    film = Film({"a": [1, Wait(40), 2]})
    stream = film.ask()
    await anext(stream)

    reading = asyncio.ensure_future(anext(stream))
    beats = 0
    while not (await asyncio.wait({reading}, timeout=0.015))[0]:
        beats += 1

    assert beats == 2
    assert reading.result() == 2
    await stream.aclose()


async def test_leaving_by_a_cancellation_counts_as_cancelled() -> None:
    """In the body of ``async with``, too."""
    film = Film({"a": [1, 2]})

    async def reader() -> None:
        async with film.ask() as stream:
            async for _ in stream:
                await pause(1_000)

    task = asyncio.create_task(reader())
    await pause(10)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert film.records[-1].ended == "cancelled"
    quiet()


async def test_closed_by_another_task_is_no_clean_end() -> None:
    """The task that closed it gets the end; one that waits is told."""
    film = Film({"a": [1, Wait(1_000), 2]})
    stream = film.ask()
    await anext(stream)
    reading = asyncio.ensure_future(anext(stream))
    await pause(10)

    await stream.aclose()

    with pytest.raises(StreamClosedError):
        await reading
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    quiet()


async def test_one_reader_at_a_time() -> None:
    """A second one is an error of its own, and harms nobody."""
    film = Film({"a": [Wait(10), 1, Wait(10), 2]})
    stream = film.ask()
    starting = asyncio.ensure_future(stream.start())
    await pause(1)
    for use in (stream.start(), anext(stream), stream.aclose()):
        with pytest.raises(RuntimeError):
            await use
    await starting
    assert await anext(stream) == 1
    reading = asyncio.ensure_future(anext(stream))
    await pause(1)
    with pytest.raises(RuntimeError):
        await anext(stream)

    assert await reading == 2
    assert await read(stream) == ([], None)


async def test_it_may_be_another_task_each_time() -> None:
    """Started by a handler, read by a response, closed by a third."""
    film = Film({"a": [1, 2, 3]})
    stream = film.ask()

    await asyncio.create_task(stream.start())
    assert await asyncio.ensure_future(anext(stream)) == 1
    assert await asyncio.ensure_future(anext(stream)) == 2
    await asyncio.create_task(stream.aclose())

    assert film.records[-1].items == 2


async def test_an_error_is_raised_once_then_the_end() -> None:
    """As a bare generator does."""
    film = Film({"a": [1, ValueError("x")]})
    stream = film.ask()

    assert [type(one) for one in await read(stream)] == [list, ValueError]
    assert await read(stream) == ([], None)
    await stream.aclose()


async def test_the_generators_own_time_out_may_span_its_yields() -> None:
    """Its cancellation reaches it where it stands, and becomes its own error."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        try:
            async with asyncio.timeout(0.1):
                yield "one"
                yield "two"
        except TimeoutError:
            yield "late"

    stream = ask()
    assert await anext(stream) == "one"
    await pause(200)
    assert await read(stream) == (["late"], None)


async def test_a_task_group_may_span_the_yields() -> None:
    """Being cut off is a CancelledError, which a group hands on as such."""
    seen: list[str] = []

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(10))
                yield 1
                yield 2
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    stream = ask()
    await anext(stream)
    await stream.aclose()

    assert seen == ["CancelledError"]
    quiet()


async def test_a_generator_that_cancels_itself_has_failed() -> None:
    """A CancelledError would pass for the reader's own."""
    film = Film({"a": [1, asyncio.CancelledError()]})

    items, error = await read(film.ask())

    assert items == [1]
    assert isinstance(error, routeware.ProviderCancelledError)


VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


async def test_every_attempt_runs_in_the_context_of_the_asking() -> None:
    """Of the moment of ``ask(...)``; and what the generator sets stays with it."""
    seen: list[Any] = []

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        seen.append((VARIABLE.get(), current_session(), current_attempt() is attempt))
        VARIABLE.set("inside")
        yield 1
        seen.append(VARIABLE.get())

    async with routeware.session("outer") as outer:
        VARIABLE.set("asked")
        stream = ask()
        VARIABLE.set("read")
        async for _ in stream:
            assert VARIABLE.get() == "read"
            assert current_attempt() is None

    assert seen == [("asked", outer, True), "inside"]


async def test_a_stream_that_is_started_after_its_session_was_left_is_refused() -> None:
    """The trap of a response that streams after its handler's session."""
    film = Film({"a": [1]})
    async with routeware.session("request"):
        stream = film.ask()

    with pytest.raises(SessionClosedError):
        await stream.start()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_wrong_arguments_are_the_readers_error() -> None:
    """At the start, as calling a bare generator function would say at once."""
    film = Film({"a": [1]})
    stream = film.ask(nonsense=1)

    with pytest.raises(TypeError, match="nonsense"):
        await stream.start()


async def test_a_report_late_in_the_stream_is_taken() -> None:
    """Part by part: input in the first event, output in the last."""
    film = Film(
        {
            "a": [
                Report({"type": "message_start", "message": {"usage": {"input_tokens": 5, "output_tokens": 1}}}),
                "text",
                Report({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}),
            ]
        },
        links={"a": {"price": {"input_usd_per_mtok": 1e6, "output_usd_per_mtok": 1e6}}},
    )

    assert await read(film.ask()) == (["text"], None)
    usage = film.records[-1].attempts[0].usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (5, 7)
    assert film.records[-1].cost_usd == 12
