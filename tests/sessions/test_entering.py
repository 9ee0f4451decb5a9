"""Entering a session: what is refused, by which name, and where what is spent inside is written down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import routeware
from routeware import Attempt, MemoryLedger, PolicyError, SessionClosedError
from routeware.budget import Balance, Tally
from tests.fakes.ledgers import Remote
from tests.fakes.providers import answers, pause, reports, script

A_DOLLAR = 10**9


@pytest.mark.parametrize("name", ["", 7, b"day", ["day"]])
def test_a_name_is_text_that_is_not_empty(name: Any) -> None:
    """The error says which argument, and what it was."""
    with pytest.raises(PolicyError) as raised:
        routeware.session(name)

    assert raised.value.key == "name"
    assert repr(name) in raised.value.problem


def test_a_ledger_keeps_nothing_that_has_no_name() -> None:
    """The name is what the sum is kept under."""
    with pytest.raises(PolicyError, match="name") as raised:
        routeware.session(ledger=MemoryLedger())

    assert raised.value.key == "name"


def test_what_is_no_ledger_is_called_by_its_class() -> None:
    """It has none of the methods."""
    nothing: Any = object()

    with pytest.raises(PolicyError, match=r"^ledger: object is not a ledger") as raised:
        routeware.session("day", ledger=nothing)

    assert raised.value.key == "ledger"


def test_a_limit_that_is_no_amount_is_refused_by_its_name() -> None:
    """Whoever reads the error has set `limit_usd`."""
    with pytest.raises(PolicyError) as raised:
        routeware.session(limit_usd=-1)

    assert raised.value.key == "limit_usd"


def test_a_session_that_was_not_entered_has_no_books() -> None:
    """Nothing can be charged to it; what there would be left to spend it knows."""
    spending = routeware.session("day", limit_usd=1)

    with pytest.raises(SessionClosedError, match=r"^session 'day' was not entered"):
        spending.check_open()

    assert (spending.spent_usd, spending.remaining_usd) == (0, 1)


async def test_a_session_is_entered_once() -> None:
    """The error says which."""
    spending = routeware.session("day")
    async with spending:
        pass

    with pytest.raises(SessionClosedError, match=r"^session 'day' was entered before"):
        async with spending:
            pass


@pytest.mark.parametrize(("name", "said"), [("day", "session 'day' was left"), (None, "a session was left")])
async def test_a_session_that_was_left_is_called_by_its_name(name: str | None, said: str) -> None:
    """By whoever calls in it afterwards; without a name it is just a session."""
    go = asyncio.Event()

    async def later() -> object:
        await go.wait()
        return await script(a=answers(0)).ask()()

    async with routeware.session(name):
        task = asyncio.ensure_future(later())
        await pause(1)
    go.set()

    with pytest.raises(SessionClosedError, match=f"^{said}"):
        await task


async def test_a_memory_ledger_is_asked_without_suspending() -> None:
    """A call whose provider function waits for nothing is over in one step: it costs no turn of the loop."""

    async def run(attempt: Attempt) -> str:
        attempt.report_cost(0.125)
        return "a"

    async with routeware.session("day", limit_usd=1, ledger=MemoryLedger()) as spending:
        call = script(a=run).ask(usd={"a": 0.25})()
        with pytest.raises(StopIteration) as ended:
            call.send(None)

        assert ended.value.value == "a"
        assert (spending.spent_usd, spending.reserved_usd) == (0.125, 0)


async def test_nested_sessions_with_ledgers_of_their_own_are_written_down_in_each() -> None:
    """What is spent inside counts in both, each under its own name, and nowhere else."""
    months, days = Remote(), Remote()

    async with routeware.session("month", limit_usd=1, ledger=months) as month:
        await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()
        async with routeware.session("day", limit_usd=1, ledger=days) as day:
            await script(a=reports(0.25, answers(0))).ask(usd={"a": 0.25})()

    assert (month.spent_usd, day.spent_usd) == (0.375, 0.25)
    assert await months.books.tally(Tally("month", A_DOLLAR)) == Balance(375_000_000, 0, 0)
    assert await days.books.tally(Tally("day", A_DOLLAR)) == Balance(250_000_000, 0, 0)
    assert await months.books.tally(Tally("day", A_DOLLAR)) == Balance()
    assert await days.books.tally(Tally("month", A_DOLLAR)) == Balance()


@pytest.mark.parametrize("refusing", [False, True])
async def test_a_name_that_is_entered_inside_itself_is_one_sum_while_its_ledger_is_away(refusing: bool) -> None:
    """What is spent meanwhile is seen by both; where one of them refuses to go on without the ledger, none may."""
    ledger = Remote()
    outer = routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable="refuse" if refusing else 0.5)
    inner = routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable=0.5)

    async with outer, inner:
        ledger.away = {"tally", "hold", "settle"}
        call = script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})
        if refusing:
            with pytest.raises(routeware.LedgerUnavailableError):
                await call()
        else:
            await call()
        assert (outer.spent_usd, outer.reserved_usd) == (inner.spent_usd, inner.reserved_usd)
        assert inner.spent_usd == (0 if refusing else 0.125)
        ledger.away = set()

    await pause(5000)


async def test_a_session_that_was_entered_while_its_ledger_was_away_is_opened_when_it_is_back() -> None:
    """Also where it was not even asked, because it had been away a moment ago: its limit is known from then on."""
    ledger = Remote()

    ledger.away = {"tally", "hold", "settle"}
    async with routeware.session("other", limit_usd=1, ledger=ledger, on_unavailable=0.5):
        async with routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable=0.5, root=True):
            ledger.away = set()
            await pause(2000)
            await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()

        with pytest.raises(PolicyError):
            await ledger.books.tally(Tally("day", 2 * A_DOLLAR))
    assert await ledger.books.tally(Tally("day", A_DOLLAR)) == Balance(125_000_000, 0, 0)
