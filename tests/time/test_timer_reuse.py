"""A call's one timer is moved from attempt to attempt, and rings for each of them."""

from __future__ import annotations

import asyncio

import pytest

from routeware import AttemptTimeoutError
from tests.fakes.providers import answers, block, busy, cancelled_at, hangs, script, statuses, stopwatch


@pytest.mark.parametrize("timeouts", [{"a": 100, "b": 100}, {"a": 1000, "b": 100}], ids=["later", "earlier"])
async def test_a_time_out_holds_after_a_link_that_failed_before_its_own(timeouts: dict[str, float]) -> None:
    """The timer that was armed for the first link rings for the second, be that later or earlier."""
    took = stopwatch()
    providers = script(a=busy(50), b=hangs(), c=answers(0))

    outcome = await providers.ask(timeouts=timeouts).outcome()

    assert outcome.value == "c"
    assert took() == 150
    assert statuses(outcome.record) == {"a": "failed", "b": "failed", "c": "succeeded"}


async def test_a_time_out_of_the_last_link_holds_after_one_that_failed_before_its_own() -> None:
    """There is nobody after it who could arm a timer anew."""
    took = stopwatch()

    with pytest.raises(AttemptTimeoutError):
        await script(a=busy(50), b=hangs()).ask(timeouts={"a": 100, "b": 100})()

    assert took() == 150


async def test_a_link_that_fails_just_before_its_timer_cuts_costs_the_next_one_no_time() -> None:
    """A busy loop finds the failure and the ringing timer in one turn: the next link has its whole time, and no more.

    What it finds first is the failure; the timer was for the link that failed.
    """
    asyncio.get_running_loop().call_later(0.099, block, 2)
    providers = script(a=busy(99.9), b=hangs(), c=answers(0))
    took = stopwatch()

    outcome = await providers.ask(timeouts={"a": 100, "b": 50}).outcome()

    assert statuses(outcome.record) == {"a": "failed", "b": "failed", "c": "succeeded"}
    assert providers.started["b"] == 101
    assert took() == 151


async def test_what_comes_after_a_time_out_is_not_taken_for_another() -> None:
    """The timer has rung once: the next failure is a failure, and the next cancellation the caller's."""
    failing = await script(a=hangs(), b=busy(10), c=answers(0)).ask(timeouts={"a": 50}).outcome()
    cancelled, took = await cancelled_at(script(a=hangs(), b=hangs(), c=answers(0)).ask(timeouts={"a": 50})(), 100)

    found = [attempt.error.category for attempt in failing.record.attempts if attempt.error is not None]
    assert found == ["timeout", "overloaded"]
    assert cancelled.cancelled()
    assert took == 100
