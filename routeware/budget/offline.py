"""A ledger that goes on for a little while the one behind it cannot be reached.

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

from routeware.budget import caps
from routeware.budget.caps import OfflineAllowance, change
from routeware.budget.ledger import Balance, Ledger, Tally, answer_of, open_tally
from routeware.budget.resending import FIRST_PAUSE_S, Settlement, reason_of, say_undelivered, send_again
from routeware.errors import BudgetExceededError, LedgerUnavailableError, PolicyError
from routeware.money import amount_usd, nanos

__all__ = ["OfflineLedger", "outage_of", "spare_of"]

_AWAY_S = 1.0
"""The pause before a ledger that could not be reached is asked again."""
_ROUND = 100
"""The number of settlements that a ledger is sent at once."""
_LATER = " Queued for the next session that reaches it."


class OfflineLedger:
    """A ledger that goes on for a little while ``ledger`` cannot be reached, and tells it when it is back.

    It answers as ``ledger`` does. Where that cannot be reached, it holds and settles by itself: up to ``spare_usd``
    under each name, and by what was last seen never beyond a limit. It tells the ledger again and again until it has
    heard. ``session(..., on_unavailable=0.50)`` makes one, and closes it when the session is left.
    """

    def __init__(self, ledger: Ledger, spare_usd: float) -> None:
        """Stand before ``ledger``.

        Args:
            ledger: the ledger to ask.
            spare_usd: how many dollars may be spent under one name without its knowing.

        Raises:
            PolicyError: ``spare_usd`` is no amount.
        """
        self._ledger = ledger
        self._outage = outage_of(ledger)
        self._spare = nanos(amount_usd(spare_usd, "spare_usd"))
        self._spares: dict[str, int] = {}
        self._unopened: tuple[dict[str, tuple[Tally, bool]], ...] = ({},)
        # Kept here, so that an allowance lasts as long as a session that counts in it.
        self._allowances: dict[str, OfflineAllowance] = {}
        self._granted: set[str] = set()
        # What is held here, and whether the ledger may hold it, too, because it was asked and did not answer.
        self._held: dict[str, tuple[int, bool]] = {}
        self._mine: list[Settlement] = []
        self._teller: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._closed = False

    def inside(self, name: str, spare_usd: float) -> OfflineLedger:
        """Return another for a session inside: ``name`` may spend ``spare_usd``, the names around what they may."""
        one = OfflineLedger(self._ledger, spare_usd)
        one._spares = {name: one._spare, **dict.fromkeys(self._allowances, self._spare), **self._spares}
        one._unopened = (*self._unopened, *one._unopened)
        return one

    async def aclose(self) -> None:
        """Send the ledger once more what it is missing from here; what can't be sent stays for others."""
        task = self.stop()
        if task is not None:
            await asyncio.wait([task])

    def stop(self) -> asyncio.Task[None] | None:
        """Stop repeating after one more try, and return the task that makes it; ``None`` where there is none."""
        self._closed = True
        self._wake.set()
        if self._forget_told():
            self._start_telling()
        return self._teller

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally``, or go on with it; where the ledger is away, it is opened when it is back.

        Raises:
            PolicyError: it was opened with another limit.
        """
        return await self._open(tally, replacing=False)

    async def set_limit(self, tally: Tally, /) -> Balance:
        """Fix the limit of the tally's name for all who share it; where the ledger is away, when it is back."""
        return await self._open(tally, replacing=True)

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none: in the ledger, or here while it is away.

        Raises:
            BudgetExceededError: a limit, or here the spare amount, would be passed; equality fits.
            PolicyError: the ledger knows a session that was entered while it was away by another limit.
        """
        allowances = [self._allowance(tally.name) for tally in tallies]
        asked = False
        try:
            for unopened in self._unopened:
                for tally, replacing in list(unopened.values()):
                    await self._ask_tally(tally, replacing=replacing)
                    unopened.pop(tally.name, None)
            self._outage.check_reachable()
            asked = True
            try:
                balances = await answer_of(self._ledger.hold(id, tallies, nanos))
            except LedgerUnavailableError:
                self._outage.missed()
                raise
        except LedgerUnavailableError:
            try:
                self._hold_here(tallies, allowances, nanos)
            except BudgetExceededError:
                if asked:
                    # It may have been granted there all the same, and it would never be settled.
                    self._owe(Settlement(id, 0, 0, tuple(tallies), tuple(allowances)))
                raise
            self._held[id] = (nanos, asked)
        else:
            self._granted.add(id)
            for allowance, balance in zip(allowances, balances, strict=True):
                allowance.seen.see(balance)
            if self._outage.untold:
                self._start_telling()
        return [allowance.balance() for allowance in allowances]

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds by what it cost. What was held here is settled here, and the ledger told of it.

        Raises:
            LedgerUnavailableError: the ledger granted the hold, and can't be reached now.
        """
        allowances = tuple(self._allowance(tally.name) for tally in tallies)
        held, asked = self._held.pop(id, (None, True))
        # What corrects an untold settlement waits behind it.
        if held is not None or (id not in self._granted and any(one.settlements for one in allowances)):
            with caps.LOCK:
                change([one.untold for one in allowances], -(held or 0), settled, uncertain)
            if asked or settled or uncertain:
                self._owe(Settlement(id, settled, uncertain, tuple(tallies), allowances))
        else:
            balances = await answer_of(self._ledger.settle(id, tallies, settled, uncertain))
            self._granted.discard(id)
            for allowance, balance in zip(allowances, balances, strict=True):
                allowance.seen.see(balance)
        return [allowance.balance() for allowance in allowances]

    async def _open(self, tally: Tally, *, replacing: bool) -> Balance:
        allowance = self._allowance(tally.name)
        try:
            await self._ask_tally(tally, replacing=replacing)
        except LedgerUnavailableError:
            self._unopened[-1][tally.name] = (tally, replacing)
        return allowance.balance()

    async def _ask_tally(self, tally: Tally, *, replacing: bool) -> None:
        self._outage.check_reachable()
        try:
            self._allowance(tally.name).seen.see(await open_tally(self._ledger, tally, replacing=replacing))
        except LedgerUnavailableError:
            self._outage.missed()
            raise

    def _owe(self, one: Settlement) -> None:
        self._mine.append(one)
        self._outage.owe(one)
        self._start_telling(FIRST_PAUSE_S)

    def _hold_here(self, tallies: Sequence[Tally], allowances: Sequence[OfflineAllowance], nanos: int) -> None:
        with caps.LOCK:
            for tally, allowance in zip(tallies, allowances, strict=True):
                allowance.check(nanos, self._spares.get(tally.name, self._spare), tally.limit_nanos)
            change([allowance.untold for allowance in allowances], nanos, 0, 0)

    def _allowance(self, name: str) -> OfflineAllowance:
        found = self._allowances.get(name)
        if found is None:
            found = self._allowances[name] = self._outage.allowance(name)
        return found

    def _forget_told(self) -> bool:
        """Forget what the ledger has heard. Return True if anything of ours is left to tell."""
        untold = set(map(id, self._outage.untold))
        self._mine = [one for one in self._mine if id(one) in untold]
        return bool(self._mine)

    def _start_telling(self, pause_s: float = 0.0) -> None:
        teller = self._teller
        if teller is None or teller.done() or teller.get_loop().is_closed():
            self._wake = wake = asyncio.Event()  # a new one, for events and tasks belong to one loop
            if self._closed:
                wake.set()
            self._teller = asyncio.get_running_loop().create_task(self._tell(wake, pause_s))

    async def _tell(self, wake: asyncio.Event, pause_s: float) -> None:
        """Tell the ledger what it has not heard, again and again, until it has or this is closed."""
        try:
            if await send_again(lambda: self._outage.tell(self._ledger), wake, pause_s):
                self._forget_told()
            else:
                self._say_lost("it could not be reached")
        except asyncio.CancelledError:
            self._say_lost("the loop is closing")
            raise
        finally:
            self._teller = None  # a task that ended would keep this, and this the task

    def _say_lost(self, why: str) -> None:
        self._forget_told()
        say_undelivered(self._mine, why, _LATER)


def spare_of(on_unavailable: str | float) -> float | None:
    """Return how many dollars a session may spend while its ledger is away; ``None`` to refuse.

    Raises:
        PolicyError: neither ``refuse`` nor an amount.
    """
    if not isinstance(on_unavailable, str):
        return amount_usd(on_unavailable, "on_unavailable")
    if on_unavailable != "refuse":
        raise PolicyError(
            f"{on_unavailable!r} is not known: 'refuse', or how many dollars may be spent meanwhile",
            key="on_unavailable",
        )
    return None


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
        self.untold: deque[Settlement] = deque()

    def allowance(self, name: str) -> OfflineAllowance:
        """Return what is known of ``name``, which lasts as long as a session or an untold settlement needs it."""
        with caps.LOCK:
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

    def owe(self, settlement: Settlement) -> None:
        """Keep a settlement that the ledger has to hear, behind those before it."""
        with caps.LOCK:
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

    def _next_round(self) -> list[Settlement]:
        """Choose what is sent at once: no correction that takes something away, with what it may take it from."""
        chosen: list[Settlement] = []
        for one in list(islice(self.untold, _ROUND)):
            if chosen and (one.settled < 0 or one.uncertain < 0):
                break
            chosen.append(one)
        return chosen

    async def _tell_one(self, ledger: Ledger, one: Settlement) -> bool:
        answer = None
        try:
            answer = await answer_of(ledger.settle(one.id, one.tallies, one.settled, one.uncertain))
        except LedgerUnavailableError:
            return False
        except Exception as error:  # noqa: BLE001 - it will not be mended by asking again, and others wait behind it
            say_undelivered([one], reason_of(error))
        self.untold.remove(one)
        with caps.LOCK:
            for allowance in one.allowances:
                allowance.told()
            if answer is not None:
                change([each.untold for each in one.allowances], 0, -one.settled, -one.uncertain)
                for allowance, balance in zip(one.allowances, answer, strict=False):
                    allowance.seen.see(balance)
        return True


# By the ledger's identity: a ledger need not be hashable.
_outages: dict[int, LedgerOutage] = {}


def outage_of(ledger: Ledger) -> LedgerOutage:
    """Return what is shared by all that stand before ``ledger``."""
    with caps.LOCK:
        found = _outages.get(id(ledger))
        if found is None:
            found = LedgerOutage()
            try:
                weakref.finalize(ledger, _outages.pop, id(ledger), None)
            except TypeError:  # it has slots, and none for weak references: then each wrapper is on its own
                return found
            _outages[id(ledger)] = found
        return found
