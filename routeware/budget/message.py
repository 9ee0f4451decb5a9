"""Telling a ledger what an attempt cost: at once, and again until it has heard, or until nobody waits any more.

The attempt has ended and its caller has the answer, so a ledger that is away keeps nobody from anything: what was set
aside there stays so meanwhile (and becomes uncertain where its lease ends), and is replaced when the message arrives.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from routeware.budget.sheet import Sheet
from routeware.errors import LedgerUnavailableError
from routeware.money import usd

__all__ = ["Message"]

logger = logging.getLogger("routeware")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class Message:
    """What one attempt cost, on its way to one ledger. The ledger counts it once, however often it hears it.

    Attributes:
        untold: whether the ledger knows nothing of it, because it was spent while it was away. Nobody has to wait for
            such a message: the next session that reaches the ledger sends what is left behind.
    """

    def __init__(self, sheet: Sheet, id: str, settled: int, uncertain: int, *, untold: bool = False) -> None:
        self._sheet = sheet
        self._id = id
        self._settled = settled
        self._uncertain = uncertain
        self.untold = untold
        self._enough = asyncio.Event()

    async def send(self) -> bool:
        """Try once; whether there is nothing more to try."""
        try:
            await self._sheet.settle(self._id, self._settled, self._uncertain)
        except LedgerUnavailableError:
            return False
        except Exception as error:  # noqa: BLE001 - the call has its answer; what was reserved stays so in the ledger
            self._lost(type(error).__qualname__)
            return True
        if self.untold:
            self._sheet.change_locally(0, -self._settled, -self._uncertain)
        return True

    async def insist(self) -> None:
        """Try again, with growing pauses, until it is told or given up."""
        pause_s = _FIRST_PAUSE_S
        try:
            while not self._enough.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), pause_s)
                if await self.send():
                    return
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        except asyncio.CancelledError:
            self._leave("the loop is closing")
            raise
        self._leave("it could not be reached")

    def give_up(self) -> None:
        """Nobody waits any more: one more try, and no other."""
        self._enough.set()

    def _leave(self, why: str) -> None:
        if self.untold:
            self._sheet.leave_behind(self.send)
        self._lost(why)

    def _lost(self, why: str) -> None:
        logger.warning(
            "a ledger could not be told what an attempt cost (%s): $%.9f, and $%.9f uncertain%s",
            why,
            usd(self._settled),
            usd(self._uncertain),
            "; the next session that reaches it will" if self.untold else "",
        )
