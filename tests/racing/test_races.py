"""Races, to the millisecond: who starts when, and who wins."""

from __future__ import annotations

import asyncio

import pytest

from routeware import AttemptTrigger, record_of
from tests.fakes.providers import (
    Closable,
    FatalError,
    HTTPStatusError,
    answers,
    block,
    busy,
    cancels_itself,
    converts,
    fails,
    hangs,
    pause,
    script,
    statuses,
    stopwatch,
    stubborn,
)


async def test_the_backup_wins_when_it_answers_first() -> None:
    """A at 500, b in 10 after the threshold of 50: b at exactly 60, and a has lost the race."""
    providers = script(a=answers(500), b=answers(10))
    took = stopwatch()

    outcome = await providers.ask(race_after_ms=50).outcome()

    assert (outcome.value, took()) == ("b", 60)
    assert statuses(outcome.record) == {"a": "race_lost", "b": "succeeded"}
    assert outcome.record.selected == 1
    assert providers.started == {"a": 0, "b": 50}
    assert providers.ended == {"b": 60, "a": 60}


async def test_the_record_says_why_and_when_each_attempt_started() -> None:
    """The trigger is why an attempt was started; its times are on the call's clock, until it was cut off."""
    outcome = await script(a=answers(500), b=answers(10)).ask(race_after_ms=50).outcome()
    first, second = outcome.record.attempts

    assert (first.trigger, second.trigger) == (AttemptTrigger.INITIAL, AttemptTrigger.RACE)
    assert first.started_ms == pytest.approx(0, abs=0.01)
    assert second.started_ms == pytest.approx(50, abs=0.01)
    assert first.duration_ms == pytest.approx(60, abs=0.01)
    assert second.duration_ms == pytest.approx(10, abs=0.01)
    assert outcome.record.duration_ms == pytest.approx(60, abs=0.01)
    assert (outcome.record.race_after_ms, outcome.record.race_source) == (50, "fixed")


async def test_the_primary_may_win_its_race() -> None:
    """A success is a success: the primary's, too, after its backup has started."""
    providers = script(a=answers(100), b=answers(100))
    took = stopwatch()

    outcome = await providers.ask(race_after_ms=50).outcome()

    assert (outcome.value, took()) == ("a", 100)
    assert statuses(outcome.record) == {"a": "succeeded", "b": "race_lost"}


async def test_a_quick_primary_is_alone() -> None:
    """No backup is started before the threshold."""
    providers = script(a=answers(49), b=answers(0))

    assert await providers.ask(race_after_ms=50)() == "a"
    assert list(providers.started) == ["a"]


async def test_a_failure_in_a_race_leaves_it_to_the_others() -> None:
    """A fails at 60, b answers in 100: b at 150."""
    providers = script(a=busy(60), b=answers(100))
    took = stopwatch()

    outcome = await providers.ask(race_after_ms=50).outcome()

    assert (outcome.value, took()) == ("b", 150)
    assert statuses(outcome.record) == {"a": "failed", "b": "succeeded"}


async def test_a_backup_that_fails_leaves_the_primary_alone() -> None:
    """B fails in 10, a answers at 100: a at 100."""
    providers = script(a=answers(100), b=busy(10))
    took = stopwatch()

    assert await providers.ask(race_after_ms=50)() == "a"
    assert took() == 100


async def test_first_success_wins_not_first_completion() -> None:
    """A race is decided by an answer; a rejected result is none."""
    providers = script(a=answers(200, "good"), b=answers(10, "bad"))
    ask = providers.ask(race_after_ms=50)
    ask.accept(lambda result: result == "good")

    outcome = await ask.outcome()

    assert outcome.value == "good"
    assert statuses(outcome.record) == {"a": "succeeded", "b": "rejected"}


async def test_a_failure_with_others_in_flight_starts_nothing_by_itself() -> None:
    """An eligible failure just leaves the race: the third starts when the timer rings, 50 after the latest start."""
    providers = script(a=busy(60), b=answers(500), c=answers(10))
    took = stopwatch()

    assert await providers.ask(race_after_ms=50)() == "c"
    assert providers.started == {"a": 0, "b": 50, "c": 100}
    assert took() == 110


async def test_a_failure_before_the_timer_is_an_ordinary_failover() -> None:
    """The next link starts at once, and the timer runs from its start."""
    providers = script(a=busy(20), b=answers(500), c=answers(10))

    outcome = await providers.ask(race_after_ms=50).outcome()

    assert providers.started == {"a": 0, "b": 20, "c": 70}
    assert [str(attempt.trigger) for attempt in outcome.record.attempts] == ["initial", "failover", "race"]


async def test_a_timer_that_rings_in_a_full_race_takes_the_first_free_place() -> None:
    """Rings at 100 with two in flight; a fails at 130: c starts at 130."""
    providers = script(a=busy(130), b=answers(500), c=answers(10))
    took = stopwatch()

    assert await providers.ask(race_after_ms=50)() == "c"
    assert providers.started == {"a": 0, "b": 50, "c": 130}
    assert took() == 140


async def test_a_place_that_is_free_before_the_timer_rings_waits_for_it() -> None:
    """The timer runs from the latest start whatever else happens: a fails at 70, c starts at 100."""
    providers = script(a=busy(70), b=answers(500), c=answers(10))

    assert await providers.ask(race_after_ms=50)() == "c"
    assert providers.started["c"] == 100


async def test_a_race_is_as_wide_as_it_is_told() -> None:
    """Three in flight at once with `race_width` 3, and not four."""
    providers = script(a=hangs(), b=hangs(), c=answers(200), d=answers(0))
    took = stopwatch()

    outcome = await providers.ask(race_after_ms=50, race_width=3).outcome()

    assert (outcome.value, took()) == ("c", 300)
    assert providers.started == {"a": 0, "b": 50, "c": 100}


async def test_a_threshold_of_zero_starts_the_backup_at_once() -> None:
    """`race_after_ms` may be 0."""
    providers = script(a=answers(100), b=answers(50))
    took = stopwatch()

    assert await providers.ask(race_after_ms=0)() == "b"
    assert providers.started == {"a": 0, "b": 0}
    assert took() == 50


async def test_a_tie_goes_to_the_earlier_link() -> None:
    """Both answer at 100."""
    outcome = await script(a=answers(100), b=answers(50)).ask(race_after_ms=50).outcome()

    assert outcome.value == "a"
    assert statuses(outcome.record) == {"a": "succeeded", "b": "race_lost"}


async def test_a_tie_at_a_threshold_of_zero_goes_to_the_earlier_link() -> None:
    """Both start and answer at the same moments."""
    assert await script(a=answers(0), b=answers(0), c=answers(0)).ask(race_after_ms=0, race_width=3)() == "a"


async def test_a_tie_of_an_answer_and_a_failure_is_an_answer() -> None:
    """B answers at the moment at which a fails, with an error that would end the call."""
    providers = script(a=fails(100, FatalError()), b=answers(50))

    assert await providers.ask(race_after_ms=50)() == "b"


async def test_what_is_there_when_the_engine_looks_counts_whatever_timer_fired() -> None:
    """A loop that was busy past the threshold finds the answer that came before it: no backup is started."""

    async def answers_while_the_loop_is_busy(attempt: object) -> str:
        await pause(49)
        block(5)
        return "a"

    providers = script(a=answers_while_the_loop_is_busy, b=answers(0))

    assert await providers.ask(race_after_ms=50)() == "a"
    assert list(providers.started) == ["a"]


async def test_an_answer_that_is_there_is_no_timeout() -> None:
    """In a race, too: a loop that was busy past an attempt's time-out finds its answer."""

    async def answers_while_the_loop_is_busy(attempt: object) -> str:
        await pause(99)
        block(5)
        return "b"

    providers = script(a=hangs(), b=answers_while_the_loop_is_busy)

    outcome = await providers.ask(race_after_ms=50, timeouts={"b": 100}).outcome()

    assert statuses(outcome.record) == {"a": "race_lost", "b": "succeeded"}


async def test_both_hang_and_the_third_gets_its_turn() -> None:
    """Time-out 200: a is out at 200, and its place is taken at once."""
    providers = script(a=hangs(), b=hangs(), c=answers(10))
    took = stopwatch()

    outcome = await providers.ask(race_after_ms=50, on_timeout_ms=200).outcome()

    assert (outcome.value, took()) == ("c", 210)
    assert providers.started == {"a": 0, "b": 50, "c": 200}
    assert statuses(outcome.record) == {"a": "failed", "b": "race_lost", "c": "succeeded"}
    assert outcome.record.attempts[0].error.category == "timeout"


async def test_the_next_start_does_not_wait_for_an_attempt_that_ran_out_of_time() -> None:
    """It has failed when its timer rings, however long it takes to see that: c starts at 200, not at 300."""
    providers = script(a=stubborn(100, hangs()), b=hangs(), c=answers(10))
    took = stopwatch()

    outcome = await providers.ask(race_after_ms=50, on_timeout_ms=200).outcome()

    assert providers.started["c"] == 200
    assert outcome.value == "c"
    assert took() == 300, "it is awaited with the losers"
    assert outcome.record.attempts[0].duration_ms == pytest.approx(200, abs=0.01)


async def test_a_value_that_comes_after_its_timer_rang_in_a_race_is_nobodys() -> None:
    """It has failed by then; the result is closed."""
    late = Closable()
    providers = script(a=converts(hangs(), late), b=answers(300))

    outcome = await providers.ask(race_after_ms=50, timeouts={"a": 200}).outcome()

    assert outcome.value == "b"
    assert statuses(outcome.record) == {"a": "failed", "b": "succeeded"}
    assert late.closed == 1


async def test_an_ineligible_error_of_the_backup_does_not_take_a_healthy_primary_with_it() -> None:
    """What is in flight may yet win."""
    providers = script(a=answers(200), b=fails(10, FatalError()), c=answers(0))
    took = stopwatch()

    outcome = await providers.ask(race_after_ms=50).outcome()

    assert (outcome.value, took()) == ("a", 200)
    assert list(providers.started) == ["a", "b"], "nothing more is started after it"


async def test_an_ineligible_error_ends_the_call_when_nothing_is_in_flight_any_more() -> None:
    """B's at 60, but a fails only at 200: b's error, at 200, and c has not been tried."""
    fatal = FatalError()
    providers = script(a=busy(200), b=fails(10, fatal), c=answers(0))
    took = stopwatch()

    with pytest.raises(FatalError) as raised:
        await providers.ask(race_after_ms=50)()

    assert raised.value is fatal
    assert took() == 200
    assert "c" not in providers.started


async def test_the_first_ineligible_error_to_end_is_the_one() -> None:
    """B's at 60, a's at 200."""
    first, second = FatalError("b"), FatalError("a")

    with pytest.raises(FatalError) as raised:
        await script(a=fails(200, second), b=fails(10, first)).ask(race_after_ms=50)()

    assert raised.value is first


async def test_the_last_error_is_the_one_that_ended_last() -> None:
    """Not the one of the last link: b fails at 60, a at 100."""
    primary, backup = HTTPStatusError(503), HTTPStatusError(429)

    with pytest.raises(HTTPStatusError) as raised:
        await script(a=fails(100, primary), b=fails(10, backup)).ask(race_after_ms=50)()

    assert raised.value is primary
    assert statuses(record_of(primary)) == {"a": "failed", "b": "failed"}


async def test_a_provider_that_cancels_itself_has_failed() -> None:
    """In a race, too, nobody takes it for the caller's cancellation."""
    providers = script(a=cancels_itself(60), b=answers(100))

    outcome = await providers.ask(race_after_ms=50).outcome()

    assert outcome.value == "b"
    assert outcome.record.attempts[0].error.category == "cancelled"


async def test_a_backup_that_cancels_itself_leaves_the_primary_alone() -> None:
    """And the failover that follows it, too."""
    providers = script(a=answers(200), b=cancels_itself(10))

    assert await providers.ask(race_after_ms=50)() == "a"


async def test_a_race_uses_up_attempts() -> None:
    """`max_attempts` counts attempts that were started, races included."""
    providers = script(a=hangs(), b=answers(500), c=answers(0))

    assert await providers.ask(race_after_ms=50, max_attempts=2, race_width=3)() == "b"
    assert list(providers.started) == ["a", "b"]


async def test_no_task_is_made_where_no_race_can_happen() -> None:
    """No threshold, or no further link: the provider function runs in the caller's own task."""
    tasks: list[object] = []

    async def note(attempt: object) -> str:
        tasks.append(asyncio.current_task())
        return "a"

    await script(a=note, b=answers(0)).ask()()
    await script(a=note).ask(race_after_ms=50)()
    await script(a=note, b=answers(0)).ask(race_after_ms=50, max_attempts=1)()

    assert tasks == [asyncio.current_task()] * 3
