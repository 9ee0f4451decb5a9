"""What falls into one turn of the loop, or happens before an attempt has taken its first step."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

import routeware
from routeware import CallRecord
from routeware.engine.caller import CallerTask
from tests.fakes.ledgers import Remote
from tests.fakes.providers import (
    HTTPStatusError,
    answers,
    busy,
    fails,
    hangs,
    pause,
    reports,
    script,
    statuses,
    stopwatch,
)
from tests.fakes.tracing import Traces


async def test_an_error_in_the_turn_of_its_time_out_leaves_the_next_attempt_its_time() -> None:
    """The timer rang for the attempt before, whose error was there: the next one is cut off at its own time."""
    providers = script(a=busy(10), b=busy(100), c=hangs())
    took = stopwatch()

    with pytest.raises(routeware.AttemptTimeoutError):
        await providers.ask(timeouts={"a": 50, "b": 100, "c": 100})()

    assert took() == 210
    first, second, third = providers.records[0].attempts
    assert [one.error.category for one in (first, second, third) if one.error] == [
        "overloaded",
        "overloaded",
        "timeout",
    ]
    assert (third.started_ms, third.duration_ms) == (pytest.approx(110), pytest.approx(100))


async def test_an_error_in_the_turn_of_its_time_out_does_not_cut_off_what_has_no_time_out() -> None:
    """The last link may take as long as it likes."""
    providers = script(a=busy(10), b=busy(100), c=answers(3000))

    assert await providers.ask(timeouts={"a": 50, "b": 100})() == "c"


async def test_a_timeout_that_is_cancelled_touches_no_task() -> None:
    """Whoever waited for it has gone on: nothing is taken off what its task counts."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    timeout = CallerTask(loop, task)
    timeout.reschedule(loop.time() + 0.01)

    with pytest.raises(asyncio.CancelledError):
        await pause(20)
    timeout.cancel()

    assert timeout.consume()
    assert task.cancelling() == 1
    task.uncancel()


@pytest.mark.parametrize("turns", range(4))
async def test_tasks_that_a_program_cancels_as_it_ends_may_not_have_begun(turns: int) -> None:
    """All of the loop's tasks, as `asyncio.run` does it, at about the time when a backup is started."""
    traces = Traces()
    providers = script(a=hangs(), b=hangs())
    loop = asyncio.get_running_loop()
    ask = providers.ask(race_after_ms=10, usd={"a": 0.25, "b": 0.25}, options=traces.options)
    calling = loop.create_task(ask())
    myself = asyncio.current_task()

    def end_all(after_turns: int) -> None:
        if after_turns:
            loop.call_soon(end_all, after_turns - 1)
            return
        for task in asyncio.all_tasks() - {myself}:
            task.cancel()

    await pause(0)
    loop.call_later(0.01, end_all, turns)
    await asyncio.wait([calling])

    assert calling.cancelled()
    (record,) = providers.records
    assert record.outcome == "cancelled"
    assert {one.status for one in record.attempts} == {"cancelled"}
    assert record.uncertain_usd == 0.25 * len(providers.started), "what was never called costs nothing"
    assert len(traces.spans) == 1 + len(record.attempts)


async def test_a_call_that_is_closed_before_its_attempts_first_step_runs_nothing() -> None:
    """Thrown away in the turn in which it was started: no task is left, nothing was called."""
    providers = script(a=hangs(), b=hangs())
    call: Coroutine[Any, Any, Any] = providers.ask(race_after_ms=10, usd={"a": 0.25, "b": 0.25})()

    future = call.send(None)
    call.close()
    future.cancel()
    await pause(1)

    assert providers.started == {}
    assert providers.records[0].outcome == "cancelled"


async def test_a_backup_that_is_asked_for_is_not_started_after_an_error_that_ends_the_call() -> None:
    """Of three links in flight at most, one fails for good while the ledger still thinks about the third."""
    ledger = Remote(hold_ms=[0, 0, 100])
    providers = script(a=fails(50, HTTPStatusError(400)), b=reports(0.125, answers(200)), c=hangs())

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        prices = dict.fromkeys("abc", 0.25)
        assert await providers.ask(usd=prices, race_after_ms=20, race_width=3)() == "b"

    assert statuses(providers.records[0]) == {"a": "failed", "b": "succeeded"}
    assert ledger.holds == 3
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.125, 0, 0)


async def test_a_call_outside_of_any_task_is_refused() -> None:
    """There would be nobody to cancel."""
    loop = asyncio.get_running_loop()
    refused: asyncio.Future[BaseException] = loop.create_future()

    def step() -> None:
        call = script(a=answers(0)).ask()()
        try:
            call.send(None)
        except RuntimeError as error:
            refused.set_result(error)

    loop.call_soon(step)

    assert "has to be awaited in an asyncio task" in str(await refused)


class LeavingError(BaseException):
    """As SystemExit, which would end the tests, too."""


async def test_a_hook_that_ends_the_program_is_not_called_twice() -> None:
    """The call was over: its record is told once, its spans end once."""
    traces = Traces()
    told: list[CallRecord] = []

    def leave(record: CallRecord) -> None:
        told.append(record)
        raise LeavingError

    await pause(1)
    with pytest.raises(LeavingError):
        await script(a=answers(0)).ask(options={"on_call": leave, **traces.options})()

    assert [record.outcome for record in told] == ["succeeded"]
    assert len(traces.spans) == 2
