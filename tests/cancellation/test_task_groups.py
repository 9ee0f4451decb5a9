"""A TaskGroup that the provider handled by itself: what it leaves counted is no cancellation of the caller."""

from __future__ import annotations

import asyncio
import gc
import types
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from routeware import Attempt, RoutingPolicy, routed
from tests.fakes.providers import Behaviour, HTTPStatusError, answers, cancelled_at, hangs, pause, script, statuses


async def cleans_up() -> None:
    """Take 50 ms to end once it is cancelled."""
    try:
        await pause(1000)
    finally:
        await pause(50)


async def fails_at(moment_ms: float) -> None:
    """Fail a group's child."""
    await pause(moment_ms)
    raise ConnectionResetError


async def a_handled_group() -> None:
    """Let a child fail while the group's body has ended: before CPython 3.13 that leaves the count one too high."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails_at(10))
            group.create_task(asyncio.sleep(60))
    except* ConnectionResetError:
        pass


@asynccontextmanager
async def a_pool() -> AsyncIterator[None]:
    """Keep a TaskGroup behind a context manager, as connection pools do."""
    async with asyncio.TaskGroup() as group:
        group.create_task(fails_at(10))
        yield


async def behind_a_context_manager() -> None:
    """Use a pool, and handle the error of its group."""
    try:
        async with a_pool():
            pass
    except* ConnectionResetError:
        pass


class AnAwaitable:
    """An object that can be awaited."""

    def __await__(self) -> Generator[Any, Any, None]:
        return a_handled_group().__await__()


async def behind_an_awaitable() -> None:
    """Await an object that is no coroutine."""
    await AnAwaitable()


async def behind_an_async_generator() -> None:
    """Read items that are made with a group."""

    async def items() -> AsyncIterator[int]:
        await a_handled_group()
        yield 1

    async for _ in items():
        pass


async def behind_a_generator() -> None:
    """Await a coroutine in the old style, which is a generator."""

    @types.coroutine
    def old_style() -> Generator[Any, Any, None]:
        yield from a_handled_group().__await__()

    await old_style()


async def behind_a_routed_call() -> None:
    """Make a routed call in which a group is handled."""

    async def uses_a_group(attempt: Attempt) -> object:
        await a_handled_group()
        return attempt.model

    await script(x=uses_a_group, y=answers(10)).ask()()


async def behind_a_routed_call_that_fails_over() -> None:
    """Make a routed call that has excused the group itself."""
    await script(x=handles_a_group_and_then(is_busy), y=answers(10)).ask()()


async def twice() -> None:
    """Handle two groups, one after the other."""
    await a_handled_group()
    await a_handled_group()


WRAPPINGS = [
    a_handled_group,
    behind_a_context_manager,
    behind_an_awaitable,
    behind_an_async_generator,
    behind_a_generator,
    behind_a_routed_call,
    behind_a_routed_call_that_fails_over,
    twice,
]


def handles_a_group_and_then(
    behaviour: Behaviour, wrapped: Callable[[], Coroutine[Any, Any, None]] = a_handled_group
) -> Behaviour:
    """Use a TaskGroup whose error is handled, and then do something else."""

    async def run(attempt: Attempt) -> object:
        await wrapped()
        return await behaviour(attempt)

    return run


def is_busy(attempt: Attempt) -> Any:
    """Fail as an overloaded provider does."""
    raise HTTPStatusError(503)


@pytest.mark.parametrize(
    "settings",
    [{}, {"deadline_ms": 3000}, {"race_after_ms": 2000}],
    ids=str,
)
async def test_the_next_failure_is_failed_over(settings: dict[str, Any]) -> None:
    """On every CPython: the group's error was the provider's to handle, and it did."""
    providers = script(a=handles_a_group_and_then(is_busy), b=answers(10))

    outcome = await providers.ask(**settings).outcome()

    assert outcome.value == "b"
    assert statuses(outcome.record) == {"a": "failed", "b": "succeeded"}


@pytest.mark.parametrize("wrapped", WRAPPINGS, ids=lambda wrapped: wrapped.__name__)
async def test_the_next_failure_is_failed_over_whatever_the_group_is_wrapped_in(
    wrapped: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """What the group's cancellation passes through on its way makes no difference."""
    providers = script(a=handles_a_group_and_then(is_busy, wrapped), b=answers(10))

    assert await providers.ask()() == "b"


@pytest.mark.parametrize("wrapped", WRAPPINGS, ids=lambda wrapped: wrapped.__name__)
async def test_a_cancellation_that_comes_after_a_wrapped_group_is_the_callers(
    wrapped: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """It is raised, and no link is tried after it."""
    providers = script(a=handles_a_group_and_then(hangs(), wrapped), b=answers(10))

    task, took = await cancelled_at(providers.ask()(), 100)

    assert task.cancelled()
    assert (list(providers.started), took) == (["a"], 100)


async def test_nothing_keeps_the_group_alive() -> None:
    """Neither the call nor the handle of an attempt that the provider function keeps."""
    groups: list[weakref.ref[asyncio.TaskGroup]] = []
    kept: list[Attempt] = []

    async def run(attempt: Attempt) -> object:
        kept.append(attempt)
        try:
            async with asyncio.TaskGroup() as group:
                groups.append(weakref.ref(group))
                group.create_task(fails_at(10))
        except* ConnectionResetError:
            pass
        del group
        return is_busy(attempt)

    assert await script(a=run, b=answers(10)).ask()() == "b"

    gc.collect()
    assert groups[0]() is None


async def test_an_accept_hook_may_handle_one() -> None:
    """It belongs to the attempt, and its verdict is no cancellation."""
    providers = script(a=answers(10), b=answers(10))
    ask = providers.ask()

    @ask.accept
    async def is_wanted(result: object) -> bool:
        await a_handled_group()
        return result == "b"

    assert await ask() == "b"


async def test_a_further_round_is_begun_after_one() -> None:
    """Also where the link that failed was the last one of its round."""

    @routed(RoutingPolicy(chain=["a:m"], failover={"retries": 1, "backoff_ms": 10}))
    async def ask(attempt: Attempt) -> object:
        await a_handled_group()
        return is_busy(attempt) if attempt.number == 1 else "a"

    assert await ask() == "a"


async def test_the_callers_cancellation_of_a_group_that_cleans_up_starts_nothing_more() -> None:
    """The group has cancelled itself before, and swallows the caller's cancellation before CPython 3.13."""

    async def run(attempt: Attempt) -> object:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails_at(10))
                group.create_task(cleans_up())
        except* ConnectionResetError:
            pass
        return is_busy(attempt)

    providers = script(a=run, b=answers(10))

    await cancelled_at(providers.ask()(), 30)

    assert list(providers.started) == ["a"]


async def test_the_callers_cancellation_of_a_group_that_has_interrupted_its_body_starts_nothing_more() -> None:
    """The group has taken its own cancellation back, so the one that arrives while it cleans up is the caller's."""

    async def run(attempt: Attempt) -> object:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails_at(10))
                group.create_task(cleans_up())
                await pause(1000)
        except* ConnectionResetError:
            pass
        return is_busy(attempt)

    providers = script(a=run, b=answers(10))

    await cancelled_at(providers.ask()(), 30)

    assert list(providers.started) == ["a"]


async def test_the_callers_cancellation_in_the_turn_of_the_groups_own_starts_nothing_more() -> None:
    """One error is thrown for both, and the count has risen by two."""

    async def run(attempt: Attempt) -> object:
        task = asyncio.current_task()
        assert task is not None

        async def fails_beside_a_cancellation() -> None:
            await pause(10)
            asyncio.get_running_loop().call_soon(task.cancel)
            raise ConnectionResetError

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails_beside_a_cancellation())
                group.create_task(asyncio.sleep(60))
        except* ConnectionResetError:
            pass
        return is_busy(attempt)

    providers = script(a=run, b=answers(10))

    await asyncio.gather(providers.ask()(), return_exceptions=True)

    assert list(providers.started) == ["a"]


async def test_a_group_that_interrupts_its_body_takes_its_own_cancellation_back() -> None:
    """Nothing is left of it, so nothing is excused: the next cancellation is the caller's."""

    async def run(attempt: Attempt) -> object:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails_at(10))
                await pause(1000)
        except* ConnectionResetError:
            pass
        return await hangs()(attempt)

    providers = script(a=run, b=answers(10))

    task, _ = await cancelled_at(providers.ask()(), 100)

    assert task.cancelled()
    assert list(providers.started) == ["a"]


async def test_a_cancellation_after_it_is_the_callers() -> None:
    """Only the one count that the group left is not."""
    providers = script(a=handles_a_group_and_then(is_busy), b=hangs())

    task, _ = await cancelled_at(providers.ask()(), 100)

    assert task.cancelled()


async def test_with_a_time_out_it_is_no_worse_than_asyncio_timeout() -> None:
    """Where `asyncio.timeout` around the same code gives a TimeoutError, the call fails over."""

    async def bare() -> object:
        async with asyncio.timeout(0.1):
            await a_handled_group()
            await pause(1000)

    alone = asyncio.ensure_future(bare())
    await asyncio.wait([alone])
    providers = script(a=handles_a_group_and_then(hangs()), b=answers(10))

    routed = asyncio.ensure_future(providers.ask(timeouts={"a": 100})())
    await asyncio.wait([routed])

    if not alone.cancelled():
        assert isinstance(alone.exception(), TimeoutError)
        assert routed.result() == "b"
    else:
        assert routed.cancelled() or routed.result() == "b"
