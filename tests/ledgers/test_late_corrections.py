"""Ledgers elsewhere hear of corrections in their order, and what was set aside in their absence is given back."""

from __future__ import annotations

import pytest

import routeware
from routeware import BudgetExceededError
from tests.fakes.ledgers import EVERYTHING, Remote, stands_at, usd
from tests.fakes.providers import answers, pause, reports, script


async def test_a_report_after_the_call_corrects_a_ledger_that_has_not_yet_heard_of_the_projection() -> None:
    """The correction waits for what it corrects, and is told under an id of its own, so that it counts once."""
    ledger = Remote(settle_ms=800)
    providers = script(a=answers(10))

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        await providers.ask(usd={"a": 0.25})()
        providers.attempts["a"].report_cost(0.125)
        await pause(100)
        assert usd(await stands_at(ledger)) == (0, 0.25, 0), "what it corrects is still on its way"

    assert usd(await stands_at(ledger)) == (0.125, 0, 0)
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.125, 0, 0)


async def test_a_report_that_says_what_is_known_tells_a_ledger_nothing() -> None:
    """The same cost again is no news."""
    ledger = Remote()
    providers = script(a=reports(0.125, answers(10)))

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        await providers.ask(usd={"a": 0.25})()
        ledger.away = {"settle"}
        providers.attempts["a"].report_cost(0.125)

    assert usd(await stands_at(ledger)) == (0.125, 0, 0)


async def test_a_refusal_gives_back_what_was_set_aside_without_a_ledger_that_is_away() -> None:
    """The team's ledger is done without, the day's has no room: nothing runs, and nothing stays reserved for it."""
    team, day = Remote(), Remote()
    ask = script(a=answers(0)).ask(usd={"a": 0.25})

    async with (
        routeware.session("team", limit_usd=10, ledger=team, on_unavailable=5) as outer,
        routeware.session("day", limit_usd=0.125, ledger=day) as inner,
    ):
        team.away = set(EVERYTHING)
        with pytest.raises(BudgetExceededError) as refused:
            await ask()
        assert (outer.reserved_usd, inner.reserved_usd) == (0, 0)
        assert outer.remaining_usd == 10
        team.away = set()

    assert refused.value.session_name == "day"
    assert usd(await stands_at(team, "team", limit=10)) == (0, 0, 0)
