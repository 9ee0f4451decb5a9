"""What a race waits for while it waits: failures that end it, deadlines, tasks that never made a step."""

from __future__ import annotations

import asyncio
import logging

import pytest

import routeware
from routeware import Attempt, DeadlineExceededError
from tests.fakes.ledgers import Remote
from tests.fakes.providers import HTTPStatusError, answers, fails, hangs, other_tasks, pause, script, stopwatch
from tests.fakes.tracing import Traces


async def test_the_deadline_holds_while_only_a_ledger_is_waited_for() -> None:
    """The running attempt has failed, and the answer about its backup is slow."""
    providers = script(a=fails(20, HTTPStatusError(503)), b=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=Remote(hold_ms=[0, 5_000])):
        clock = stopwatch()
        ask = providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=10, deadline_ms=50)
        with pytest.raises(DeadlineExceededError):
            await ask()
        assert clock() == 50

    assert list(providers.started) == ["a"]


async def test_after_an_error_that_is_not_failed_over_no_backup_is_looked_for(caplog: pytest.LogCaptureFixture) -> None:
    """What runs may still win; nothing is said of a race that is no longer wanted."""
    traces = Traces()
    providers = script(a=answers(100), b=fails(5, HTTPStatusError(401)), c=answers(0))

    with caplog.at_level(logging.DEBUG, "routeware"):
        ask = providers.ask(race_after_ms=10, race_width=3, options=traces.options)
        assert await ask() == "a"

    assert list(providers.started) == ["a", "b"]
    assert "race_skipped" not in caplog.text
    assert "hook failed" not in caplog.text


async def test_each_attempt_of_a_race_may_answer_at_its_very_time_out() -> None:
    """Also after another one has timed out: what is there counts."""

    async def just_in_time(attempt: Attempt) -> str:
        await pause(50)
        await asyncio.sleep(0)  # the engine sees that the time is up before this has answered
        return "b"

    providers = script(a=hangs(), b=just_in_time)
    clock = stopwatch()

    assert await providers.ask(timeouts={"a": 50, "b": 50}, race_after_ms=10)() == "b"

    assert clock() == 60


async def test_an_attempt_whose_task_is_cancelled_before_its_first_step_has_failed() -> None:
    """By code of the program that cancels tasks: the next link is tried at once, not when the backup is due."""
    providers = script(a=answers(10), b=answers(10))
    before = other_tasks()
    call = asyncio.ensure_future(providers.ask(race_after_ms=1_000)())
    clock = stopwatch()
    await asyncio.sleep(0)
    attempts = other_tasks() - before - {call}
    started = list(providers.started)
    for task in attempts if not started else ():  # an eager task has made its first step
        task.cancel()
    await pause(20)

    assert started or len(attempts) == 1
    assert call.done()
    assert call.result() == ("a" if started else "b")
    assert clock() == 20
