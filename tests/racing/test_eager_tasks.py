"""Loops whose tasks run their first step while they are made: nothing may hang on when a task begins."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

import routeware
from routeware import Attempt, ProviderCancelledError
from tests.fakes.providers import Behaviour, HTTPStatusError, answers, cancelled_at, hangs, script, statuses

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are eager from CPython 3.12 on")


def eagerly() -> None:
    """From here on tasks of this loop run at once."""
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)


def at_once(end: object) -> Behaviour:
    """Ends before it has ever waited."""

    async def run(attempt: Attempt) -> object:
        if isinstance(end, BaseException):
            raise end
        return end

    return run


@pytest.mark.parametrize("racing", [None, 0, 10])
async def test_a_provider_that_cancels_itself_at_once_has_failed(racing: float | None) -> None:
    """Category cancelled, as when it does so later: the caller was not cancelled."""
    eagerly()
    providers = script(a=at_once(asyncio.CancelledError()), b=answers(10))

    outcome = await providers.ask(race_after_ms=racing).outcome()

    assert outcome.value == "b"
    assert statuses(outcome.record) == {"a": "failed", "b": "succeeded"}
    error = outcome.record.attempts[0].error
    assert error is not None
    assert error.category == "cancelled"


@pytest.mark.parametrize("racing", [None, 0, 10])
async def test_where_that_is_the_end_it_does_not_pass_for_the_callers_own(racing: float | None) -> None:
    """`ProviderCancelledError` from it."""
    eagerly()
    both = [at_once(asyncio.CancelledError()) for _ in range(2)]

    with pytest.raises(ProviderCancelledError) as raised:
        await script(a=both[0], b=both[1]).ask(race_after_ms=racing)()

    assert raised.value.label == "b"
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)


@pytest.mark.parametrize("racing", [0, 10])
@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("done", "done"),
        (HTTPStatusError(503), "b"),
        (ConnectionResetError(), "b"),
        (HTTPStatusError(400), HTTPStatusError),
    ],
)
async def test_whatever_happens_at_once_happens_as_ever(end: object, expected: Any, racing: float) -> None:
    """Answers, errors that are failed over, and errors that are not."""
    eagerly()
    ask = script(a=at_once(end), b=at_once("b")).ask(race_after_ms=racing)

    if isinstance(expected, type):
        with pytest.raises(expected):
            await ask()
    else:
        assert await ask() == expected


async def test_a_backup_that_answers_at_once_wins() -> None:
    """While its task is made."""
    eagerly()
    providers = script(a=hangs(), b=at_once("b"))

    async with routeware.session(limit_usd=1) as spending:
        record = (await providers.ask(race_after_ms=10, usd={"a": 0.25, "b": 0.25}).outcome()).record

    assert statuses(record) == {"a": "race_lost", "b": "succeeded"}
    assert spending.reserved_usd == 0


async def test_a_backup_that_cancels_itself_at_once_leaves_the_primary_alone() -> None:
    """It leaves the race, and no more."""
    eagerly()
    providers = script(a=answers(100), b=at_once(asyncio.CancelledError()))

    assert await providers.ask(race_after_ms=10)() == "a"


@pytest.mark.parametrize("moment", [5, 10, 50])
async def test_the_callers_cancellation_is_the_callers(moment: float) -> None:
    """In a race of eager tasks, too."""
    eagerly()
    providers = script(a=hangs(), b=hangs())

    task, took = await cancelled_at(providers.ask(race_after_ms=10)(), moment)

    assert task.cancelled()
    assert took == moment
    assert providers.records[0].outcome == "cancelled"
