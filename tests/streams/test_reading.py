"""Reading: one reader at a time, in the context of the asking, and items before the end or the error."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import pytest

import routeware
from routeware import (
    Attempt,
    DeadlineExceededError,
    RoutingPolicy,
    SessionClosedError,
    current_attempt,
    current_session,
    routed,
)
from tests.fakes.providers import pause
from tests.streams.films import Film, Report, Wait, quiet, read


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


async def test_items_at_hand_are_delivered_before_the_error_of_a_generator_that_ended_meanwhile() -> None:
    """Its own time-out rings while a slow reader has not taken the first item yet."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        async with asyncio.timeout(0.1):
            yield "one"
            yield "two"

    stream = await ask().start()
    await pause(200)
    items, error = await read(stream)
    assert items == ["one"]
    assert type(error) is TimeoutError
    quiet()


async def test_items_at_hand_are_delivered_before_the_deadlines_error() -> None:
    """The items so far, then the error."""
    film = Film({"a": ["one", "two"]}, latency={"deadline_ms": 100})
    stream = await film.ask().start()
    await pause(200)
    items, error = await read(stream)
    assert items == ["one"]
    assert isinstance(error, DeadlineExceededError)
    quiet()


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


async def test_a_report_by_hand_is_a_sign_of_life() -> None:
    """Every report is."""

    @routed(RoutingPolicy(chain=["a:m"], failover={"idle_timeout_ms": 100}))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0.08)
        attempt.report_usage(input_tokens=1)
        await asyncio.sleep(0.08)
        attempt.report_cost(0.5)
        await asyncio.sleep(0.08)
        yield 2

    assert await read(ask()) == ([1, 2], None)


async def test_a_started_race_of_eager_tasks() -> None:
    """An eager task's first step is taken inside the start."""
    if sys.version_info < (3, 12):
        return
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    film = Film({"a": [Wait(500), "a1"], "b": ["b1", "b2"]}, latency={"race_after_ms": 50})
    assert await read(film.ask()) == (["b1", "b2"], None)
    film = Film({"a": ["a1"], "b": ["b1"]}, latency={"race_after_ms": 50})
    async with film.ask() as stream:
        assert await anext(stream) == "a1"
    film = Film({"a": []})
    assert await read(film.ask()) == ([], None)
    quiet()


async def test_the_generators_own_cancel_scope_may_span_its_yields() -> None:
    """An anyio scope is left in the task in which it was entered, also where the stream is closed inside of it."""
    anyio = pytest.importorskip("anyio")

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        with anyio.move_on_after(0.1):
            yield "one"
            yield "two"
        yield "moved on"

    stream = ask()
    assert await anext(stream) == "one"
    await pause(200)
    assert await read(stream) == (["moved on"], None)

    async with ask() as stream:
        assert await anext(stream) == "one"
    assert stream.record is not None
    assert stream.record.ended == "closed"
    quiet()


@pytest.mark.parametrize("end", ["read", "closed", "cancelled"])
async def test_clean_up_runs_where_the_set_up_did(end: str) -> None:
    """In one task and one context: a context variable can be set back, however the stream ends."""
    seen: list[tuple[Any, str]] = []

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        token = VARIABLE.set("inside")
        task = asyncio.current_task()
        try:
            yield "one"
            await asyncio.sleep(0.1)
        finally:
            VARIABLE.reset(token)
            seen.append((asyncio.current_task() is task, VARIABLE.get()))

    stream = ask()
    await anext(stream)
    if end == "closed":
        await stream.aclose()
    else:
        reading = asyncio.ensure_future(read(stream))
        await pause(10)
        if end == "cancelled":
            reading.cancel()
        await asyncio.wait([reading])

    assert seen == [(True, "unset")]


async def test_a_plain_calls_record_has_nothing_of_a_stream() -> None:
    """Unknown is ``None``, never 0."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> int:
        return 1

    record = (await ask.outcome()).record

    assert (record.first_item_ms, record.items, record.ended) == (None, None, None)
    assert (record.attempts[0].first_item_ms, record.attempts[0].items) == (None, None)
