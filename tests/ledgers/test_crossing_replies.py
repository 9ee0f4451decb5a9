"""Questions to a remote ledger that cross on their way: a session's figures are those of the last answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

import routeware
from routeware.budget import Tally
from tests.fakes.ledgers import Remote, stands_at, usd
from tests.fakes.providers import answers, pause, reports, script


class Crossing(Remote):
    """A ledger that hears settlements after these times, one after the other, and answers at once."""

    def __init__(self, *settle_ms: float) -> None:
        super().__init__()
        self._times = list(settle_ms)

    async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
        await pause(self._times.pop(0) if self._times else 0)
        return await super().settle(id, tallies, settled, uncertain)


@pytest.mark.parametrize("travel_ms", [(200, 10), (10, 200), (10, 10)], ids=str)
async def test_settlements_that_overtake_each_other(travel_ms: tuple[float, float]) -> None:
    """The ledger hears the second one first; what it says to the first one, later, knows of both."""
    ledger = Crossing(*travel_ms)

    async with routeware.session("day", limit_usd=10, ledger=ledger) as spending:
        await asyncio.gather(
            script(a=reports(0.25, answers(10))).ask(usd={"a": 1})(),
            script(a=reports(0.5, answers(20))).ask(usd={"a": 1})(),
        )
        await pause(300)

        truth = usd(await stands_at(ledger, limit=10))
        assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == truth == (0.75, 0, 0)


async def test_a_settlement_that_a_hold_overtakes() -> None:
    """The hold is asked later and answered first, while the settlement is on its way."""
    ledger = Crossing(200)

    async with routeware.session("day", limit_usd=10, ledger=ledger) as spending:
        first = asyncio.ensure_future(script(a=reports(0.25, answers(10))).ask(usd={"a": 1})())
        await pause(50)
        second = asyncio.ensure_future(script(a=reports(0.5, answers(1000))).ask(usd={"a": 1})())
        await pause(500)

        truth = usd(await stands_at(ledger, limit=10))
        assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == truth == (0.25, 0, 1)
        await asyncio.gather(first, second)


class Answering(Remote):
    """A ledger that hears at once, and whose answers take these times; it counts how often it is asked for a sum."""

    def __init__(self, *, hold_ms: Sequence[float] = (), settle_ms: Sequence[float] = ()) -> None:
        super().__init__(hold_ms=hold_ms)
        self._times = list(settle_ms)
        self.tallies = 0

    async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
        self.settle_ms = self._times.pop(0) if self._times else 0
        return await super().settle(id, tallies, settled, uncertain)

    async def tally(self, tally: Any, /) -> Any:
        self.tallies += 1
        return await super().tally(tally)


async def test_answers_that_overtake_each_other_are_asked_for_once_more() -> None:
    """The last one to come knows less than the one before: nothing says so but a question with no other on its way."""
    ledger = Answering(settle_ms=[200, 10])

    async with routeware.session("day", limit_usd=10, ledger=ledger) as spending:
        await asyncio.gather(
            script(a=reports(0.25, answers(10))).ask(usd={"a": 1})(),
            script(a=reports(0.5, answers(20))).ask(usd={"a": 1})(),
        )
        await pause(300)

        assert usd(await ledger.books.tally(Tally("day", 10**10))) == (0.75, 0, 0)
        assert (spending.spent_usd, spending.reserved_usd) == (0.75, 0)
        assert ledger.tallies == 2, "when the session was entered, and when answers had crossed"


async def test_a_hold_whose_answer_is_late_is_no_news() -> None:
    """It knows nothing of the settlement that was answered meanwhile; the next settlement asks once more."""
    ledger = Answering(hold_ms=[0, 500])

    async with routeware.session("day", limit_usd=10, ledger=ledger) as spending:
        first = asyncio.ensure_future(script(a=reports(0.25, answers(100))).ask(usd={"a": 1})())
        await pause(50)
        await script(a=reports(0.5, answers(20))).ask(usd={"a": 1})()
        await first

        assert (spending.spent_usd, spending.reserved_usd) == (0.75, 0)


async def test_answers_in_their_order_are_not_asked_for_again() -> None:
    """Most are: no question is wasted on them."""
    ledger = Answering(settle_ms=[10, 10, 10])

    async with routeware.session("day", limit_usd=10, ledger=ledger) as spending:
        for _ in range(3):
            await script(a=reports(0.25, answers(10))).ask(usd={"a": 1})()

        assert ledger.tallies == 1
        assert spending.spent_usd == 0.75


async def test_a_ledger_that_cannot_be_asked_once_more_has_said_enough() -> None:
    """The settlement was heard: it is neither repeated nor lost, and the figures are those of the last answer."""
    ledger = Answering(settle_ms=[200, 10])

    async with routeware.session("day", limit_usd=10, ledger=ledger):
        ledger.away = {"tally"}
        await asyncio.gather(
            script(a=reports(0.25, answers(10))).ask(usd={"a": 1})(),
            script(a=reports(0.5, answers(20))).ask(usd={"a": 1})(),
        )
        await pause(300)

    ledger.away = set()
    assert usd(await ledger.books.tally(Tally("day", 10**10))) == (0.75, 0, 0)
