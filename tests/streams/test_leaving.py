"""Leaving a stream: closed by its reader or by another task, and what becomes of the generator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import routeware
from routeware import Attempt, RoutingPolicy, StreamClosedError, is_final, routed
from tests.fakes.providers import pause
from tests.streams.films import LAST, USED, Film, Wait, quiet


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


async def test_what_the_generator_raises_while_it_is_let_end_comes_out() -> None:
    """Closed after its last item, it may run to its own end; an error on the way there is raised by ``aclose``."""
    film = Film({"a": [LAST, Wait(100), KeyError("clean-up")]})
    film.ask.last_item(is_final)
    stream = film.ask()
    await anext(stream)

    with pytest.raises(KeyError, match="clean-up"):
        await stream.aclose()

    record = film.records[-1]
    assert (record.outcome, record.ended, str(record.attempts[0].status)) == ("succeeded", "closed", "succeeded")
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    quiet()


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


async def test_a_reader_that_waits_while_another_task_closes_after_the_last_item_is_told() -> None:
    """Closing lets the generator end; what it gives is not the waiting reader's."""
    film = Film({"a": [LAST, Wait(100), USED, Wait(100)]})
    film.ask.last_item(is_final)
    stream = film.ask()
    await anext(stream)
    reading = asyncio.ensure_future(anext(stream))
    await pause(10)
    await stream.aclose()
    assert film.clock() == 200
    with pytest.raises(StreamClosedError):
        await asyncio.wait_for(reading, 1)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    quiet()


async def test_two_tasks_that_close_at_once_both_wait() -> None:
    """The first one closed it, and gets the end."""
    film = Film({"a": [1, 2]})
    stream = await film.ask().start()

    async def close() -> str:
        await stream.aclose()
        try:
            await anext(stream)
        except Exception as error:  # noqa: BLE001 - its name is looked at
            return type(error).__name__
        return "item"

    ends = await asyncio.gather(close(), close())
    assert ends[0] == "StopAsyncIteration"
    quiet()


async def test_an_error_of_the_body_and_one_of_the_clean_up_both_show() -> None:
    """What the generator raises comes out of the block, from the body's own error."""

    class CleanUpError(Exception):
        pass

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise CleanUpError

    body = ValueError("body")
    with pytest.raises(CleanUpError) as caught:
        async with ask():
            raise body
    assert caught.value.__context__ is body


async def test_a_stream_that_is_cut_off_as_its_session_is_left_is_waited_for() -> None:
    """As a straggler is: its money is settled before the session reports."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.shield(asyncio.sleep(1))
            attempt.report_cost(0.5)

    async with routeware.session() as spending, ask() as stream:
        await anext(stream)
    assert spending.spent_usd == 0.5
    assert spending.reserved_usd == 0
