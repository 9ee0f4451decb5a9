"""All that a charge in one session is written to, and whom leaving the session waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from routeware.budget.account import Account
from routeware.budget.counts import Counts, Ended
from routeware.budget.message import Message
from routeware.budget.sheet import Sheet, lesser

__all__ = ["NOWHERE", "Book"]

_LAST_WORDS_S = 0.5
"""How long messages that are given up may take for their last try."""


class Book:
    """All that a charge in one session is written to: its own account and those of the sessions around it.

    Attributes:
        entries: accounts of this process with their limits, outermost first.
        sheets: what remote ledgers keep, outermost first.
        account: the innermost session's own account.
        capped: whether any of them has a limit.
        reserving: whether attempts have to reserve: under a cap, and wherever others count in the same ledger.
        counts: the calls and attempts of this session and of those inside it.
    """

    __slots__ = (
        "_around",
        "_chores",
        "_closed",
        "_messages",
        "account",
        "capped",
        "counts",
        "entries",
        "reserving",
        "sheets",
    )

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
        self.counts = Counts()
        self._around = around
        self._closed = False
        self._messages: dict[asyncio.Future[Any], Message] = {}
        self._chores: dict[asyncio.Future[Any], Callable[[], None] | None] = {}

    def capped_entries(self, cap: int) -> list[tuple[Account, int | None]]:
        """The entries, the innermost session's under ``cap`` as well as under its own limit."""
        return [
            (account, limit if account is not self.account else lesser(limit, cap)) for account, limit in self.entries
        ]

    def note(self, outcome: str, attempts: Sequence[Ended]) -> None:
        """Count a call that has ended, here and in the sessions around."""
        book: Book | None = self
        while book is not None:
            book.counts.add(outcome, attempts)
            book = book._around

    def keep(self, task: asyncio.Future[Any], give_up: Callable[[], None] | None = None) -> None:
        """Have this session, and those around it, wait for ``task`` on leaving.

        Args:
            task: a straggler, or a message to a ledger.
            give_up: called where it does not end in time, to book what it may cost.
        """
        book: Book | None = self
        while book is not None:
            book._add(task, give_up)
            book = book._around

    def insist(self, task: asyncio.Future[Any], message: Message) -> None:
        """Likewise for a message that did not arrive: only the outermost session gives it up, at once if left."""
        book = self
        while book._around is not None:
            if not message.untold:
                book._add(task, None)
            book = book._around
        if book._closed:
            message.give_up()
        messages = book._messages
        messages[task] = message
        task.add_done_callback(lambda done: messages.pop(done, None))

    async def drain(self, patience_s: float) -> int:
        """Wait for all that is kept, at most ``patience_s``, then give it up; how many attempts that were."""
        until = asyncio.get_running_loop().time() + patience_s
        for message in self._messages.values():
            if message.untold:
                message.give_up()
        try:
            while (kept := [*self._chores, *self._messages]) and (
                left := until - asyncio.get_running_loop().time()
            ) > 0:
                await asyncio.wait(kept, timeout=left)
        finally:
            # Also where the wait is cancelled: otherwise a message would be repeated for ever.
            self._closed = True
            given_up = [give_up for give_up in self._chores.values() if give_up is not None]
            for give_up in given_up:
                give_up()
            for message in self._messages.values():
                message.give_up()
        if self._messages:
            await asyncio.wait(list(self._messages), timeout=_LAST_WORDS_S)
        return len(given_up)

    def _add(self, task: asyncio.Future[Any], give_up: Callable[[], None] | None) -> None:
        chores = self._chores
        chores[task] = give_up
        task.add_done_callback(lambda done: chores.pop(done, None))


NOWHERE = Book(Account(None), (), (), None, False)
"""Where a call outside of any session is booked: its own cap still needs reservations."""
