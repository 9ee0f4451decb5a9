"""Ledgers elsewhere hear of corrections in their order, and what was set aside in their absence is given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import routeware
from routeware import BudgetExceededError
from tests.fakes.ledgers import EVERYTHING, Remote, stands_at, usd
from tests.fakes.providers import answers, pause, reports, script, stopwatch


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


class Written(Remote):
    """A ledger that writes down what it is told, and under which id."""

    def __init__(self, *, settle_ms: float = 0) -> None:
        super().__init__(settle_ms=settle_ms)
        self.told: list[tuple[str, int, int]] = []

    async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
        if "settle" not in self.away:
            self.told.append((id, settled, uncertain))
        return await super().settle(id, tallies, settled, uncertain)


@pytest.mark.parametrize("apart_ms", [0, 10, 1000])
async def test_a_ledger_is_corrected_as_often_as_the_cost_changes(apart_ms: float) -> None:
    """Each correction is the difference to the one before, under an id of its own; the last figure is what it cost."""
    ledger = Written(settle_ms=100)
    providers = script(a=answers(10))

    async with routeware.session("day", limit_usd=10, ledger=ledger) as spending:
        await providers.ask(usd={"a": 0.25})()
        for cost in (0.5, 0.125, 2.0, 0.375):
            providers.attempts["a"].report_cost(cost)
            await pause(apart_ms)
        assert (spending.spent_usd, spending.uncertain_usd) in [(0.375, 0), (0, 0.25)], "what was last seen"

    assert usd(await stands_at(ledger, limit=10)) == (0.375, 0, 0)
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.375, 0, 0)
    assert len({id for id, *_ in ledger.told}) == len(ledger.told)
    if apart_ms == 1000:
        changes = [(settled / 1e9, uncertain / 1e9) for _, settled, uncertain in ledger.told]
        assert changes == [(0, 0.25), (0.5, -0.25), (-0.375, 0), (1.875, 0), (-1.625, 0)]


async def test_a_correction_waits_for_one_that_is_repeated() -> None:
    """The ledger is away for the first correction and back for the second: it hears both, in their order."""
    ledger = Written()
    providers = script(a=reports(0.25, answers(10)))

    async with routeware.session("day", limit_usd=10, ledger=ledger):
        await providers.ask(usd={"a": 0.25})()
        ledger.away = {"settle"}
        providers.attempts["a"].report_cost(2)
        await pause(500)
        providers.attempts["a"].report_cost(0.125)
        await pause(500)
        ledger.away = set()

    settled = [change for _, change, _ in ledger.told]
    assert sum(settled) == 125_000_000
    assert all(sum(settled[:number]) >= 0 for number in range(len(settled)))
    assert usd(await stands_at(ledger, limit=10)) == (0.125, 0, 0)


@pytest.mark.parametrize("same", [True, False], ids=["one ledger", "two ledgers"])
async def test_a_session_inside_waits_for_a_message_that_is_repeated(same: bool) -> None:
    """Its figures, and its ledger's, are right when it has been left, though the one around it goes on."""
    months = Remote()
    days = months if same else Remote()
    took = stopwatch()

    async with routeware.session("month", limit_usd=10, ledger=months):
        async with routeware.session("day", limit_usd=1, ledger=days) as day:
            days.away = {"settle"}
            await script(a=reports(0.125, answers(10))).ask(usd={"a": 0.25})()
            asyncio.get_running_loop().call_later(1, days.away.clear)
        inside = took()
        assert usd(await stands_at(days)) == (0.125, 0, 0)
        assert (day.spent_usd, day.reserved_usd) == (0.125, 0)
        await pause(10_000)

    assert 1000 <= inside <= 3500
    assert usd(await stands_at(months, "month", limit=10)) == (0.125, 0, 0)


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
