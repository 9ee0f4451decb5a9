"""A plan is upgraded: the new limit holds for all who share the session's name, those that are open included."""

from __future__ import annotations

from typing import Any

import pytest

import routeware
from routeware import BudgetExceededError, Ledger, MemoryLedger, PolicyError
from routeware.budget import Balance, Tally
from tests.fakes.ledgers import Remote, Replaceable
from tests.fakes.providers import answers, pause, reports, script

LEDGERS = [MemoryLedger, Replaceable]


async def spend(cost: float = 0.25, **settings: Any) -> object:
    """Make a call that costs what it was projected at."""
    return await script(a=reports(cost, answers(0))).ask(usd={"a": cost}, **settings)()


@pytest.mark.parametrize("make", LEDGERS)
async def test_a_raised_limit_reaches_sessions_that_are_open(make: type[Any]) -> None:
    """They were entered with the old one, and go on under the new one."""
    ledger: Ledger = make()

    async with routeware.session("tenant", limit_usd=0.25, ledger=ledger) as old:
        await spend()
        with pytest.raises(BudgetExceededError):
            await spend()
        async with routeware.session("tenant", limit_usd=1, ledger=ledger, replace_limit=True, root=True) as new:
            assert (new.limit_usd, new.spent_usd, new.remaining_usd) == (1, 0.25, 0.75)
        await spend()

        assert old.spent_usd == 0.5


@pytest.mark.parametrize("make", LEDGERS)
async def test_a_lowered_limit_refuses_the_next_call(make: type[Any]) -> None:
    """What was spent above it stays spent."""
    ledger: Ledger = make()

    async with routeware.session("tenant", limit_usd=1, ledger=ledger):
        await spend(0.5)
        async with routeware.session("tenant", limit_usd=0.25, ledger=ledger, replace_limit=True, root=True) as new:
            assert new.remaining_usd == 0
        with pytest.raises(BudgetExceededError) as raised:
            await spend()

    assert (raised.value.limit_usd, raised.value.committed_usd) == (0.25, 0.5)


@pytest.mark.parametrize("make", LEDGERS)
async def test_after_that_the_new_limit_is_the_one_to_bring(make: type[Any]) -> None:
    """The old one is another limit; the error names the remedy."""
    ledger: Ledger = make()
    async with routeware.session("tenant", limit_usd=1, ledger=ledger):
        pass

    async with routeware.session("tenant", limit_usd=2, ledger=ledger, replace_limit=True):
        pass
    async with routeware.session("tenant", limit_usd=2, ledger=ledger):
        pass
    with pytest.raises(PolicyError, match=r"session\(\.\.\., replace_limit=True\)") as raised:
        await routeware.session("tenant", limit_usd=1, ledger=ledger).__aenter__()

    assert raised.value.key == "limit_usd"


@pytest.mark.parametrize("make", LEDGERS)
async def test_a_limit_may_be_taken_away(make: type[Any]) -> None:
    """No limit is a limit, too."""
    ledger: Ledger = make()
    async with routeware.session("tenant", limit_usd=0.25, ledger=ledger) as old:
        async with routeware.session("tenant", ledger=ledger, replace_limit=True, root=True) as new:
            assert (new.limit_usd, new.remaining_usd) == (None, None)
        await spend(5)

    assert old.spent_usd == 5


@pytest.mark.parametrize("make", LEDGERS)
async def test_a_policys_cap_on_the_session_holds_under_a_raised_limit(make: type[Any]) -> None:
    """It is another cap: only the ledger's limit was replaced."""
    ledger: Ledger = make()
    async with routeware.session("tenant", limit_usd=0.25, ledger=ledger):
        async with routeware.session("tenant", limit_usd=9, ledger=ledger, replace_limit=True, root=True):
            pass
        await spend(session_usd=0.5)
        with pytest.raises(BudgetExceededError) as raised:
            await spend(0.5, session_usd=0.5)

    assert raised.value.limit_usd == 0.5


def test_a_ledger_that_cannot_replace_limits_says_so() -> None:
    """By its class and the argument, before anything is asked."""
    with pytest.raises(PolicyError, match="Remote cannot replace a limit") as raised:
        routeware.session("tenant", limit_usd=1, ledger=Remote(), replace_limit=True)

    assert raised.value.key == "replace_limit"


async def test_without_a_ledger_there_is_nothing_to_replace() -> None:
    """The session has its limit."""
    async with routeware.session("tenant", limit_usd=1, replace_limit=True) as spending:
        assert spending.limit_usd == 1


async def test_a_ledger_that_is_away_hears_of_the_new_limit_when_it_is_back() -> None:
    """As it hears of a session that was entered meanwhile."""
    ledger = Replaceable()
    await ledger.books.tally(Tally("tenant", 10**9))

    ledger.away = {"set_limit", "tally", "hold", "settle"}
    async with routeware.session("tenant", limit_usd=2, ledger=ledger, on_unavailable=1, replace_limit=True):
        ledger.away = set()
        await pause(2_000)
        await spend(0.5)

    assert await ledger.books.tally(Tally("tenant", 2 * 10**9)) == Balance(settled=500_000_000)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "a\x00", "\ud800", "del\x7f"])
def test_a_name_that_no_ledger_keeps_is_refused(name: str) -> None:
    """It could not be stored, or would forge rows where names are listed."""
    with pytest.raises(PolicyError) as raised:
        routeware.session(name, ledger=MemoryLedger())

    assert raised.value.key == "session.name"
    assert name not in str(raised.value)


@pytest.mark.parametrize("name", ["a\nb", "\ud800"])
async def test_without_a_ledger_any_name_works(name: str) -> None:
    """It is kept nowhere."""
    async with routeware.session(name, limit_usd=1) as spending:
        await spend()

    assert (spending.name, spending.spent_usd) == (name, 0.25)
