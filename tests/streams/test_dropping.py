"""Streams that nobody holds any more, loops that end, and what a stream keeps alive."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

import routeware
from routeware import Attempt, CallRecord, RoutingPolicy, routed
from tests.fakes.providers import HTTPStatusError, pause
from tests.streams.films import Film, Wait, quiet


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


class OwnTask(asyncio.Task[Any]):
    """Tasks of a program that makes its own."""


@pytest.mark.parametrize("own", [False, True])
async def test_a_dropped_stream_is_cut_off_though_its_first_link_failed_at_once_in_an_eager_task(own: bool) -> None:
    """The traceback of that error must not hold the reader's frames, and with them the stream."""
    if sys.version_info < (3, 12):
        return
    eager = asyncio.create_eager_task_factory(OwnTask) if own else asyncio.eager_task_factory
    asyncio.get_running_loop().set_task_factory(eager)
    film = Film({"a": [HTTPStatusError(503)], "b": [Wait(5), 1, Wait(5), 2]})

    async def reader() -> None:
        async for _ in film.ask():
            return

    gc.disable()
    try:
        await reader()
        await pause(1)
        assert film.records[-1].ended == "closed"
    finally:
        gc.enable()
    quiet()


async def test_under_gc_at_every_allocation_a_capped_stream_is_dropped_and_settled() -> None:
    """No deadlock on the money lock."""
    film = Film({"a": [1, 2]}, links={"a": {"price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}})
    old = gc.get_threshold()
    gc.set_threshold(1)
    try:
        async with routeware.session(limit_usd=100) as spending:
            for _ in range(10):
                stream = await film.ask().start()
                circle = [stream]
                circle.append(circle)  # type: ignore[arg-type]
                del stream, circle
            await pause(1)
    finally:
        gc.set_threshold(*old)
    gc.collect()
    await pause(1)
    assert spending.reserved_usd == 0
    assert len(film.records) == 10


def test_a_loop_that_ends_with_an_open_stream_settles_and_tells_it() -> None:
    """As cancelled: by ``asyncio.run``, whose clean-up cancels every task."""
    records: list[CallRecord] = []
    seen: list[str] = []
    kept = []

    @routed(RoutingPolicy(chain=["a:m"]), on_call=records.append)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    async def main() -> None:
        stream = ask()
        kept.append(stream)
        assert await anext(stream) == 1

    asyncio.run(main())
    assert seen == ["CancelledError"]
    assert [(one.outcome, one.ended) for one in records] == [("cancelled", "cancelled")]
    kept.clear()
    gc.collect()


@pytest.mark.parametrize("turns", range(6))
def test_a_loop_that_ends_as_a_stream_is_dropped_settles_and_tells_it(turns: int) -> None:
    """However few turns of the loop lie between."""
    records: list[CallRecord] = []

    @routed(RoutingPolicy(chain=["a:m"]), on_call=records.append)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> None:
        stream = ask()
        assert await anext(stream) == 1
        del stream
        gc.collect()
        for _ in range(turns):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert len(records) == 1
    assert records[0].ended in {"closed", "cancelled"}


def test_a_stream_that_is_collected_in_another_thread_or_after_its_loop() -> None:
    """The collector runs anywhere."""
    records: list[CallRecord] = []

    @routed(RoutingPolicy(chain=["a:m"]), on_call=records.append)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        yield 1
        yield 2

    held: list[Any] = []

    async def main() -> None:
        held.append(await ask().start())
        thread = threading.Thread(target=held.clear)
        thread.start()
        await asyncio.to_thread(thread.join)
        await asyncio.sleep(0.01)
        assert [one.ended for one in records] == ["closed"]
        held.append(await ask().start())

    asyncio.run(main())
    held.clear()
    gc.collect()


async def test_after_its_end_nothing_refers_to_items_error_or_generator() -> None:
    """Though the stream itself is kept."""

    class Item:
        pass

    class OwnError(Exception):
        pass

    gone: list[weakref.ref[Any]] = []

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[Item]:
        for _ in range(3):
            item = Item()
            gone.append(weakref.ref(item))
            yield item
            del item
        error = OwnError()
        gone.append(weakref.ref(error))
        raise error

    stream = ask()
    try:
        async for _ in stream:
            pass
    except OwnError:
        pass
    del _
    gc.collect()
    assert [one() for one in gone] == [None] * 4
    assert stream.record is not None


async def test_a_stream_that_is_dropped_in_a_circle_is_cut_off_in_its_own_task() -> None:
    """The collector finds the stream, never its generator: that one ends by a cancellation, as ever."""
    film = Film({"a": [1, 2]})
    circle: list[Any] = [await film.ask().start()]
    circle.append(circle)

    del circle
    gc.collect()
    await pause(1)

    assert film.ended["a"][1] == "CancelledError"
    assert [one.ended for one in film.records] == ["closed"]
    quiet()
