"""The way in which the ledger suite gets a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

from routeware.budget import Ledger, Tally

__all__ = ["LedgerOpening"]

T = TypeVar("T")


class LedgerOpening:
    """The facts that a subclass of the suite gives about its ledger."""

    biggest_limit: int | None = None
    """The largest cap that fits, in nano-dollars; ``None`` if any does."""

    orders = 40
    """The number of orders of questions that are tried for each pair of limits."""

    def opening(self) -> AbstractAsyncContextManager[Ledger]:
        """Open a ledger that is ready, and close it afterwards."""
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one drawn example to its end, on a loop of its own."""
        return asyncio.run(work)

    @asynccontextmanager
    async def opened(self, *tallies: Tally) -> AsyncIterator[Ledger]:
        """Open a ledger that knows these tallies."""
        async with self.opening() as ledger:
            for tally in tallies:
                await ledger.tally(tally)
            yield ledger
