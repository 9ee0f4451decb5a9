"""What one attempt has set aside: held before it starts, settled once when it has ended, corrected afterwards.

What is kept elsewhere is asked for in tasks of their own, because a request that is on its way cannot be called back:
a hold that nobody waits for any more is given back when its answer is in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import uuid4

from routeware.budget.account import LOCK, reserve
from routeware.budget.book import Book
from routeware.budget.message import Message
from routeware.budget.sheet import Sheet
from routeware.errors import BudgetExceededError, LedgerUnavailableError

__all__ = ["Reservation"]

logger = logging.getLogger("routeware")


class _Asked:
    """What remote ledgers were asked to hold: under which id, and which of them are away and are done without."""

    __slots__ = ("id", "locally")

    def __init__(self, id: str) -> None:
        self.id = id
        self.locally: list[Sheet] = []


class Reservation:
    """What one attempt has set aside in a book; settled once, corrected afterwards.

    Attributes:
        held: what is set aside now, in nano-dollars.
        settled: what it was settled at.
        uncertain: what was booked as uncertain.
    """

    __slots__ = ("_asked", "_book", "_posted", "held", "settled", "uncertain")

    def __init__(self, book: Book) -> None:
        self._book = book
        self._asked: _Asked | None = None
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
        with LOCK:
            reserve(book.entries if cap is None else book.capped_entries(cap), nanos)
        self.held = nanos

    async def hold_remotely(self, nanos: int, cap: int | None = None) -> None:
        """Set ``nanos`` aside in the remote ledgers too, outermost first; give all back where one refuses.

        A ledger that cannot be reached is done without where its sessions have a stopgap.

        Raises:
            BudgetExceededError: a limit would be passed.
            LedgerUnavailableError: a ledger could not be asked.
        """
        self._asked = mine = _Asked(uuid4().hex)
        asked: list[tuple[Sheet, asyncio.Task[None]]] = []
        task: asyncio.Task[None]
        try:
            for sheet in self._book.sheets:
                tallies = sheet.capped(self._book.account, cap)
                task = asyncio.get_running_loop().create_task(sheet.hold(mine.id, tallies, nanos))
                asked.append((sheet, task))
                await asyncio.wait([task])
                try:
                    task.result()
                except LedgerUnavailableError:
                    if not sheet.stopgaps:
                        raise
                    sheet.hold_locally(tallies, nanos)
                    mine.locally.append(sheet)
                else:
                    if sheet.stopgaps and sheet.stopgaps[0].owes:
                        self._post_one(sheet.stopgaps[0].catch_up())
        except BaseException:
            self._forget(nanos)
            for sheet, task in asked:
                self._post_one(_give_back(self._book, task, Message(sheet, mine.id, 0, 0)))
            raise
        finally:
            # A task keeps the error that it raised, whose traceback keeps this frame: nobody would free either.
            del asked, task

    def settle(self, settled: int, uncertain: int) -> None:
        """Replace what is held by what it cost. Where it has been settled before, correct that to this."""
        more_settled, more_uncertain = settled - self.settled, uncertain - self.uncertain
        held, self.held, self.settled, self.uncertain = self.held, 0, settled, uncertain
        with LOCK:
            for account, _ in self._book.entries:
                account.reserved -= held
                account.settled += more_settled
                account.uncertain += more_uncertain
        if self._book.sheets:
            self._post(held, more_settled, more_uncertain)

    def _post(self, held: int, settled: int, uncertain: int) -> None:
        before, mine, self._asked = self._posted, self._asked, None
        if mine is None:
            if not settled and not uncertain:
                return
            mine = _Asked(uuid4().hex)  # a correction
        for sheet in mine.locally:
            sheet.change_locally(-held, settled, uncertain)
        messages = [
            Message(sheet, mine.id, settled, uncertain, untold=sheet in mine.locally) for sheet in self._book.sheets
        ]
        self._posted = self._post_one(_deliver(self._book, messages, before))

    def _post_one(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # The call is torn down by the garbage collector, its loop is gone: the ledger's lease has to end it.
            coroutine.close()
            logger.warning("a ledger could not be told what an attempt cost (the loop is closed)")
            return None
        task = loop.create_task(coroutine)
        self._book.keep(task)
        return task

    def _forget(self, nanos: int) -> None:
        self.held = 0
        mine, self._asked = self._asked, None
        with LOCK:
            for account, _ in self._book.entries:
                account.reserved -= nanos
        for sheet in mine.locally if mine is not None else ():
            sheet.change_locally(-nanos, 0, 0)


async def _give_back(book: Book, asked: asyncio.Task[None], message: Message) -> None:
    # The hold may be granted after its caller has gone: only when its answer is in is there something to give back.
    await asyncio.wait([asked])
    if asked.cancelled() or isinstance(asked.exception(), BudgetExceededError):
        return
    await _deliver(book, [message], None)


async def _deliver(book: Book, messages: Sequence[Message], before: asyncio.Task[None] | None) -> None:
    """Send ``messages``, once; what does not arrive is sent again by a task that the session waits for."""
    if before is not None:
        await asyncio.wait([before])
    if len(messages) == 1:
        await _send(book, messages[0])
    else:
        await asyncio.wait([asyncio.ensure_future(_send(book, message)) for message in messages])


async def _send(book: Book, message: Message) -> None:
    if not await message.send():
        task = asyncio.get_running_loop().create_task(message.insist())
        book.insist(task, message)
