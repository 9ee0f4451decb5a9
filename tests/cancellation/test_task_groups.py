"""A TaskGroup that the provider handled by itself: what it leaves counted is no cancellation of the caller."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routeware import Attempt
from tests.fakes.providers import Behaviour, HTTPStatusError, answers, cancelled_at, hangs, pause, script, statuses


async def a_handled_group() -> None:
    """Let a child fail while the group's body has ended: before CPython 3.13 that leaves the count one too high."""

    async def fails() -> None:
        await pause(10)
        raise ConnectionResetError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            group.create_task(asyncio.sleep(60))
    except* ConnectionResetError:
        pass


def handles_a_group_and_then(behaviour: Behaviour) -> Behaviour:
    """Use a TaskGroup whose error is handled, and then do something else."""

    async def run(attempt: Attempt) -> object:
        await a_handled_group()
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
