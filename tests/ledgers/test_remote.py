"""Ledgers that are far away: slow, silent, or gone. They may stop an attempt that has not started, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import routeware
from routeware import Attempt, BudgetExceededError, LedgerUnavailableError, MemoryLedger, record_of
from tests.fakes.ledgers import Remote
from tests.fakes.providers import (
    FOREVER_MS,
    Closable,
    answers,
    busy,
    cancelled_at,
    cleans_up,
    hangs,
    pause,
    reports,
    script,
    statuses,
    stopwatch,
)
from tests.fakes.tracing import Traces


async def test_an_attempt_waits_for_its_reservation() -> None:
    """Nothing is started before the money is set aside."""
    ledger = Remote(hold_ms=[30])
    providers = script(a=answers(10))
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        assert await providers.ask(usd={"a": 0.25})() == "a"

    assert took() == 40


async def test_a_session_with_a_ledger_reserves_without_a_limit() -> None:
    """Others may count on its figures."""
    seen: list[float] = []

    async with routeware.session("day", ledger=MemoryLedger()) as spending:

        async def look(attempt: object) -> str:
            seen.append(spending.reserved_usd)
            return "done"

        await script(a=look).ask(usd={"a": 0.25})()

    assert seen == [0.25]


async def test_a_slow_ledger_keeps_nobody_from_seeing_an_answer() -> None:
    """Holding is part of the backup's own task: the primary answers at 100 while the ledger thinks about the backup."""
    ledger = Remote(hold_ms=[0, FOREVER_MS / 10])
    providers = script(a=reports(0.125, answers(100)), b=answers(0))
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        assert await providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=50)() == "a"
        assert took() == 100
        await pause(FOREVER_MS)
        assert spending.reserved_usd == 0, "what was set aside for a backup that never started is given back"
        assert spending.spent_usd == 0.125

    assert list(providers.started) == ["a"]
    assert ledger.holds == 2


async def test_an_answer_while_the_backup_is_refused_is_an_answer() -> None:
    """The refusal comes late and harms nobody."""
    ledger = Remote(hold_ms=[0, 100])
    providers = script(a=answers(200), b=answers(500))

    async with routeware.session("day", limit_usd=0.25, ledger=ledger):
        outcome = await providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=50).outcome()

    assert outcome.value == "a"
    assert statuses(outcome.record) == {"a": "succeeded"}


async def test_a_ledger_that_cannot_be_asked_refuses() -> None:
    """Before anything is called: never spending in silence."""
    ledger = Remote()
    providers = script(a=answers(0), b=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        ledger.away = {"hold"}
        with pytest.raises(LedgerUnavailableError) as raised:
            await providers.ask(usd={"a": 0.25, "b": 0.25})()

    assert providers.started == {}
    assert record_of(raised.value) is not None


async def test_a_ledger_that_goes_away_stops_the_failover() -> None:
    """The attempt before it has failed, and says so."""
    ledger = Remote()

    async def fails_and_takes_the_ledger_with_it(attempt: Any) -> object:
        ledger.away = {"hold"}
        return await busy()(attempt)

    providers = script(a=fails_and_takes_the_ledger_with_it, b=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        with pytest.raises(LedgerUnavailableError) as raised:
            await providers.ask(usd={"a": 0.25, "b": 0.25})()

    assert list(providers.started) == ["a"]
    assert statuses(record_of(raised.value)) == {"a": "failed"}


async def test_a_ledger_that_goes_away_stops_the_backup_and_not_the_primary() -> None:
    """It leaves the event `race_skipped`."""
    ledger = Remote()
    traces = Traces()

    async def takes_the_ledger_away(attempt: Any) -> object:
        ledger.away = {"hold"}
        return await answers(200)(attempt)

    providers = script(a=takes_the_ledger_away, b=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        outcome = await providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=50, options=traces.options).outcome()

    assert outcome.value == "a"
    assert statuses(outcome.record) == {"a": "succeeded"}
    assert traces.events == ["llm.routing.race_skipped"]


@pytest.mark.parametrize("on_exceed", ["abort", "skip"])
async def test_a_backup_at_a_ledger_elsewhere_passes_the_policys_cap_on_the_session(on_exceed: str) -> None:
    """The session's own limit has room; the policy's has not, so the backup is refused and the primary goes on."""
    traces = Traces()
    providers = script(a=reports(0.125, answers(200)), b=answers(0))

    async with routeware.session("day", limit_usd=10, ledger=Remote(hold_ms=[10, 10])):
        ask = providers.ask(
            usd={"a": 0.25, "b": 0.25}, race_after_ms=50, session_usd=0.25, on_exceed=on_exceed, options=traces.options
        )
        outcome = await ask.outcome()

    assert outcome.value == "a"
    assert list(providers.started) == ["a"]
    assert traces.events == ["llm.routing.race_skipped"]
    assert traces.event("llm.routing.race_skipped")["reason"] == "budget"


async def test_an_answer_is_not_lost_to_a_ledger_that_goes_away() -> None:
    """It was paid for; the books are wrong, and the caller has the answer all the same."""
    ledger = Remote()

    async def takes_the_ledger_away(attempt: Any) -> object:
        ledger.away = {"settle"}
        return await answers(10)(attempt)

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        assert await script(a=takes_the_ledger_away).ask(usd={"a": 0.25})() == "a"


async def test_settling_is_bounded_in_time() -> None:
    """A ledger that never replies keeps nobody for ever."""
    ledger = Remote(settle_ms=FOREVER_MS)
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        assert await script(a=answers(10)).ask(usd={"a": 0.25})() == "a"
        assert took() < 30_000
    await pause(2 * FOREVER_MS)


async def test_settling_is_not_lost_to_a_second_cancellation() -> None:
    """Cancelled in the middle of settling: it is settled, and then the cancellation goes on."""
    ledger = Remote(settle_ms=100)

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        task, _ = await cancelled_at(script(a=hangs()).ask(usd={"a": 0.25})(), 20, 50, 60)

        assert task.cancelled()
        await pause(1000)
        assert (spending.uncertain_usd, spending.reserved_usd) == (0.25, 0)


async def test_a_reservation_whose_reply_was_cancelled_is_given_back() -> None:
    """The caller is gone while the ledger thinks: it may have been set aside, so it is given back."""
    ledger = Remote(hold_ms=[1000])
    providers = script(a=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        task, took = await cancelled_at(providers.ask(usd={"a": 0.25})(), 20)

        assert task.cancelled()
        assert took <= 270
        await pause(1000)
        assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0, 0, 0)
    assert providers.started == {}


async def test_the_deadline_holds_while_the_ledger_thinks() -> None:
    """It bounds the whole call."""
    ledger = Remote(hold_ms=[60_000])
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        with pytest.raises(routeware.DeadlineExceededError):
            await script(a=answers(0)).ask(usd={"a": 0.25}, deadline_ms=100)()
        assert took() <= 350

    await pause(60_000)
    assert (spending.uncertain_usd, spending.reserved_usd) == (0, 0)


async def test_a_deadline_that_passes_while_a_refused_call_clears_away_cancels_nobody() -> None:
    """A ledger refused the next link; what timed out before is still cleaning up when the deadline comes."""
    ledger = Remote()
    providers = script(a=cleans_up(200, hangs()), b=answers(0), c=answers(0))

    async with routeware.session("day", limit_usd=0.25, ledger=ledger):
        with pytest.raises(BudgetExceededError):
            await providers.ask(
                usd={"a": 0.25, "b": 0.25, "c": 0.25}, timeouts={"a": 50}, race_after_ms=1000, deadline_ms=100
            )()

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_deadline_that_passes_after_a_ledger_went_away_cancels_nobody() -> None:
    """The same, with a ledger that could not be asked."""
    ledger = Remote()

    async def takes_the_ledger_away(attempt: Attempt) -> object:
        ledger.away = {"hold"}
        return await cleans_up(200, hangs())(attempt)

    providers = script(a=takes_the_ledger_away, b=answers(0), c=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        with pytest.raises(routeware.LedgerUnavailableError):
            await providers.ask(
                usd={"a": 0.25, "b": 0.25, "c": 0.25}, timeouts={"a": 50}, race_after_ms=1000, deadline_ms=100
            )()


async def test_cancelled_while_a_ledger_is_told_the_answer_is_closed() -> None:
    """A winner whose caller is gone is closed, whatever the call was waiting for."""
    won = Closable()
    ledger = Remote(settle_ms=500)
    providers = script(a=busy(10), b=answers(10, won))

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        task, _ = await cancelled_at(providers.ask(usd={"a": 0.25, "b": 0.25})(), 530)

    assert task.cancelled() == (won.closed == 1)
    if not task.cancelled():
        assert task.result() is won


async def test_a_remote_session_knows_what_was_spent_when_a_call_has_ended() -> None:
    """Settling belongs to the call: it is waited for, within bounds."""
    ledger = Remote(settle_ms=20)

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        outcome = await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25}).outcome()

        assert (spending.spent_usd, spending.reserved_usd) == (0.125, 0)
        assert outcome.record.session_spent_usd == 0.125
