"""Sessions that share a name in a ledger at the same time: each says only what is wrong with its own calls."""

from __future__ import annotations

import asyncio
import logging

import pytest

import routeware
from routeware import MemoryLedger, SessionClosedError
from tests.fakes.ledgers import Remote
from tests.fakes.providers import answers, pause, reports, script, stubborn


async def test_what_others_have_reserved_is_not_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """One request ends while another one of the same tenant runs: nothing of its own is left."""
    ledger = MemoryLedger()

    async def request(ms: float) -> None:
        async with routeware.session("tenant-7", limit_usd=10, ledger=ledger):
            await script(a=reports(0.125, answers(ms))).ask(usd={"a": 0.25})()

    with caplog.at_level(logging.WARNING):
        await asyncio.gather(request(10), request(100))

    assert [record.getMessage() for record in caplog.records if record.name == "routeware"] == []


async def test_what_a_session_leaves_itself_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    """Also where another session of the same name is open."""
    ledger = MemoryLedger()

    async def request(straggles: bool) -> None:
        async with routeware.session("tenant-7", limit_usd=10, ledger=ledger):
            if straggles:
                providers = script(a=stubborn(20_000, answers(60_000)), b=answers(10))
                await providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=10)()
            else:
                await script(a=reports(0.125, answers(30_000))).ask(usd={"a": 0.25})()

    with caplog.at_level(logging.WARNING):
        await asyncio.gather(request(straggles=True), request(straggles=False))
    await pause(60_000)

    messages = [record.getMessage() for record in caplog.records if "was left with" in record.getMessage()]
    assert len(messages) == 1
    assert "1 attempts still running" in messages[0] or "1 attempt still running" in messages[0]


async def test_one_session_object_is_entered_once_at_a_time() -> None:
    """The second one is refused when it enters, also while the ledger has not yet answered the first."""

    class Slow(Remote):
        async def tally(self, tally: object, /) -> object:
            await pause(50)
            return await super().tally(tally)

    spending = routeware.session("day", limit_usd=1, ledger=Slow())
    entered: list[str] = []

    async def request(name: str) -> None:
        async with spending:
            entered.append(name)
            await pause(100)

    results = await asyncio.gather(request("first"), request("second"), return_exceptions=True)

    assert entered == ["first"]
    assert results[0] is None
    assert isinstance(results[1], SessionClosedError)
