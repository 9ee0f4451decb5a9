"""The hooks of a stream: which item counts as the first, which is the last, which is turned down, and what raises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from routeware import Attempt, ResultRejectedError, RoutingPolicy, routed
from tests.fakes.providers import pause
from tests.streams.films import Film, quiet, read


async def test_hooks_are_asked_in_order_and_no_longer_than_needed() -> None:
    """``last_item`` before ``first_item`` before ``accept``."""
    asked: list[str] = []
    film = Film({"a": ["", "x", "end", "after"]})
    film.ask.last_item(lambda item: asked.append(f"last {item}") or item == "end")
    film.ask.first_item(lambda item: asked.append(f"first {item}") or bool(item))
    film.ask.accept(lambda item: asked.append(f"accept {item}") or True)
    assert await read(film.ask()) == (["", "x", "end", "after"], None)
    assert asked == ["last ", "first ", "last x", "first x", "accept x", "last end"]


async def test_hooks_that_raise_while_the_stream_runs_are_its_error() -> None:
    """``last_item`` is asked for each item until one ends it."""
    film = Film({"a": ["1", "2"], "b": ["b"]})

    @film.ask.last_item
    def last(item: str) -> bool:
        if item == "2":
            raise ValueError("hook")
        return False

    items, error = await read(film.ask())
    assert items == ["1"]
    assert isinstance(error, ValueError)
    assert film.records[-1].ended == "failed"


def fails_at_two(item: str) -> bool:
    """A hook with a mistake."""
    if item == "2":
        raise ZeroDivisionError
    return False


async def test_a_hook_that_raises_while_the_stream_runs_waits_250_ms_for_the_generator() -> None:
    """One that takes longer to clean up is a straggler, as wherever a generator is cut off."""
    clock = asyncio.get_running_loop().time
    seen: list[object] = []

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        try:
            yield "1"
            yield "2"
        except BaseException as error:
            seen.append(type(error).__name__)
            raise
        finally:
            await asyncio.sleep(2)
            seen.append(clock())

    ask.last_item(fails_at_two)
    stream = ask()

    items, error = await read(stream)

    assert (items, type(error), clock()) == (["1"], ZeroDivisionError, 0.25)
    assert stream.record is not None
    assert (stream.record.outcome, stream.record.ended) == ("failed", "failed")
    assert str(stream.record.attempts[0].status) == "failed"
    await pause(1_750)
    assert seen == ["CancelledError", 2.0]
    quiet()


async def test_a_stream_that_a_hook_has_failed_is_closed_by_its_reader_meanwhile() -> None:
    """It has its end already: the reader waits for it, and the record says failed."""
    clock = asyncio.get_running_loop().time

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        try:
            yield "1"
            yield "2"
        finally:
            await asyncio.sleep(0.1)

    ask.last_item(fails_at_two)
    stream = ask()
    await anext(stream)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.05)

    await stream.aclose()

    assert clock() == pytest.approx(0.1)
    assert stream.record is not None
    assert stream.record.ended == "failed"
    quiet()


async def test_a_loser_in_an_async_accept_is_cut_off_by_a_cancelled_error() -> None:
    """Its generator stands at a yield, and gets no GeneratorExit."""
    seen: list[str] = []

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 10}))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        try:
            yield attempt.provider
        except BaseException as error:
            seen.append(f"{attempt.provider} {type(error).__name__}")
            raise

    @ask.accept
    async def good(item: str) -> bool:
        await asyncio.sleep(1 if item == "a" else 0)
        return True

    async with ask() as stream:
        assert await anext(stream) == "b"
    assert seen == ["a CancelledError", "b CancelledError"]
    quiet()


@pytest.mark.parametrize("hook", ["accept", "first_item", "last_item"])
async def test_a_group_around_the_yields_of_an_attempt_that_a_hook_fails_ends_well(hook: str) -> None:
    """What a hook raises is the attempt's error, and its generator is cut off as always."""
    seen: list[str] = []

    class HookError(Exception):
        status_code = 503

    @routed(RoutingPolicy(chain=["a:m", "b:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(10 if attempt.provider == "a" else 0))
                yield attempt.provider
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    def check(item: str) -> bool:
        if item == "a":
            raise HookError
        return True

    getattr(ask, hook)(check)
    items, error = await read(ask())
    assert (items, error) == (["b"], None)
    assert seen == ["CancelledError"]
    quiet()


async def test_a_group_around_the_yields_of_an_attempt_that_was_turned_down_ends_well() -> None:
    """And its clean-up's errors are nobody's."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(10))
            try:
                yield "no"
            finally:
                raise KeyError("clean-up")

    ask.accept(lambda _item: False)
    with pytest.raises(ResultRejectedError):
        await ask().start()
    quiet()
