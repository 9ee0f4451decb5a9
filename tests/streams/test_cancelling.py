"""A reader that is cancelled: everything is cut off and settled, and no end is clean that is not one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import routeware
from routeware import Attempt, RoutingPolicy, StreamClosedError, record_of, routed
from tests.fakes.providers import pause
from tests.streams.films import Film, Wait, quiet, read


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


async def test_a_second_cancellation_of_a_reader_waits_for_the_same_250_ms_and_carries_the_record() -> None:
    """Settling isn't lost to it."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(10)
            yield 2
        finally:
            await asyncio.sleep(0.2)

    stream = await ask().start()
    await anext(stream)
    clock = asyncio.get_running_loop().time
    reading = asyncio.ensure_future(anext(stream))
    await pause(10)
    began = clock()
    reading.cancel()
    await pause(50)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await reading
    assert clock() - began == pytest.approx(0.2)
    record = record_of(caught.value)
    assert record is not None
    assert record.ended == "cancelled"
    quiet()


async def test_a_second_cancellation_of_a_start() -> None:
    """As for plain calls."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            await asyncio.sleep(10)
            yield 2
        finally:
            await asyncio.sleep(0.2)

    stream = ask()
    starting = asyncio.ensure_future(stream.start())
    await pause(10)
    starting.cancel()
    await pause(50)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await starting
    record = record_of(caught.value)
    assert record is not None
    assert record.ended == "cancelled"
    assert stream.record is record or stream.record == record
    quiet()


async def test_cancelled_while_it_closes() -> None:
    """The cancellation goes on when the generator has ended."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0.2)

    stream = await ask().start()
    closing = asyncio.ensure_future(stream.aclose())
    await pause(10)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    assert stream.record is not None
    assert stream.record.ended == "closed"
    quiet()


async def test_a_generator_that_cancels_itself_has_failed() -> None:
    """A CancelledError would pass for the reader's own."""
    film = Film({"a": [1, asyncio.CancelledError()]})

    items, error = await read(film.ask())

    assert items == [1]
    assert isinstance(error, routeware.ProviderCancelledError)


async def test_a_reader_that_is_cancelled_while_a_deadline_cuts_the_generator_off() -> None:
    """The call has run out of its deadline, and its reader gets its own cancellation, with that record."""

    @routed(RoutingPolicy(chain=["a:m"], latency={"deadline_ms": 100}))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0.2)

    stream = ask()
    await anext(stream)
    await pause(150)
    reading = asyncio.ensure_future(anext(stream))
    await pause(50)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await reading

    record = record_of(caught.value)
    assert record is not None
    assert (record.outcome, record.duration_ms) == ("deadline_exceeded", pytest.approx(300))
    quiet()


async def test_a_start_that_is_cancelled_after_its_deadline_keeps_that_as_its_outcome() -> None:
    """The first end holds; the cancellation goes on all the same."""

    @routed(RoutingPolicy(chain=["a:m"], latency={"deadline_ms": 60}))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            await asyncio.sleep(10)
            yield 2
        finally:
            await asyncio.sleep(0.1)

    stream = ask()
    starting = asyncio.ensure_future(stream.start())
    await pause(100)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await starting
    record = record_of(caught.value)
    assert record is not None
    assert (record.outcome, record.ended) == ("deadline_exceeded", "failed")
    assert stream.record == record
    quiet()
