"""Sessions: what adds up where, who shares a tally, and what happens when one is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import routeware
from routeware import (
    BudgetExceededError,
    MemoryLedger,
    PolicyError,
    SessionClosedError,
    current_session,
)
from tests.fakes.providers import answers, hangs, pause, pays, reports, script


async def test_a_session_adds_up_what_is_spent_inside() -> None:
    """And says what it is called and what remains; without a limit nothing does."""
    async with routeware.session("tenant-7", limit_usd=1) as limited:
        await pays(0.25)()
        await pays(0.125)()
    async with routeware.session() as free:
        await pays(0.25)()

    assert (limited.name, limited.limit_usd) == ("tenant-7", 1)
    assert (limited.spent_usd, limited.remaining_usd) == (0.375, 0.625)
    assert (free.name, free.limit_usd, free.spent_usd, free.remaining_usd) == (None, None, 0.25, None)


async def test_the_record_names_the_innermost_session() -> None:
    """And what it had spent when the call ended."""
    providers = script(a=reports(0.25, answers(0)))

    async with routeware.session("outer"):
        await pays(1)()
        async with routeware.session("inner"):
            record = (await providers.ask().outcome()).record

    assert (record.session_name, record.session_spent_usd) == ("inner", 0.25)


async def test_without_a_session_nothing_is_said_of_one() -> None:
    """`None`, and not zero."""
    record = (await script(a=reports(0.25, answers(0))).ask().outcome()).record

    assert (record.session_name, record.session_spent_usd) == (None, None)


async def test_the_current_session_is_the_innermost() -> None:
    """`None` outside."""
    assert current_session() is None
    async with routeware.session() as outer:
        assert current_session() is outer
        async with routeware.session() as inner:
            assert current_session() is inner
        assert current_session() is outer
    assert current_session() is None


async def test_a_charge_counts_in_every_enclosing_session() -> None:
    """Unless one starts afresh."""
    async with routeware.session() as outer:
        async with routeware.session() as inner:
            await pays(0.25)()
        async with routeware.session(root=True) as fresh:
            await pays(1)()

    assert (outer.spent_usd, inner.spent_usd, fresh.spent_usd) == (0.25, 0.25, 1)


async def test_the_least_of_the_enclosing_ones_remains() -> None:
    """What is left is what may still be spent here."""
    async with routeware.session(limit_usd=1), routeware.session(limit_usd=5) as inner:
        await pays(0.25)()
        assert inner.remaining_usd == 0.75

        async with routeware.session() as innermost:
            assert innermost.remaining_usd == 0.75


async def test_sessions_follow_into_tasks() -> None:
    """As context variables do; tasks of two sessions do not mix."""

    async def tenant(name: str) -> float:
        async with routeware.session(name) as spending:
            await pause(10)
            await asyncio.gather(pays(0.25)(), pays(0.5)())
            return spending.spent_usd

    assert await asyncio.gather(tenant("a"), tenant("b")) == [0.75, 0.75]


async def test_the_same_name_without_a_ledger_is_another_tally() -> None:
    """Names are shared by ledgers only."""
    for _ in range(2):
        async with routeware.session("tenant", limit_usd=0.25) as spending:
            await pays(0.25)()
            assert spending.spent_usd == 0.25


async def test_the_same_name_in_a_ledger_is_the_same_tally() -> None:
    """Entered again, it goes on."""
    ledger = MemoryLedger()
    async with routeware.session("day", limit_usd=1, ledger=ledger):
        await pays(0.75)()
    async with routeware.session("day", limit_usd=1, ledger=ledger) as again:
        assert again.spent_usd == 0.75
        with pytest.raises(BudgetExceededError):
            await pays(0.5)()
        await pays(0.25)()
        assert again.spent_usd == 1


async def test_several_at_once_share_a_tally() -> None:
    """Together they stay inside the limit."""
    ledger = MemoryLedger()

    async def worker() -> int:
        done = 0
        async with routeware.session("day", limit_usd=1, ledger=ledger):
            for _ in range(10):
                await pause(1)
                try:
                    await pays(0.125)()
                except BudgetExceededError:
                    continue
                done += 1
        return done

    assert sum(await asyncio.gather(worker(), worker(), worker())) == 8


async def test_entered_inside_itself_a_tally_counts_a_charge_once() -> None:
    """Also with another session in between."""
    ledger = MemoryLedger()
    async with (
        routeware.session("day", limit_usd=1, ledger=ledger) as outer,
        routeware.session("request"),
        routeware.session("day", limit_usd=1, ledger=ledger) as inner,
    ):
        await pays(0.75)()
        assert (outer.spent_usd, inner.spent_usd, inner.remaining_usd) == (0.75, 0.75, 0.25)


async def test_other_names_and_other_ledgers_are_other_tallies() -> None:
    """A name means something in its ledger only."""
    ledger = MemoryLedger()
    async with routeware.session("day", ledger=ledger):
        await pays(0.25)()
    async with routeware.session("night", ledger=ledger) as other_name:
        assert other_name.spent_usd == 0
    async with routeware.session("day", ledger=MemoryLedger()) as other_ledger:
        assert other_ledger.spent_usd == 0


async def test_a_tally_has_one_limit() -> None:
    """A different one for the same name is an error, `None` included."""
    ledger = MemoryLedger()
    async with routeware.session("day", limit_usd=1, ledger=ledger):
        await pays(0.25)()

    for other in (2, None):
        with pytest.raises(PolicyError):
            async with routeware.session("day", limit_usd=other, ledger=ledger):
                await pays(0.25)()


async def test_a_ledger_needs_a_name() -> None:
    """Otherwise nobody could come back to the tally."""
    with pytest.raises(PolicyError):
        async with routeware.session(ledger=MemoryLedger()):
            pass


@pytest.mark.parametrize("limit", [-1, float("nan"), float("inf"), True, "1"])
async def test_a_limit_is_a_number_of_dollars(limit: Any) -> None:
    """Finite and at least 0; a boolean is no number."""
    with pytest.raises(PolicyError):
        async with routeware.session(limit_usd=limit):
            pass


async def test_a_limit_of_nothing_refuses_everything_that_costs() -> None:
    """And lets through what is free."""
    async with routeware.session(limit_usd=0):
        with pytest.raises(BudgetExceededError):
            await pays(0.25)()
        await pays(0)()


async def test_a_call_in_a_session_that_was_left_is_an_error() -> None:
    """A task that outlived its session has nowhere to book its spending; nothing is called."""
    providers = script(a=answers(0))

    async def later() -> None:
        await pause(100)
        await providers.ask(usd={"a": 0.25})()

    async with routeware.session("request"):
        task = asyncio.create_task(later())

    with pytest.raises(SessionClosedError):
        await task
    assert providers.started == {}


async def test_a_closed_outer_session_closes_its_inner_ones() -> None:
    """A charge would have to count in it, too."""
    providers = script(a=answers(0))

    async def later() -> None:
        async with routeware.session("inner"):
            await pause(100)
            await providers.ask(usd={"a": 0.25})()

    async with routeware.session("outer"):
        task = asyncio.create_task(later())
        await pause(1)

    with pytest.raises(SessionClosedError):
        await task
    assert providers.started == {}


async def test_an_error_inside_a_session_comes_out() -> None:
    """Leaving it changes nothing about that, and its books are closed all the same."""
    with pytest.raises(ZeroDivisionError):  # noqa: PT012  # the error has to come from inside
        async with routeware.session() as spending:
            await pays(0.25)()
            raise ZeroDivisionError

    assert spending.spent_usd == 0.25
    assert current_session() is None


async def test_cancelled_inside_a_session_the_cancellation_comes_out() -> None:
    """Booked, and nothing reserved."""
    kept = []

    async def caller() -> None:
        async with routeware.session(limit_usd=1) as spending:
            kept.append(spending)
            await script(a=hangs()).ask(usd={"a": 0.25})()

    task = asyncio.create_task(caller())
    await pause(20)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert (kept[0].uncertain_usd, kept[0].reserved_usd) == (0.25, 0)


@pytest.mark.parametrize("name", ["", 7, b"day"])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    """The sum would be kept under it."""
    with pytest.raises(PolicyError, match="is not a session's name"):
        routeware.session(name)


def test_a_ledger_that_is_none_is_refused() -> None:
    """When the session is made, not when the first attempt is to be paid for."""
    with pytest.raises(PolicyError, match="dict is not a ledger: it has no hold, settle and tally"):
        routeware.session("day", ledger={})  # type: ignore[arg-type]


async def test_a_session_is_entered_once() -> None:
    """What it adds up is one span of time."""
    spending = routeware.session("day")
    async with spending:
        with pytest.raises(SessionClosedError, match="session 'day' was entered before"):
            await spending.__aenter__()
        assert current_session() is spending


async def test_a_session_that_was_never_entered_has_no_book_and_can_be_left() -> None:
    """As a stack leaves it that was only told to."""
    spending = routeware.session()

    with pytest.raises(SessionClosedError, match="a session was not entered"):
        spending.check_open()
    await spending.__aexit__(None, None, None)

    assert current_session() is None
