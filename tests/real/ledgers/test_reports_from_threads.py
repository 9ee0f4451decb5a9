"""A report from another thread, as from a blocking SDK that has lost its race, reaches every ledger, in order."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import routeware
from routeware import Attempt, RoutingPolicy, routed
from routeware.budget import Tally
from tests.fakes.ledgers import Remote, stands_at, usd

CHAIN = [{"provider": name, "model": "m", "price": {"request_usd": 1}} for name in ("slow", "quick")]
POLICY = RoutingPolicy.from_dict({"chain": CHAIN, "latency": {"race_after_ms": 20}})


class Watched(Remote):
    """A ledger that remembers what its tally stood at after every settlement."""

    def __init__(self) -> None:
        super().__init__()
        self.settled: list[int] = []

    async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
        balances = await super().settle(id, tallies, settled, uncertain)
        self.settled.append((await self.books.tally(Tally("day", 10 * 10**9))).settled)
        return balances


class Blocking:
    """A blocking SDK in a thread of its own: it loses its race, answers later, and reports what that cost."""

    def __init__(self, report: Callable[[Attempt], object]) -> None:
        self._report = report
        self.go = threading.Event()
        self.over = threading.Event()
        self.attempt: Attempt | None = None

    async def __call__(self, attempt: Attempt) -> str:
        if attempt.provider == "quick":
            attempt.report_cost(0.25)
            return "quick"
        self.attempt = attempt
        return await asyncio.to_thread(self._block, attempt)

    def _block(self, attempt: Attempt) -> str:
        self.go.wait(20)
        self._report(attempt)
        self.over.set()
        return "late"


async def until_settled(ledger: Remote, spent: float) -> None:
    """Wait until the tally has come to this, for five seconds at most."""
    until = time.monotonic() + 5
    while usd(await stands_at(ledger, limit=10)) != (spent, 0, 0):
        assert time.monotonic() < until, usd(await stands_at(ledger, limit=10))
        await asyncio.sleep(0.01)


def decorated(blocking: Blocking) -> Any:
    """Return a routed function over a blocking SDK and a quick provider."""

    @routed(POLICY)
    async def ask(attempt: Attempt) -> str:
        return await blocking(attempt)

    return ask


async def test_it_reaches_the_remote_ledger(caplog: pytest.LogCaptureFixture) -> None:
    """The loser was booked at its projection, as uncertain; the report replaces that."""
    ledger, blocking = Watched(), Blocking(lambda attempt: attempt.report_cost(0.5))

    async with routeware.session("day", limit_usd=10, ledger=ledger) as spending:
        assert await decorated(blocking)() == "quick"
        blocking.go.set()
        await asyncio.to_thread(blocking.over.wait)
        await until_settled(ledger, 0.75)

        assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.75, 0, 0)
    assert [record.getMessage() for record in caplog.records if record.name == "routeware"] == []


async def test_the_next_report_corrects_the_one_from_the_thread() -> None:
    """A correction is the difference to what the ledger was told: nothing is counted twice, and nothing goes below."""
    ledger, blocking = Watched(), Blocking(lambda attempt: attempt.report_cost(0.5))

    async with routeware.session("day", limit_usd=10, ledger=ledger) as spending:
        await decorated(blocking)()
        blocking.go.set()
        await asyncio.to_thread(blocking.over.wait)
        assert blocking.attempt is not None
        blocking.attempt.report_cost(0.125)
        await until_settled(ledger, 0.375)

        assert spending.spent_usd == 0.375
    assert min(ledger.settled) >= 0


async def test_many_reports_from_threads_and_the_loop_arrive_in_their_order() -> None:
    """The last one is what the attempt has cost."""
    ledger = Watched()

    def report(attempt: Attempt) -> None:
        for number in range(1, 100):
            attempt.report_cost(number / 64)

    blocking = Blocking(report)
    async with routeware.session("day", limit_usd=10, ledger=ledger):
        await decorated(blocking)()
        blocking.go.set()
        await asyncio.to_thread(blocking.over.wait)
        assert blocking.attempt is not None
        blocking.attempt.report_cost(0.5)
        await until_settled(ledger, 0.75)
    assert min(ledger.settled) >= 0


async def test_it_reaches_a_session_of_this_process() -> None:
    """With no ledger, and with a MemoryLedger."""
    for ledger in (None, routeware.MemoryLedger()):
        blocking = Blocking(lambda attempt: attempt.report_cost(0.5))
        async with routeware.session("day", limit_usd=10, ledger=ledger) as spending:
            await decorated(blocking)()
            blocking.go.set()
            await asyncio.to_thread(blocking.over.wait)
            assert (spending.spent_usd, spending.uncertain_usd) == (0.75, 0)


def test_what_can_no_longer_be_told_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The loop has ended: the ledger keeps the projection, and the log says that it was not told, and how much."""
    ledger, blocking = Watched(), Blocking(lambda attempt: attempt.report_cost(0.5))

    async def main() -> None:
        # A default executor would be waited for when the loop ends.
        asyncio.get_running_loop().set_default_executor(Unwaited())
        async with routeware.session("day", limit_usd=10, ledger=ledger):
            await decorated(blocking)()

    asyncio.run(main())
    with caplog.at_level(logging.WARNING, "routeware"):
        blocking.go.set()
        blocking.over.wait(20)

    messages = [record.getMessage() for record in caplog.records if record.name == "routeware"]
    assert len(messages) == 1
    assert "loop" in messages[0]
    assert usd(asyncio.run(stands_at(ledger, limit=10))) == (0.25, 1, 0)


class Unwaited(ThreadPoolExecutor):
    """An executor whose threads nobody waits for."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)
