"""A ledger in a file: the processes of one host share it, and it outlives them. It needs no server.

SQLite (the standard library's) is asked in a thread of its own, so that a disk or a lock never keeps the event loop.
Every transaction begins with the write lock (``BEGIN IMMEDIATE``), so no other process changes a sum between check and
hold; questions that wait for the file share one. The write-ahead log keeps what was committed when a process is killed
at any moment.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from routeware.budget import Balance, Tally
from routeware.contrib.kept import Change, Kept, check_name
from routeware.contrib.leases import Leases
from routeware.contrib.loops import answered
from routeware.contrib.receipts import REPEAT_S, Receipts, known_s
from routeware.contrib.sqlite_file import LedgerFile
from routeware.contrib.sqlite_tables import connect
from routeware.contrib.sqlite_thread import LedgerThread
from routeware.errors import BudgetExceededError, LedgerUnavailableError, PolicyError

__all__ = ["SqliteLedger"]

T = TypeVar("T")


class SqliteLedger:
    """A ledger in the file at ``path``, which is made where there is none.

    One object may serve all sessions of a process, on any event loop. Use it with ``async with``, or call
    :meth:`aclose`; sums stay in the file. Not for network file systems: SQLite's locks do not hold there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout_s: float = 5.0,
        lease_s: float = 60.0,
        expire_s: float | None = None,
        repeat_s: float = REPEAT_S,
        create: bool = True,
    ) -> None:
        """Make a ledger that opens its file when it is first asked.

        Args:
            path: the file; SQLite keeps two more next to it, with ``-wal`` and ``-shm`` after its name.
            timeout_s: how long a request may take, locks of other processes included.
            lease_s: how long a reservation stays reserved after its process was killed; then it becomes uncertain.
            expire_s: how long after its first use a tally is forgotten, with its limit; ``None`` for never.
            repeat_s: how long a settlement that had no answer is repeated. The file knows ids for twice as long,
                unless they are acknowledged.
            create: True to make the file where there is none.

        Raises:
            PolicyError: a time that is none.
        """
        for key, value in {"timeout_s": timeout_s, "lease_s": lease_s, "expire_s": expire_s}.items():
            if value is not None and not value > 0:
                raise PolicyError(f"{value!r} is not a time above 0", key=key)
        self.path = os.fspath(path)
        self._receipts = Receipts(repeat_s)
        self._timeout_s = timeout_s
        self._connect = partial(connect, self.path, timeout_s, create=create)
        self._file = partial(LedgerFile, lease_s=lease_s, life_s=expire_s, known_s=known_s(repeat_s))
        self._leases = Leases(self._renew, lease_s / 3)
        self._pid = 0
        self._thread: LedgerThread | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let the file and the thread go; asked again, the ledger opens again."""
        await self._leases.stop()
        thread, self._thread = self._thread, None
        if thread is not None and self._pid == os.getpid():
            await thread.aclose()

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally``, or go on with it, and return its balance.

        Raises:
            PolicyError: it was opened with another limit (names both), or with one that does not fit in 64 bits.
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        check_name(tally.name)
        return await self._ask(lambda file: file.open_tally(tally))

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none, until it is settled or this process is gone.

        Raises:
            BudgetExceededError: a limit would be passed; equality fits.
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        balances = await self._ask_about(id, tallies, lambda file: file.hold(id, tallies, nanos))
        self._leases.add(id)
        return balances

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds, if anything, by what it cost; once per ``id``.

        Raises:
            LedgerUnavailableError: the file cannot be read or written, or not in time.
            RoutewareError: it had no answer for ``repeat_s``, and is not repeated any more.
        """
        held = self._leases.discard(id)
        self._receipts.allow(id)
        balances = await self._ask_about(id, tallies, lambda file: file.settle(id, tallies, settled, uncertain))
        # Not a moment earlier: a caller that is cancelled while it waits has no answer, and may ask again.
        self._receipts.answered(id, held=held)
        return balances

    async def set_limit(self, tally: Tally, /) -> Balance:
        """Give ``tally`` its limit for all who share the name; another one than it had is written to its history.

        Raises:
            PolicyError: the limit does not fit in 64 bits.
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        check_name(tally.name)
        return await self._ask(lambda file: file.set_limit(tally))

    async def release_uncertain(self, name: str, /) -> Balance:
        """Take what is uncertain under ``name`` off its sum, and write that to its history.

        Raises:
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        check_name(name)
        return await self._ask(lambda file: file.release(name))

    async def history(self, name: str, /) -> list[Change]:
        """Return what was changed by hand under ``name``, the oldest first; at most the last 100 changes.

        Raises:
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        check_name(name)
        return await self._ask(lambda file: file.history(name))

    async def kept(self, name: str | None = None) -> list[Kept]:
        """Return the tally called ``name``, or all of the file, by name.

        Raises:
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        check_name(name or "")
        return await self._ask(lambda file: file.kept(name))

    async def _renew(self, ids: list[str]) -> None:
        await self._ask(lambda file: file.renew(ids))

    async def _ask_about(self, id: str, tallies: Sequence[Tally], question: Callable[[LedgerFile], T]) -> T:
        for tally in tallies:
            check_name(tally.name)
        try:
            return await self._ask(question)
        except BudgetExceededError:
            raise
        except BaseException:
            self._receipts.unanswered(id)
            raise

    async def _ask(self, question: Callable[[LedgerFile], T]) -> T:
        answer = self._opened().ask(question, time.monotonic() + self._timeout_s)
        try:
            return await answered(answer, self._timeout_s, self.path)
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailableError(f"{self.path}: {error}") from error

    def _opened(self) -> LedgerThread:
        # A forked process has neither its parent's thread nor the right to use its connection.
        if self._thread is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._thread = LedgerThread(self._connect, self._file, self._receipts)
        return self._thread
