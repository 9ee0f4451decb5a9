"""Telling a ledger what an attempt cost: at once, and again until it has heard, or until no session waits any more.

The attempt has ended and its caller has the answer, so a ledger that is away delays nothing: what was set aside there
stays so meanwhile (and becomes uncertain where its lease ends), and is replaced when the settlement arrives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from uuid import uuid4

from routeware.budget.account import Account
from routeware.budget.settlement import FIRST_PAUSE_S, LONGEST_PAUSE_S, SettlementMessage, reason_of, say_undelivered
from routeware.budget.view import LedgerView
from routeware.errors import LedgerUnavailableError

__all__ = ["SettlementQueue"]


class SettlementQueue:
    """The cost of one attempt on its way to one ledger: its settlement, then corrections, sent in that order.

    A correction that overtook its settlement would drive the ledger's sum below what was reported.

    Attributes:
        view: the ledger's tallies.
        id: what the attempt's hold was asked for with, until it is settled.
        repeating: True while a task tells the ledger again and again.
    """

    __slots__ = ("_enough", "_refused_settled", "_refused_uncertain", "_unsent", "id", "repeating", "view")

    def __init__(self, view: LedgerView) -> None:
        self.view = view
        self.id: str | None = uuid4().hex
        self.repeating = False
        self._unsent: deque[SettlementMessage] = deque()
        self._refused_settled = 0
        self._refused_uncertain = 0
        self._enough = asyncio.Event()

    def __del__(self) -> None:
        # Its loop was closed with the task that was to tell, or the callback that was to start it.
        if self._unsent:
            say_undelivered(self._unsent, "the loop is closed")

    async def hold(self, nanos: int, own: Account, cap: int | None) -> None:
        """Ask the ledger to set ``nanos`` aside under the queue's id. Raises as :meth:`LedgerView.hold`."""
        assert self.id is not None
        await self.view.hold(self.id, nanos, own, cap)

    def add(self, settled: int, uncertain: int) -> bool:
        """Have the ledger told of one more change; the first one settles the hold. Return True if there is news."""
        id, self.id = self.id, None
        if id is None and not settled and not uncertain:
            return False
        self._unsent.append(SettlementMessage(id or uuid4().hex, settled, uncertain))
        return True

    async def send(self) -> bool:
        """Tell the ledger all that it was not told, trying once. Return False if it could not be reached."""
        unsent = self._unsent
        while unsent:
            message = unsent[0]
            self._withhold(message)
            try:
                await self.view.settle(message.id, message.settled, message.uncertain)
            except LedgerUnavailableError:
                return False
            except asyncio.CancelledError:
                self.say_lost("the loop is closing")
                raise
            except Exception as error:  # noqa: BLE001 - the call has its answer; what was reserved stays so in the ledger
                say_undelivered([message], reason_of(error))
                self._refused_settled += max(0, message.settled)
                self._refused_uncertain += max(0, message.uncertain)
            unsent.popleft()
        return True

    def _withhold(self, message: SettlementMessage) -> None:
        """Have a correction take nothing away that the ledger refused to count: its sum would fall below the truth."""
        settled = min(self._refused_settled, max(0, -message.settled))
        uncertain = min(self._refused_uncertain, max(0, -message.uncertain))
        self._refused_settled -= settled
        self._refused_uncertain -= uncertain
        message.withhold(settled, uncertain)

    def begin_repeating(self) -> None:
        """Note that a task repeats from now on, so that no other sends: messages keep their order."""
        self.repeating = True

    async def repeat(self) -> None:
        """Tell the ledger again, with growing pauses, until it has heard or is given up."""
        pause_s = FIRST_PAUSE_S
        try:
            while not self._enough.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), pause_s)
                if await self.send():
                    return
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            self.say_lost("it could not be reached")
        except asyncio.CancelledError:
            self.say_lost("the loop is closing")
            raise
        finally:
            self.repeating = False

    def give_up(self) -> None:
        """Stop repeating after one more try: no session waits any more."""
        self._enough.set()

    def say_lost(self, why: str) -> None:
        """Log what the ledger was not told. It stays here: a later report may still bring it."""
        say_undelivered(self._unsent, why)
