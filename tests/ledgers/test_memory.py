"""The ledger of one process passes what every ledger has to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from routeware import MemoryLedger
from routeware.budget import Balance, Tally, memory
from routeware.testing.ledgers import LedgerSuite
from tests.fakes.clock import run_jumping

T = TypeVar("T")


class TestMemoryLedger(LedgerSuite):
    @asynccontextmanager
    async def opening(self) -> AsyncIterator[MemoryLedger]:
        yield MemoryLedger()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return run_jumping(work)

    async def test_it_does_not_grow_with_what_is_settled(self, monkeypatch: Any) -> None:
        """It knows the latest ids only; nobody repeats a message that long."""
        monkeypatch.setattr(memory, "_REMEMBERED", 3)
        ledger, tally = MemoryLedger(), Tally("day")

        for number in range(10):
            await ledger.settle(str(number), [tally], 1, 0)
        await ledger.settle("9", [tally], 1, 0)

        assert len(ledger._settled) == 3
        assert await ledger.tally(tally) == Balance(settled=10)
