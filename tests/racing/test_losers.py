"""Losers, and a caller who is gone: cut off, waited for, and not for long."""

from __future__ import annotations

import pytest

from tests.fakes.providers import (
    Closable,
    answers,
    cancelled_at,
    cleans_up,
    converts,
    hangs,
    pause,
    reports,
    script,
    statuses,
    stopwatch,
    stubborn,
)


async def test_a_loser_that_ignores_its_cancellation_costs_a_quarter_of_a_second() -> None:
    """Ten seconds of stubbornness delay the answer by 250 ms; the session waits for the rest."""
    providers = script(a=stubborn(10_000, hangs()), b=answers(10))
    took = stopwatch()

    outcome = await providers.ask(race_after_ms=50).outcome()

    assert (outcome.value, took()) == ("b", 310)
    assert statuses(outcome.record) == {"a": "race_lost", "b": "succeeded"}
    await pause(20_000)
    assert providers.ended["a"] == 10_060


async def test_stubborn_losers_share_the_quarter_of_a_second() -> None:
    """250 ms together, not each."""
    providers = script(a=stubborn(9000, hangs()), b=stubborn(9000, hangs()), c=answers(0))
    took = stopwatch()

    assert await providers.ask(race_after_ms=50, race_width=3)() == "c"
    assert took() == 350
    await pause(20_000)


async def test_a_loser_may_clean_up() -> None:
    """It is awaited: its clean-up has ended when the call returns."""
    providers = script(a=cleans_up(100, hangs()), b=answers(10))
    took = stopwatch()

    assert await providers.ask(race_after_ms=50)() == "b"
    assert took() == 160
    assert providers.ended["a"] == 160


async def test_a_losers_error_is_retrieved_and_harms_nobody() -> None:
    """A loser that raises while it is cut off, or turns its cancellation into a value, is a loser all the same."""
    providers = script(a=converts(hangs(), RuntimeError("while closing")), b=converts(hangs(), "late"), c=answers(10))

    outcome = await providers.ask(race_after_ms=50, race_width=3).outcome()

    assert outcome.value == "c"
    assert statuses(outcome.record) == {"a": "race_lost", "b": "race_lost", "c": "succeeded"}


async def test_a_losers_result_is_closed() -> None:
    """Results that nobody gets are closed if they can be closed."""
    lost = Closable()
    providers = script(a=converts(hangs(), lost), b=answers(10))

    assert await providers.ask(race_after_ms=50)() == "b"
    assert lost.closed == 1


async def test_a_loser_of_a_tie_is_closed_and_the_winner_is_not() -> None:
    """Both answered; one is the caller's."""
    won, lost = Closable(), Closable()

    result = await script(a=answers(100, won), b=answers(50, lost)).ask(race_after_ms=50)()

    assert result is won
    assert (won.closed, lost.closed) == (0, 1)


async def test_a_loser_of_a_tie_is_settled_at_its_real_cost() -> None:
    """It answered and said what it cost."""
    providers = script(a=reports(0.25, answers(100)), b=reports(0.5, answers(50)))

    outcome = await providers.ask(race_after_ms=50, usd={"a": 1, "b": 1}).outcome()

    assert outcome.record.cost_usd == 0.75
    assert outcome.record.wasted_usd == 0.5
    assert outcome.record.uncertain_usd == 0


async def test_cancelled_in_a_race_everything_stops() -> None:
    """At 20 (alone), at 50 (as the backup starts) and at 60 (both in flight): CancelledError, and nothing runs on."""
    for moment in (20, 50, 60):
        providers = script(a=answers(500), b=answers(100))

        task, took = await cancelled_at(providers.ask(race_after_ms=50)(), moment)

        assert task.cancelled()
        assert took == moment
        assert set(providers.ended) == set(providers.started)
        assert providers.records[0].outcome == "cancelled"
        assert set(statuses(providers.records[0]).values()) == {"cancelled"}


async def test_cancelled_twice_in_a_race_everything_stops() -> None:
    """A second cancellation changes nothing."""
    for moments in ((20, 20), (50, 50.5), (60, 70)):
        providers = script(a=cleans_up(100, answers(500)), b=cleans_up(50, answers(500)))

        task, took = await cancelled_at(providers.ask(race_after_ms=50)(), *moments)

        assert task.cancelled()
        assert took == moments[0] + 100
        assert set(providers.ended) == set(providers.started)


async def test_cancelled_while_a_loser_cleans_up() -> None:
    """The cancellation is raised when the losers have ended: the answer's caller is gone."""
    answer = Closable()
    providers = script(a=cleans_up(100, hangs()), b=answers(10, answer))

    task, took = await cancelled_at(providers.ask(race_after_ms=50)(), 80)

    assert task.cancelled()
    assert took == 160
    assert providers.ended["a"] == 160
    assert answer.closed == 1
    assert providers.records[0].outcome == "cancelled"
    assert providers.records[0].selected is None


async def test_cancelled_twice_while_a_loser_cleans_up() -> None:
    """The second one does not cut the clean-up short."""
    providers = script(a=cleans_up(100, hangs()), b=answers(10))

    task, took = await cancelled_at(providers.ask(race_after_ms=50)(), 80, 90)

    assert task.cancelled()
    assert took == 160
    assert providers.ended["a"] == 160


async def test_cancelled_while_a_stubborn_loser_is_waited_for() -> None:
    """Or when the 250 ms are over, counted from the decision."""
    providers = script(a=stubborn(10_000, hangs()), b=answers(10))

    task, took = await cancelled_at(providers.ask(race_after_ms=50)(), 80, 300)

    assert task.cancelled()
    assert took == 310
    await pause(20_000)


async def test_cancelled_in_a_race_of_stubborn_providers() -> None:
    """CancelledError comes out after 250 ms at the latest."""
    providers = script(a=stubborn(10_000, hangs()), b=stubborn(5000, hangs()))

    task, took = await cancelled_at(providers.ask(race_after_ms=50)(), 60)

    assert task.cancelled()
    assert took == 310
    await pause(20_000)


async def test_the_callers_cancellation_is_not_swallowed_by_a_race() -> None:
    """Providers that turn their cancellation into a value or an error do not keep the caller from being cancelled."""
    providers = script(a=converts(hangs(), "late"), b=converts(hangs(), ValueError("late")))

    task, took = await cancelled_at(providers.ask(race_after_ms=50)(), 60)

    assert task.cancelled()
    assert took == 60


async def test_a_cancellation_at_the_moment_of_the_answer_is_one_or_the_other() -> None:
    """Whatever it is, nothing is left behind, and the record says the same."""
    for moment in (59.999, 60, 60.001):
        providers = script(a=answers(500), b=answers(10))

        task, _ = await cancelled_at(providers.ask(race_after_ms=50)(), moment)

        expected = "cancelled" if task.cancelled() else "succeeded"
        assert providers.records[0].outcome == expected


async def test_a_deadline_cuts_a_race_off() -> None:
    """Everything in flight is cancelled and awaited."""
    providers = script(a=hangs(), b=cleans_up(30, hangs()))
    took = stopwatch()

    with pytest.raises(TimeoutError):
        await providers.ask(race_after_ms=50, deadline_ms=100)()

    assert took() == 130
    assert statuses(providers.records[0]) == {"a": "cancelled", "b": "cancelled"}
