"""Errors that are no ``Exception``: a test runner's verdict, a program's own, GeneratorExit, a program that exits."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routeware import Attempt, CallRecord, RoutingPolicy, is_final, record_of, routed
from tests.fakes.clock import JumpingLoop
from tests.fakes.providers import pause
from tests.streams.films import LAST, Film, Wait, quiet

RACED = {"latency": {"race_after_ms": 5, "deadline_ms": 500}}


class AbortError(BaseException):
    """As what pytest.fail raises."""


async def read_all(stream: Any) -> tuple[list[Any], BaseException | None]:
    """Read a stream to its end, whatever that is."""
    items = []
    try:
        async for item in stream:
            items.append(item)  # noqa: PERF401 - what came before an error counts
    except BaseException as error:  # noqa: BLE001 - it is looked at
        return items, error
    return items, None


@pytest.mark.parametrize("settings", [{}, RACED], ids=["alone", "raced"])
@pytest.mark.parametrize("kind", [AbortError, GeneratorExit, pytest.fail.Exception])
async def test_it_reaches_the_reader_as_it_is_after_the_items_before_it(
    kind: type[BaseException], settings: dict[str, Any]
) -> None:
    """The call has failed, and its record is on the error; after it the stream is at its end."""
    error = kind("not the end")
    film = Film({"a": [1, Wait(10), 2, Wait(10), error], "b": ["b1"]}, **settings)
    stream = film.ask()

    assert await read_all(stream) == ([1, 2], error)

    (record,) = film.records
    assert record_of(error) is record is stream.record
    assert (record.outcome, record.ended, record.items) == ("failed", "failed", 2)
    assert [(one.label, str(one.status)) for one in record.attempts] == [("a", "failed")]
    assert record.attempts[0].error is not None
    assert await read_all(stream) == ([], None)
    quiet()


async def test_it_goes_through_outcome() -> None:
    """What was read before it is no value."""
    with pytest.raises(AbortError):
        await Film({"a": [1, AbortError()]}).ask.outcome()


async def test_it_goes_through_a_block() -> None:
    """What was read before it is not all of it."""

    async def read() -> None:
        async with Film({"a": [1, AbortError()]}).ask() as stream:
            async for _ in stream:
                pass

    with pytest.raises(AbortError):
        await read()


async def test_before_the_first_item_it_is_raised_by_the_start() -> None:
    """No other link is tried."""
    film = Film({"a": [Wait(10), AbortError()], "b": [1]})

    with pytest.raises(AbortError):
        await film.ask().start()

    assert [one.label for one in film.records[0].attempts] == ["a"]
    quiet()


async def test_the_end_waits_for_losers_as_after_any_error() -> None:
    """Nothing outlives the call."""
    left: list[float] = []
    clock = asyncio.get_running_loop().time

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 50}))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        if attempt.provider == "b":
            yield 1
            raise AbortError
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.2)
            left.append(clock())

    items, error = await read_all(ask())

    assert (items, type(error)) == ([1], AbortError)
    assert left == [clock()] == [0.25]
    quiet()


async def test_what_a_hook_on_a_later_item_raises_is_the_readers_too() -> None:
    """The generator, which stands at its yield, is ended."""
    film = Film({"a": [1, 2, 3]})

    @film.ask.last_item
    def ends(item: int) -> bool:
        if item == 2:
            raise AbortError
        return False

    items, error = await read_all(film.ask())

    assert (items, type(error)) == ([1], AbortError)
    assert film.ended["a"] == (0, "CancelledError")
    await pause(1)
    quiet()


async def test_what_is_raised_while_the_stream_is_closed_comes_out_of_aclose() -> None:
    """As any error does; a GeneratorExit is how a generator says that it is closed."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt, error: BaseException) -> AsyncIterator[int]:
        try:
            yield 1
        except asyncio.CancelledError:
            raise error from None

    stream = await ask(AbortError()).start()
    with pytest.raises(AbortError):
        await stream.aclose()
    assert stream.record is not None
    assert stream.record.ended == "closed"

    async with ask(GeneratorExit()) as stream:
        assert await anext(stream) == 1
    assert stream.record is not None
    assert stream.record.ended == "closed"
    quiet()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_program_that_exits_leaves_no_reader_a_clean_end(error: BaseException) -> None:
    """It stops the loop, as asyncio has it; whoever runs the loop on finds the same error at the reader."""

    async def main() -> Any:
        return await read_all(Film({"a": [1, Wait(1), error]}).ask())

    loop = JumpingLoop()
    try:
        reader = loop.create_task(main())
        with pytest.raises(type(error)):
            loop.run_until_complete(asyncio.shield(reader))
        assert loop.run_until_complete(reader) == ([1], error)
    finally:
        loop.close()


async def test_a_task_whose_coroutine_is_closed_awaits_nothing_any_more() -> None:
    """That GeneratorExit is none of the generator's own."""
    film = Film({"a": [1, LAST, 2]})
    film.ask.last_item(is_final)
    stream = await film.ask().start()
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}

    await pause(1)
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()

    assert [one.outcome for one in film.records] == ["cancelled"]
    task.cancel()
    await asyncio.wait([task])
    assert isinstance(task.exception(), RuntimeError)  # the loop finds its coroutine closed
    await stream.aclose()


async def test_a_hook_that_raises_one_at_the_end_leaves_no_reader_waiting() -> None:
    """It is for the loop to tell: the stream itself has all its items."""
    lost: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: lost.append(context.get("exception")))

    def breaks(_record: CallRecord) -> None:
        raise AbortError

    @routed(RoutingPolicy(chain=["a:m"]), on_call=breaks)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        yield 1

    assert [item async for item in ask()] == [1]
    gc.collect()
    assert [type(error) for error in lost] == [AbortError]
