"""Reserve, then settle: who may spend, and what was spent.

Checking a budget and spending afterwards lets calls that run side by side overspend together. So an attempt first sets
aside the most that it may cost (its projection), in every tally that counts it or in none; when it has ended, the
reservation is replaced by what it cost. Committed money is settled + uncertain + reserved, and only that is compared
with a cap.

Tallies of this process are kept in :class:`Account` objects and never suspend: nothing runs between the check and
the hold. What is kept elsewhere is asked through a :class:`Ledger`, in tasks of its own, because a request that is on
its way cannot be called back: a hold that nobody waits for any more is given back when its answer is in.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol
from uuid import uuid4

import attrs

from routeware.errors import BudgetExceededError, PolicyError
from routeware.money import usd

__all__ = ["NOWHERE", "Account", "Balance", "Book", "Ledger", "MemoryLedger", "Reservation", "Sheet", "Tally"]

logger = logging.getLogger("routeware")

# One lock for all tallies of the process: a hold covers several of them at once, and one lock cannot be taken in two
# orders. It is never held across an await.
_LOCK = threading.Lock()


@attrs.frozen
class Tally:
    """A name to count under, and the cap that a hold has to fit.

    Attributes:
        name: what the sum is kept under; the same name is the same sum.
        limit_nanos: the cap in nano-dollars; ``None`` for none.
    """

    name: str
    limit_nanos: int | None = None


@attrs.frozen
class Balance:
    """What one tally stands at, in nano-dollars."""

    settled: int = 0
    uncertain: int = 0
    reserved: int = 0

    @property
    def committed(self) -> int:
        """All that counts against a cap."""
        return self.settled + self.uncertain + self.reserved


class Ledger(Protocol):
    """Where sessions of one name keep one sum: across tasks, processes or machines.

    Every change carries an ``id`` that the caller made, so that asking twice changes nothing twice. All amounts are
    nano-dollars. Each method raises :class:`~routeware.LedgerUnavailableError` when nobody can be asked.
    """

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally``, or go on with it, and say what it stands at.

        Raises:
            PolicyError: it was opened with another limit; names both.
        """
        ...

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none; what they stand at then, in their order.

        An ``id`` that already holds is answered as granted, and holds nothing more.

        Raises:
            BudgetExceededError: a tally's limit would be passed; equality fits.
        """
        ...

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds by what it cost; what the tallies stand at then, in their order.

        Either amount may be negative: a correction holds 0 under an id of its own and settles the difference. An
        ``id`` that holds nothing has been settled before, and changes nothing.
        """
        ...


class Account:
    """The running sums of one tally in this process, in nano-dollars.

    For a tally of a remote ledger it is what was last seen there.
    """

    __slots__ = ("name", "reserved", "settled", "uncertain")

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.settled = 0
        self.uncertain = 0
        self.reserved = 0

    @property
    def committed(self) -> int:
        """All that counts against a cap."""
        return self.settled + self.uncertain + self.reserved

    def balance(self) -> Balance:
        """The sums of this moment."""
        return Balance(self.settled, self.uncertain, self.reserved)

    def see(self, balance: Balance) -> None:
        """Take over what a remote ledger said."""
        self.settled, self.uncertain, self.reserved = balance.settled, balance.uncertain, balance.reserved

    def refusal(self, limit: int, nanos: int) -> BudgetExceededError:
        """The error for a hold of ``nanos`` that does not fit ``limit``."""
        return BudgetExceededError(
            kind="session",
            limit_usd=usd(limit),
            projected_usd=usd(nanos),
            committed_usd=usd(self.committed),
            session_name=self.name,
        )


class MemoryLedger:
    """A ledger for the sessions of one process. Threads may share it. It never suspends."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._limits: dict[str, int | None] = {}
        self._held: dict[str, tuple[int, tuple[Account, ...]]] = {}

    def account(self, tally: Tally) -> Account:
        """The running sums under the tally's name, which its limit is fixed to from the first time on.

        Raises:
            PolicyError: the name was opened with another limit.
        """
        with _LOCK:
            known = self._limits.setdefault(tally.name, tally.limit_nanos)
            if known != tally.limit_nanos:
                raise PolicyError(different_limit(tally.name, known, tally.limit_nanos), key="limit_usd")
            return self._find(tally.name)

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally`` and say what it stands at. Raises :class:`PolicyError` for another limit than it has."""
        return self.account(tally).balance()

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none.

        A coroutine that never suspends: nothing runs between the check and the hold, so calls on one loop cannot
        overspend together. A lock that is never held across an await keeps threads apart.

        Raises:
            BudgetExceededError: a cap would be passed; equality fits.
        """
        with _LOCK:
            accounts = tuple(self._find(tally.name) for tally in tallies)
            if id not in self._held:
                _reserve([(account, t.limit_nanos) for account, t in zip(accounts, tallies, strict=True)], nanos)
                self._held[id] = (nanos, accounts)
            return [account.balance() for account in accounts]

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds by what it cost; an ``id`` that holds nothing changes nothing."""
        with _LOCK:
            nanos, accounts = self._held.pop(id, (0, ()))
            for account in accounts:
                account.reserved -= nanos
                account.settled += settled
                account.uncertain += uncertain
            return [self._find(tally.name).balance() for tally in tallies]

    def _find(self, name: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(name)
        return account


def different_limit(name: str, known: int | None, asked: int | None) -> str:
    """The text of the error for a tally that is opened with two limits."""

    def shown(limit: int | None) -> str:
        return "no limit" if limit is None else f"a limit of ${usd(limit):g}"

    return f"session {name!r} has {shown(known)} in this ledger, and was entered with {shown(asked)}; all must bring the same"


def _reserve(entries: Sequence[tuple[Account, int | None]], nanos: int) -> None:
    # All are asked before any is changed: a refusal leaves nothing to roll back. The caller holds the lock.
    for account, limit in entries:
        if limit is not None and account.settled + account.uncertain + account.reserved + nanos > limit:
            raise account.refusal(limit, nanos)
    for account, _ in entries:
        account.reserved += nanos


@attrs.frozen
class Sheet:
    """The tallies of one session and its enclosing ones that one remote ledger keeps, outermost first."""

    ledger: Ledger
    tallies: tuple[Tally, ...]
    accounts: tuple[Account, ...]

    def capped(self, account: Account, cap: int | None) -> tuple[Tally, ...]:
        """The tallies for one hold, that of ``account`` under ``cap`` as well as under its own limit."""
        if cap is None:
            return self.tallies
        return tuple(
            tally if account is not own else attrs.evolve(tally, limit_nanos=min(cap, _or(tally.limit_nanos, cap)))
            for tally, own in zip(self.tallies, self.accounts, strict=True)
        )

    def see(self, balances: Sequence[Balance]) -> None:
        """Take over what the ledger answered."""
        for account, balance in zip(self.accounts, balances, strict=True):
            account.see(balance)


def _or(limit: int | None, otherwise: int) -> int:
    return otherwise if limit is None else limit


class Book:
    """All that a charge in one session is written to: its own account and those of the sessions around it.

    Attributes:
        entries: accounts of this process with their limits, outermost first.
        sheets: what remote ledgers keep, outermost first.
        account: the innermost session's own account.
        capped: whether any of them has a limit.
        reserving: whether attempts have to reserve: under a cap, and wherever others count in the same ledger.
    """

    __slots__ = ("_around", "_chores", "account", "capped", "entries", "reserving", "sheets")

    def __init__(
        self,
        account: Account,
        entries: tuple[tuple[Account, int | None], ...],
        sheets: tuple[Sheet, ...],
        around: Book | None,
        ledgers: bool,
    ) -> None:
        self.account = account
        self.entries = entries
        self.sheets = sheets
        self.capped = any(limit is not None for _, limit in entries) or any(
            tally.limit_nanos is not None for sheet in sheets for tally in sheet.tallies
        )
        self.reserving = self.capped or ledgers
        self._around = around
        self._chores: dict[asyncio.Future[Any], Callable[[], None] | None] = {}

    def capped_entries(self, cap: int) -> list[tuple[Account, int | None]]:
        """The entries, the innermost session's under ``cap`` as well as under its own limit."""
        return [
            (account, limit if account is not self.account else min(cap, _or(limit, cap)))
            for account, limit in self.entries
        ]

    def keep(self, task: asyncio.Future[Any], give_up: Callable[[], None] | None = None) -> None:
        """Have this session, and those around it, wait for ``task`` on leaving.

        Args:
            task: a straggler, or a message to a ledger.
            give_up: called where it does not end in time, to book what it may cost.
        """
        book: Book | None = self
        while book is not None:
            chores = book._chores
            chores[task] = give_up
            task.add_done_callback(lambda done, chores=chores: chores.pop(done, None))  # type: ignore[misc]
            book = book._around

    async def drain(self, patience_s: float) -> int:
        """Wait for all that is kept, at most ``patience_s``, then give it up; how much that was."""
        until = asyncio.get_running_loop().time() + patience_s
        while self._chores and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(list(self._chores), timeout=left)
        given_up = [give_up for give_up in self._chores.values() if give_up is not None]
        for give_up in given_up:
            give_up()
        return len(given_up)


NOWHERE = Book(Account(None), (), (), None, False)
"""Where a call outside of any session is booked: its own cap still needs reservations."""


class Reservation:
    """What one attempt has set aside in a book; settled once, corrected afterwards.

    Attributes:
        held: what is set aside now, in nano-dollars.
        settled: what it was settled at.
        uncertain: what was booked as uncertain.
    """

    __slots__ = ("_book", "_id", "_posted", "held", "settled", "uncertain")

    def __init__(self, book: Book) -> None:
        self._book = book
        self._id: str | None = None
        self._posted: asyncio.Task[None] | None = None
        self.held = 0
        self.settled = 0
        self.uncertain = 0

    @property
    def posted(self) -> asyncio.Task[None] | None:
        """The newest message on its way to the ledgers; ``None`` where all is kept in this process."""
        return self._posted

    def hold(self, nanos: int, cap: int | None = None) -> None:
        """Set ``nanos`` aside in all accounts of this process, or in none.

        Args:
            nanos: the projection.
            cap: one more limit on the innermost session, for this hold.

        Raises:
            BudgetExceededError: a limit would be passed; equality fits.
        """
        book = self._book
        with _LOCK:
            _reserve(book.entries if cap is None else book.capped_entries(cap), nanos)
        self.held = nanos

    async def hold_remotely(self, nanos: int, cap: int | None = None) -> None:
        """Set ``nanos`` aside in the remote ledgers too, outermost first; give all back where one refuses.

        Raises:
            BudgetExceededError: a limit would be passed.
            LedgerUnavailableError: a ledger could not be asked.
        """
        self._id = uuid4().hex
        asked: list[tuple[Sheet, asyncio.Task[Sequence[Balance]]]] = []
        try:
            for sheet in self._book.sheets:
                asking = sheet.ledger.hold(self._id, sheet.capped(self._book.account, cap), nanos)
                task = asyncio.get_running_loop().create_task(_as_coroutine(asking))
                asked.append((sheet, task))
                await asyncio.wait([task])
                sheet.see(task.result())
        except BaseException:
            self._forget(nanos)
            for sheet, task in asked:
                self._keep(_give_back(sheet, self._id, task))
            raise

    def settle(self, settled: int, uncertain: int) -> None:
        """Replace what is held by what it cost. Where it has been settled before, correct that to this."""
        more_settled, more_uncertain = settled - self.settled, uncertain - self.uncertain
        held, self.held, self.settled, self.uncertain = self.held, 0, settled, uncertain
        with _LOCK:
            for account, _ in self._book.entries:
                account.reserved -= held
                account.settled += more_settled
                account.uncertain += more_uncertain
        if self._book.sheets:
            self._post(more_settled, more_uncertain)

    def _post(self, settled: int, uncertain: int) -> None:
        before, id, self._id = self._posted, self._id, None
        if id is None and not settled and not uncertain:
            return
        self._posted = self._keep(_write(self._book.sheets, id, settled, uncertain, before))

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._book.keep(task)
        return task

    def _forget(self, nanos: int) -> None:
        self.held = 0
        with _LOCK:
            for account, _ in self._book.entries:
                account.reserved -= nanos


async def _as_coroutine(asking: Any) -> Sequence[Balance]:
    result: Sequence[Balance] = await asking
    return result


async def _give_back(sheet: Sheet, id: str, asked: asyncio.Task[Sequence[Balance]]) -> None:
    # The hold may be granted after its caller has gone: only when its answer is in is there something to give back.
    await asyncio.wait([asked])
    if asked.cancelled() or isinstance(asked.exception(), BudgetExceededError):
        return
    await _tell(sheet, id, 0, 0)


async def _write(
    sheets: tuple[Sheet, ...], id: str | None, settled: int, uncertain: int, before: asyncio.Task[None] | None
) -> None:
    if before is not None:
        await asyncio.wait([before])
    for sheet in sheets:
        await _tell(sheet, id, settled, uncertain)


async def _tell(sheet: Sheet, id: str | None, settled: int, uncertain: int) -> None:
    try:
        if id is None:  # a correction: a reservation of nothing, settled at the difference
            id = uuid4().hex
            await sheet.ledger.hold(id, [Tally(tally.name) for tally in sheet.tallies], 0)
        sheet.see(await sheet.ledger.settle(id, sheet.tallies, settled, uncertain))
    except Exception as error:  # noqa: BLE001 - the call has its answer; what was reserved stays so in the ledger
        logger.warning("a ledger could not be told what an attempt cost (%s)", type(error).__qualname__)
