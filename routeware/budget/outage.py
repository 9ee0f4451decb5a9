"""The state of a ledger that is, or was, away, shared by all sessions of this process.

The spare amount, and the settlements that the ledger has not received, are kept for each ledger and name, not for each
session: a service that enters a session for every request would otherwise spend its little again and again,
and wait for the ledger's time-out at every entry.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Sequence
from itertools import islice

import attrs

from routeware.budget import guard
from routeware.budget.account import Account, change
from routeware.budget.ledger import Balance, Ledger, Tally, answer_of, refusal
from routeware.budget.settlement import SettlementMessage, reason_of, say_undelivered
from routeware.errors import LedgerUnavailableError

__all__ = ["LedgerOutage", "OfflineAllowance", "UntoldSettlement", "outage_of"]

_AWAY_S = 1.0
"""The pause before a ledger that could not be reached is asked again."""
_ROUND = 100
"""The number of settlements that a ledger is sent at once."""


class OfflineAllowance:
    """The sums of one name while its ledger may be away; shared by all sessions of that name.

    Attributes:
        seen: what the ledger answered last.
        untold: what was reserved and spent under the name, and the ledger has not been told of.
        settlements: how many settlements under the name the ledger has not been told of.
    """

    __slots__ = ("__weakref__", "seen", "settlements", "untold")

    def __init__(self, name: str) -> None:
        self.seen = Account(name)
        self.untold = Account(name)
        self.settlements = 0

    def balance(self) -> Balance:
        """Return the sums of the name, with those that the ledger does not know."""
        with guard.LOCK:
            seen, untold = self.seen, self.untold
            return Balance(
                seen.settled + untold.settled, seen.uncertain + untold.uncertain, seen.reserved + untold.reserved
            )

    def owe(self) -> None:
        """Note one more settlement for the ledger."""
        self.settlements += 1

    def told(self) -> None:
        """Note that the ledger has been told of one of them, or never will be."""
        self.settlements -= 1

    def check(self, nanos: int, spare: int, limit: int | None) -> None:
        """Refuse ``nanos`` more without the ledger's knowing; the caller holds the lock.

        Raises:
            BudgetExceededError: the spare amount would be passed, or the limit by what was last seen.
        """
        untold = self.untold.committed
        if untold + nanos > spare:
            raise refusal(self.seen.name, untold, spare, nanos)
        committed = self.seen.committed + untold
        if limit is not None and committed + nanos > limit:
            raise refusal(self.seen.name, committed, limit, nanos)


@attrs.frozen(eq=False)
class UntoldSettlement:
    """A settlement that the ledger has not heard of: what it says, and which allowances count it meanwhile."""

    message: SettlementMessage
    tallies: tuple[Tally, ...]
    allowances: tuple[OfflineAllowance, ...]


class LedgerOutage:
    """The outage of one ledger: when it was last missed, and the settlements that it has not received.

    Attributes:
        untold: settlements in the order in which the ledger has to hear them.
    """

    __slots__ = ("_allowances", "_sending", "_until", "untold")

    def __init__(self) -> None:
        self._allowances: weakref.WeakValueDictionary[str, OfflineAllowance] = weakref.WeakValueDictionary()
        self._sending: asyncio.Future[None] | None = None
        self._until = 0.0
        self.untold: deque[UntoldSettlement] = deque()

    def allowance(self, name: str) -> OfflineAllowance:
        """Return what is known of ``name``, which lasts as long as a session or an untold settlement needs it."""
        with guard.LOCK:
            found = self._allowances.get(name)
            if found is None:
                found = self._allowances[name] = OfflineAllowance(name)
            return found

    def check_reachable(self) -> None:
        """Save asking a ledger that could not be reached a moment ago: calls would wait for its time-out in turn.

        Raises:
            LedgerUnavailableError: it could not be reached a moment ago.
        """
        if asyncio.get_running_loop().time() < self._until:
            raise LedgerUnavailableError("the ledger could not be reached a moment ago")

    def missed(self) -> None:
        """Note that the ledger could not be reached just now."""
        self._until = asyncio.get_running_loop().time() + _AWAY_S

    def owe(self, settlement: UntoldSettlement) -> None:
        """Keep a settlement that the ledger has to hear, behind those before it."""
        with guard.LOCK:
            for allowance in settlement.allowances:
                allowance.owe()
        self.untold.append(settlement)

    async def tell(self, ledger: Ledger) -> bool:
        """Tell the ledger what it has not heard, in order, as far as it can be reached. Return True if that is all."""
        loop = asyncio.get_running_loop()
        # One task at a time, or a correction might overtake what it corrects.
        while (sending := self._sending) is not None and not sending.get_loop().is_closed():
            if sending.get_loop() is not loop:
                return False
            await asyncio.wait([sending])
        self._sending = sending = loop.create_future()
        try:
            while self.untold:
                # Side by side: one after another, what a long outage has left would take a round trip each.
                heard = await asyncio.gather(*(self._tell_one(ledger, one) for one in self._next_round()))
                if not all(heard):
                    return False
        finally:
            self._sending = None
            sending.set_result(None)
        return True

    def _next_round(self) -> list[UntoldSettlement]:
        """Choose what is sent at once: no correction that takes something away, with what it may take it from."""
        chosen: list[UntoldSettlement] = []
        for one in list(islice(self.untold, _ROUND)):
            if chosen and (one.message.settled < 0 or one.message.uncertain < 0):
                break
            chosen.append(one)
        return chosen

    async def _tell_one(self, ledger: Ledger, one: UntoldSettlement) -> bool:
        message, answer = one.message, None
        try:
            answer = await answer_of(ledger.settle(message.id, one.tallies, message.settled, message.uncertain))
        except LedgerUnavailableError:
            return False
        except Exception as error:  # noqa: BLE001 - it will not be mended by asking again, and others wait behind it
            say_undelivered([message], reason_of(error))
        self.untold.remove(one)
        with guard.LOCK:
            for allowance in one.allowances:
                allowance.told()
        if answer is not None:
            self._see(one, answer)
        return True

    def _see(self, one: UntoldSettlement, answer: Sequence[Balance]) -> None:
        message = one.message
        with guard.LOCK:
            change([each.untold for each in one.allowances], 0, -message.settled, -message.uncertain)
            for allowance, balance in zip(one.allowances, answer, strict=False):
                allowance.seen.see(balance)


# By the ledger's identity: a ledger need not be hashable.
_outages: dict[int, LedgerOutage] = {}


def outage_of(ledger: Ledger) -> LedgerOutage:
    """Return what is shared by all that stand before ``ledger``."""
    with guard.LOCK:
        found = _outages.get(id(ledger))
        if found is None:
            found = LedgerOutage()
            try:
                weakref.finalize(ledger, _outages.pop, id(ledger), None)
            except TypeError:  # it has slots, and none for weak references: then each wrapper is on its own
                return found
            _outages[id(ledger)] = found
        return found
