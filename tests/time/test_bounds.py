"""Time: what an attempt has, what the call has, and what counts when a timer has rung."""

from __future__ import annotations

import pytest

from routeware import (
    Attempt,
    record_of,
)
from routeware.errors import AttemptTimeoutError, DeadlineExceededError
from tests.fakes.providers import (
    FatalError,
    HTTPStatusError,
    answers,
    block,
    busy,
    cleans_up,
    converts,
    fails,
    hangs,
    pause,
    script,
    statuses,
    stopwatch,
    stubborn,
)


async def test_an_attempt_has_its_own_time_to_the_millisecond() -> None:
    """A hangs with 123 ms: b starts at 123."""
    providers = script(a=hangs(), b=answers(10))
    took = stopwatch()

    outcome = await providers.ask(timeouts={"a": 123}).outcome()

    assert (outcome.value, took()) == ("b", 133)
    assert outcome.record.attempts[0].error.category == "timeout"
    assert outcome.record.attempts[0].duration_ms == pytest.approx(123, abs=0.01)


async def test_a_links_own_time_is_over_the_policys() -> None:
    """`timeout_ms` over `on_timeout_ms`."""
    providers = script(a=hangs(), b=hangs(), c=answers(0))

    assert await providers.ask(on_timeout_ms=100, timeouts={"b": 30})() == "c"
    assert providers.started == {"a": 0, "b": 100, "c": 130}


async def test_the_last_time_out_comes_out() -> None:
    """An `AttemptTimeoutError`, which is a TimeoutError, and names its link and time."""
    with pytest.raises(AttemptTimeoutError) as raised:
        await script(a=hangs()).ask(timeouts={"a": 50})()

    assert (raised.value.label, raised.value.timeout_ms) == ("a", 50)
    assert isinstance(raised.value, TimeoutError)
    assert statuses(record_of(raised.value)) == {"a": "failed"}


async def test_an_attempt_has_two_minutes_while_another_may_follow() -> None:
    """Where nothing is set: and none on the last one, which is never worse than the bare call."""
    providers = script(a=hangs(), b=answers(600_000))
    took = stopwatch()

    assert await providers.ask()() == "b"
    assert providers.started["b"] == 120_000
    assert took() == 720_000
    assert providers.attempts["a"].timeout_ms == 120_000
    assert providers.attempts["b"].timeout_ms is None


async def test_the_last_of_the_attempts_has_no_time_out_either() -> None:
    """`max_attempts` ends the chain as its last link does."""
    assert await script(a=answers(600_000), b=answers(0)).ask(max_attempts=1)() == "a"
    assert await script(a=busy(), b=answers(600_000), c=answers(0)).ask(max_attempts=2)() == "b"


async def test_in_a_race_too_an_attempt_has_two_minutes() -> None:
    """The primary's, when nothing is set; the backup is the last one."""
    providers = script(a=hangs(), b=answers(600_000))
    took = stopwatch()

    outcome = await providers.ask(race_after_ms=50).outcome()

    assert (outcome.value, took()) == ("b", 600_050)
    assert outcome.record.attempts[0].duration_ms == pytest.approx(120_000, abs=0.01)


async def test_a_value_after_the_timer_rang_is_a_success_without_racing() -> None:
    """Bounds hold there as far as the provider function honours cancellation, as with `asyncio.timeout`."""
    providers = script(a=stubborn(30, hangs(), then=answers(0)), b=answers(0))
    took = stopwatch()

    assert await providers.ask(timeouts={"a": 100})() == "a"
    assert took() == 130


async def test_an_error_after_the_timer_is_a_time_out() -> None:
    """From that error, and eligible as a time-out is."""
    late = FatalError("closing")
    providers = script(a=converts(hangs(), late))

    with pytest.raises(AttemptTimeoutError) as raised:
        await providers.ask(timeouts={"a": 100})()

    assert raised.value.__cause__ is late
    assert await script(a=converts(hangs(), late), b=answers(0)).ask(timeouts={"a": 100})() == "b"


async def test_an_error_after_the_timer_is_a_time_out_in_a_race_too() -> None:
    """The same, with both in flight."""
    providers = script(a=converts(hangs(), FatalError()), b=converts(hangs(), FatalError()))

    with pytest.raises(AttemptTimeoutError) as raised:
        await providers.ask(race_after_ms=10, on_timeout_ms=100)()

    assert raised.value.label == "b", "it ended last"
    assert isinstance(raised.value.__cause__, FatalError)


async def test_a_time_outs_clean_up_is_waited_for() -> None:
    """In the caller's own task, the next link starts when the one before has ended."""
    providers = script(a=cleans_up(30, hangs()), b=answers(0))

    assert await providers.ask(timeouts={"a": 100})() == "b"
    assert providers.started["b"] == 130


async def test_the_deadline_bounds_the_whole_call() -> None:
    """A fails at 80, b hangs: at 100 what is in flight is cut off, and a's error is the cause."""
    error = HTTPStatusError(503)
    providers = script(a=fails(80, error), b=hangs())
    took = stopwatch()

    with pytest.raises(DeadlineExceededError) as raised:
        await providers.ask(deadline_ms=100)()

    assert took() == 100
    assert raised.value.__cause__ is error
    assert raised.value.deadline_ms == 100
    record = record_of(raised.value)
    assert record is not None
    assert record.outcome == "deadline_exceeded"
    assert statuses(record) == {"a": "failed", "b": "cancelled"}


async def test_a_deadline_without_an_error_before_it_has_no_cause() -> None:
    """There is no provider error to raise it from."""
    with pytest.raises(DeadlineExceededError) as raised:
        await script(a=hangs()).ask(deadline_ms=100)()

    assert raised.value.__cause__ is None


async def test_the_deadline_is_looked_at_before_every_start() -> None:
    """A busy loop ran past it while a failed: b is not started."""
    error = HTTPStatusError(503)

    async def fails_while_the_loop_is_busy(attempt: Attempt) -> str:
        await pause(90)
        block(20)
        raise error

    providers = script(a=fails_while_the_loop_is_busy, b=answers(0))

    with pytest.raises(DeadlineExceededError) as raised:
        await providers.ask(deadline_ms=100)()

    assert raised.value.__cause__ is error
    assert list(providers.started) == ["a"]


async def test_an_attempt_knows_the_time_that_it_really_has() -> None:
    """Deadline included."""
    providers = script(a=busy(40), b=busy(20), c=answers(0))

    await providers.ask(deadline_ms=100, timeouts={"a": 500, "b": 30})()

    real = {label: round(attempt.timeout_ms or 0, 3) for label, attempt in providers.attempts.items()}
    assert real == {"a": 100, "b": 30, "c": 40}


async def test_accept_is_inside_the_time_of_its_attempt() -> None:
    """A check that hangs is an attempt that timed out; and the deadline covers it, too."""

    async def check(result: str) -> bool:
        await pause(0 if result == "b" else 1000)
        return True

    ask = script(a=answers(0), b=answers(0)).ask(timeouts={"a": 50})
    ask.accept(check)
    assert await ask() == "b"

    bounded = script(a=answers(0)).ask(deadline_ms=70)
    bounded.accept(check)
    took = stopwatch()
    with pytest.raises(DeadlineExceededError):
        await bounded()
    assert took() == 70


# The caller's cancellation, and those that only look like it.
