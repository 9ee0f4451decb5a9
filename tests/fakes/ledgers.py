"""A ledger far away: its replies take a while, or it cannot be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routeware import LedgerUnavailableError, MemoryLedger
from routeware.budget import Balance, Tally
from tests.fakes.providers import pause

__all__ = ["EVERYTHING", "Remote", "Replaceable", "stands_at", "usd"]

EVERYTHING = {"tally", "hold", "settle"}


class Remote:
    """A ledger whose replies take a while, or do not come: what it was asked is done at once, before the reply."""

    def __init__(self, *, hold_ms: Sequence[float] = (), settle_ms: float = 0) -> None:
        self.books = MemoryLedger()
        self.hold_ms = list(hold_ms)
        self.settle_ms = settle_ms
        self.away: set[str] = set()
        self.holds = 0

    async def hold(self, id: str, tallies: Any, nanos: int, /) -> Any:  # the protocol's name
        self.holds += 1
        self._ask("hold")
        balances = await self.books.hold(id, tallies, nanos)
        await pause(self.hold_ms.pop(0) if self.hold_ms else 0)
        return balances

    async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
        self._ask("settle")
        balances = await self.books.settle(id, tallies, settled, uncertain)
        await pause(self.settle_ms)
        return balances

    async def tally(self, tally: Any, /) -> Any:
        self._ask("tally")
        return await self.books.tally(tally)

    def _ask(self, what: str) -> None:
        if what in self.away:
            raise LedgerUnavailableError("away")


class Replaceable(Remote):
    """A ledger far away whose limits can be replaced."""

    async def set_limit(self, tally: Any, /) -> Any:
        self._ask("set_limit")
        return await self.books.set_limit(tally)


async def stands_at(ledger: Remote, name: str = "day", limit: float | None = 1) -> Balance:
    """What the ledger itself says, in nano-dollars."""
    return await ledger.books.tally(Tally(name, None if limit is None else round(limit * 1e9)))


def usd(balance: Balance) -> tuple[float, float, float]:
    """Settled, uncertain and reserved, in dollars."""
    return balance.settled / 1e9, balance.uncertain / 1e9, balance.reserved / 1e9
