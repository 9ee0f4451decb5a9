"""Sending settlements to a ledger: at once, and again until it has heard, or until no session waits any more.

The attempt has ended and its caller has the answer, so a ledger that is away delays nothing: what was set aside there
stays so meanwhile (and becomes uncertain where its lease ends), and is replaced when the settlement arrives.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from uuid import uuid4

from routeware.budget.caps import OfflineAllowance
from routeware.budget.ledger import Tally
from routeware.errors import LedgerUnavailableError, RoutewareError
from routeware.money import usd

__all__ = ["FIRST_PAUSE_S", "Settlement", "SettlementQueue", "reason_of", "say_undelivered", "send_again"]

logger = logging.getLogger("routeware")

FIRST_PAUSE_S = 0.05
"""The pause before a settlement that did not arrive is sent again; it doubles each time."""
_LONGEST_PAUSE_S = 2.0


class Settlement:
    """The cost of one attempt, or a correction of it. A ledger counts it once, however often it is sent.

    Attributes:
        id: what the ledger knows it by.
        settled: what is added to the settled sum, in nano-dollars; a correction may be negative.
        uncertain: what is added to the uncertain sum.
        tallies: where it counts, for a ledger that was away.
        allowances: what counts it there until the ledger has heard.
        reported_lost: True once the log said that it was not delivered.
    """

    __slots__ = ("allowances", "id", "reported_lost", "settled", "tallies", "uncertain")

    def __init__(
        self,
        id: str,
        settled: int,
        uncertain: int,
        tallies: tuple[Tally, ...] = (),
        allowances: tuple[OfflineAllowance, ...] = (),
    ) -> None:
        self.id = id
        self.settled = settled
        self.uncertain = uncertain
        self.tallies = tallies
        self.allowances = allowances
        self.reported_lost = False

    def withhold(self, settled: int, uncertain: int) -> None:
        """Take less away than the correction would: the ledger may never have heard of so much."""
        self.settled += settled
        self.uncertain += uncertain

    def report_lost(self) -> None:
        """Note that the log says of it that it was not delivered."""
        self.reported_lost = True


class SettlementQueue:
    """The cost of one attempt on its way to one ledger: its settlement, then corrections, sent in that order.

    A correction that overtook its settlement would drive the ledger's sum below what was reported.

    Attributes:
        id: what the attempt's hold was asked for with, until it is settled.
        repeating: True while a task tells the ledger again and again.
    """

    __slots__ = ("_enough", "_refused_settled", "_refused_uncertain", "_settle", "_unsent", "id", "repeating")

    def __init__(self, settle: Callable[[str, int, int], Awaitable[None]]) -> None:
        self._settle = settle
        self.id: str | None = uuid4().hex
        self.repeating = False
        self._unsent: deque[Settlement] = deque()
        self._refused_settled = 0
        self._refused_uncertain = 0
        self._enough = asyncio.Event()

    def __del__(self) -> None:
        # Its loop was closed with the task that was to tell, or the callback that was to start it.
        if self._unsent:
            say_undelivered(self._unsent, "the loop is closed")

    def add(self, settled: int, uncertain: int) -> bool:
        """Have the ledger told of one more change; the first one settles the hold. Return True if there is news."""
        id, self.id = self.id, None
        if id is None and not settled and not uncertain:
            return False
        self._unsent.append(Settlement(id or uuid4().hex, settled, uncertain))
        return True

    async def send(self) -> bool:
        """Tell the ledger all that it was not told, trying once. Return False if it could not be reached."""
        unsent = self._unsent
        while unsent:
            message = unsent[0]
            self._withhold(message)
            try:
                await self._settle(message.id, message.settled, message.uncertain)
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

    def _withhold(self, message: Settlement) -> None:
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
        try:
            if self._enough.is_set() or not await send_again(self.send, self._enough, FIRST_PAUSE_S):
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


async def send_again(send: Callable[[], Awaitable[bool]], enough: asyncio.Event, pause_s: float) -> bool:
    """Send until it has arrived, with growing pauses after the first; once ``enough`` is set, for the last time.

    Returns:
        True if it has arrived.
    """
    while True:
        if pause_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), pause_s)
        if await send():
            return True
        if enough.is_set():
            return False
        pause_s = min(max(2 * pause_s, FIRST_PAUSE_S), _LONGEST_PAUSE_S)


def say_undelivered(messages: Iterable[Settlement], why: str, then: str = "") -> None:
    """Log what a ledger was not told, once for each message."""
    unsaid = [message for message in messages if not message.reported_lost]
    if not unsaid:
        return
    for message in unsaid:
        message.report_lost()
    logger.warning(
        "Settlement not delivered, the ledger could not be told (%s): $%.9f settled, $%.9f uncertain.%s",
        why,
        usd(sum(message.settled for message in unsaid)),
        usd(sum(message.uncertain for message in unsaid)),
        then,
    )


def reason_of(error: Exception) -> str:
    """Return what the log says of an error that a ledger raised: our own text, or a class name, never foreign text."""
    return str(error) if isinstance(error, RoutewareError) else type(error).__qualname__
