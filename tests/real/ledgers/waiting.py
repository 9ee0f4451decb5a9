"""Waiting for what a ledger comes to by itself, however long that takes here: the limit is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from routeware import Ledger
from routeware.budget import Balance, Tally

__all__ = ["comes_to", "until"]


async def comes_to(ledger: Ledger, tally: Tally, balance: Balance) -> None:
    """Ask until this is what the ledger says."""
    await until(lambda: _is(ledger, tally, balance))


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until this is so."""
    while True:
        if await holds():
            return
        await asyncio.sleep(0.02)


async def _is(ledger: Ledger, tally: Tally, balance: Balance) -> bool:
    return await ledger.tally(tally) == balance
