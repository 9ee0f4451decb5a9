"""A ledger in a file: the processes of one host share it, and it outlives them. It needs no server.

SQLite (the standard library's) is asked in a thread of its own, so that a disk or a lock never keeps the event loop.
Every request is one transaction that begins with the write lock (``BEGIN IMMEDIATE``): nobody changes a sum between
the check and the hold. The write-ahead log keeps what was committed when a process is killed at any moment.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from routeware.budget import Balance, Tally
from routeware.contrib.kept import Kept
from routeware.contrib.leases import Leases
from routeware.contrib.sqlite_file import LedgerFile
from routeware.errors import LedgerUnavailableError

__all__ = ["SqliteLedger"]

T = TypeVar("T")


class SqliteLedger:
    """A ledger in the file at ``path``, which is made where there is none.

    One object may serve all sessions of a process, on any event loop. Use it with ``async with``, or call
    :meth:`aclose`; sums stay in the file. Not for network file systems: SQLite's locks do not hold there.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, timeout_s: float = 5.0, lease_s: float = 60.0, create: bool = True
    ) -> None:
        """A ledger that is opened when it is first asked.

        Args:
            path: the file; two more of its name with ``-wal`` and ``-shm`` stand beside it.
            timeout_s: how long a request may take, locks of other processes included.
            lease_s: how long a reservation stays reserved after its process was killed; then it becomes uncertain.
            create: whether to make the file where there is none.
        """
        self.path = os.fspath(path)
        self._timeout_s = timeout_s
        self._lease_s = lease_s
        self._create = create
        self._leases = Leases(self._renew, lease_s / 3)
        self._pid = 0
        self._thread: ThreadPoolExecutor | None = None
        self._file: LedgerFile | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let the file and the thread go; asked again, the ledger opens again."""
        await self._leases.stop()
        thread, file, self._thread, self._file = self._thread, self._file, None, None
        if thread is not None and file is not None and self._pid == os.getpid():
            await asyncio.wrap_future(thread.submit(file.close))
            thread.shutdown(wait=False)

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally``, or go on with it, and say what it stands at.

        Raises:
            PolicyError: it was opened with another limit (names both), or with one that does not fit in 64 bits.
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        return await self._ask(lambda file: file.open_tally(tally))

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none, until it is settled or this process is gone.

        Raises:
            BudgetExceededError: a limit would be passed; equality fits.
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        balances = await self._ask(lambda file: file.hold(id, tallies, nanos, self._lease_s))
        self._leases.add(id)
        return balances

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds, if anything, by what it cost; once per ``id``.

        Raises:
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        self._leases.discard(id)
        return await self._ask(lambda file: file.settle(id, tallies, settled, uncertain))

    async def kept(self) -> list[Kept]:
        """All tallies of the file, by name.

        Raises:
            LedgerUnavailableError: the file cannot be read or written, or not in time.
        """
        return await self._ask(lambda file: file.kept())

    async def _renew(self, ids: list[str]) -> None:
        await self._ask(lambda file: file.renew(ids, self._lease_s))

    async def _ask(self, question: Callable[[LedgerFile], T]) -> T:
        thread, file = self._opened()
        try:
            async with asyncio.timeout(self._timeout_s):
                until = time.monotonic() + self._timeout_s
                return await asyncio.wrap_future(thread.submit(file.transact, question, until))
        except TimeoutError as error:
            raise LedgerUnavailableError(f"{self.path} did not answer within {self._timeout_s:g} s") from error
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailableError(f"{self.path}: {error}") from error

    def _opened(self) -> tuple[ThreadPoolExecutor, LedgerFile]:
        # A forked process has neither its parent's thread nor the right to use its connection.
        if self._thread is None or self._file is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="routeware-sqlite")
            self._file = LedgerFile(self.path, self._timeout_s, create=self._create)
        return self._thread, self._file
