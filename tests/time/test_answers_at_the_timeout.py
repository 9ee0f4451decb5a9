"""What is there when time is up goes first: an answer at exactly the time-out is an answer."""

from __future__ import annotations

import asyncio

import pytest

from routeware import Attempt, AttemptTimeoutError, DeadlineExceededError
from tests.fakes.providers import answers, pause, script, statuses, stopwatch


@pytest.mark.parametrize("race_after_ms", [None, 1000, 50])
@pytest.mark.parametrize("after_ms", [100, 150.5])
async def test_an_answer_at_the_time_out_is_an_answer(race_after_ms: float | None, after_ms: float) -> None:
    """Alone, with a race armed, and with a backup in flight."""
    providers = script(a=answers(after_ms), b=answers(1000))
    took = stopwatch()

    outcome = await providers.ask(timeouts={"a": after_ms}, race_after_ms=race_after_ms).outcome()

    assert outcome.value == "a"
    assert outcome.record.attempts[0].status == "succeeded"
    assert took() == after_ms


@pytest.mark.parametrize("race_after_ms", [None, 1000])
async def test_an_answer_that_another_task_brings_at_that_moment_is_an_answer(race_after_ms: float | None) -> None:
    """As a socket does it: a future is set in the turn in which the timer rings."""

    async def waits(attempt: Attempt) -> object:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.1, future.set_result, "brought")
        return await future

    outcome = await script(a=waits, b=answers(1000)).ask(timeouts={"a": 100}, race_after_ms=race_after_ms).outcome()

    assert outcome.value == "brought"
    assert statuses(outcome.record)["a"] == "succeeded"


@pytest.mark.parametrize("race_after_ms", [None, 1000])
async def test_an_answer_at_the_deadline_is_an_answer(race_after_ms: float | None) -> None:
    """The same bound for the whole call."""
    assert await script(a=answers(100), b=answers(0)).ask(deadline_ms=100, race_after_ms=race_after_ms)() == "a"


async def test_an_answer_a_moment_later_is_none() -> None:
    """A time-out is honoured to the millisecond, and below."""
    with pytest.raises(AttemptTimeoutError):
        await script(a=answers(100.001)).ask(timeouts={"a": 100})()
    with pytest.raises(DeadlineExceededError):
        await script(a=answers(100.001)).ask(deadline_ms=100)()


async def test_one_that_goes_on_at_that_moment_is_cut_off() -> None:
    """Waking up at the time-out is no answer: it has more to do."""

    async def goes_on(attempt: Attempt) -> object:
        await pause(100)
        await pause(50)
        return "late"

    took = stopwatch()
    with pytest.raises(AttemptTimeoutError):
        await script(a=goes_on).ask(timeouts={"a": 100})()

    assert took() == 100
