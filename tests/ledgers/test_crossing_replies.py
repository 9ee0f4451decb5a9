"""Questions to a remote ledger that cross on their way: a session's figures are those of the last answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import routeware
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
