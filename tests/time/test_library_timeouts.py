"""A client library's own time-out is a provider's failure, also where the library leaves its cancellation counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from routeware import Attempt
from tests.fakes.library_timeouts import OldTimeout
from tests.fakes.providers import FOREVER_MS, Behaviour, answers, busy, cancelled_at, hangs, script, statuses, stopwatch

SETTINGS = [
    {},
    {"deadline_ms": 3000},
    {"on_timeout_ms": 3000},
    {"race_after_ms": 2000},
]


def times_out(after_ms: float, *, wrapped: bool = False) -> Behaviour:
    """Run into a time-out of the client library."""

    async def run(attempt: Attempt) -> object:
        if wrapped:
            try:
                return await run_plainly(attempt)
            except TimeoutError as error:
                raise ConnectionError("the library's own class") from error
        return await run_plainly(attempt)

    async def run_plainly(attempt: Attempt) -> object:
        async with OldTimeout(after_ms):
            return await hangs()(attempt)

    return run


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
async def test_it_fails_over(settings: dict[str, Any]) -> None:
    """A hand-written `except TimeoutError` would have gone on to the second provider, too."""
    providers = script(a=times_out(100), b=answers(10))
    took = stopwatch()

    outcome = await providers.ask(**settings).outcome()

    assert outcome.value == "b"
    assert statuses(outcome.record) == {"a": "failed", "b": "succeeded"}
    assert took() == 110


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
async def test_each_link_may_run_into_one(settings: dict[str, Any]) -> None:
    """The count goes up by one each time, and each time that is the new baseline."""
    providers = script(a=times_out(100), b=times_out(100), c=answers(10))

    assert await providers.ask(**settings)() == "c"


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
async def test_a_cancellation_after_it_is_the_callers(settings: dict[str, Any]) -> None:
    """The new baseline hides no cancellation that comes later."""
    providers = script(a=times_out(100), b=hangs())

    task, took = await cancelled_at(providers.ask(**settings)(), 150)

    assert task.cancelled()
    assert took == 150


async def test_a_cancellation_together_with_it_starts_nothing_more() -> None:
    """The count has risen by two: one is the library's, the other one the caller's, which the provider swallowed."""

    async def swallows(attempt: Attempt) -> object:
        try:
            async with OldTimeout(100):
                try:
                    return await hangs()(attempt)
                except asyncio.CancelledError:  # the caller's, at 50
                    return await hangs()(attempt)
        finally:
            assert task_cancelling() == 2

    providers = script(a=swallows, b=answers(10))

    task, _ = await cancelled_at(providers.ask()(), 50)

    assert list(providers.started) == ["a"]
    assert task.cancelled() or isinstance(task.exception(), TimeoutError)


async def test_a_time_out_of_ours_after_it_is_still_ours() -> None:
    """The next link's own time-out fires although the count was left one too high."""
    providers = script(a=times_out(100), b=answers(FOREVER_MS), c=answers(10))

    outcome = await providers.ask(timeouts={"b": 50}).outcome()

    assert outcome.value == "c"
    assert [attempt.error.category for attempt in outcome.record.attempts if attempt.error] == ["timeout", "timeout"]


@pytest.mark.parametrize("levels", [1, 2])
async def test_the_calls_around_the_one_that_excused_it_excuse_it_too(levels: int) -> None:
    """What a library has left counted in a nested call is no cancellation for the outer call, either."""

    def fails_after(inner: Callable[[], Awaitable[object]]) -> Behaviour:
        async def run(attempt: Attempt) -> object:
            await inner()
            return await busy()(attempt)

        return run

    call = script(a=times_out(100), b=answers(10)).ask()
    for _ in range(levels):
        call = script(a=fails_after(call), b=answers(10)).ask()

    assert await call() == "b"


async def test_what_is_left_counted_in_another_task_is_not_excused_in_the_outer_call() -> None:
    """Each task counts its own cancellations: the next one of the outer call's task is its caller's."""
    inner = script(a=times_out(100), b=answers(10)).ask()

    async def run(attempt: Attempt) -> object:
        await asyncio.create_task(inner())
        try:
            return await hangs()(attempt)
        except asyncio.CancelledError:  # the caller's, at 150, swallowed
            return await busy()(attempt)

    providers = script(a=run, b=answers(10))

    await cancelled_at(providers.ask()(), 150)

    assert list(providers.started) == ["a"]


async def test_a_cancellation_after_a_nested_one_is_the_callers() -> None:
    """Each call around it counts it once."""
    inner = script(a=times_out(100), b=answers(10)).ask()

    async def run(attempt: Attempt) -> object:
        await inner()
        return await hangs()(attempt)

    providers = script(a=run, b=answers(10))

    task, took = await cancelled_at(providers.ask()(), 150)

    assert task.cancelled()
    assert (list(providers.started), took) == (["a"], 150)


async def test_what_is_left_of_the_count_is_the_librarys() -> None:
    """The call takes nothing off it: whoever leaves a count behind leaves it to the caller, as without us."""
    await script(a=times_out(100), b=answers(10)).ask()()

    assert task_cancelling() == 1
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()


def task_cancelling() -> int:
    """Return how many cancellations the current task counts."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()
