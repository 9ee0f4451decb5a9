"""A ledger in a file: the processes of one host share it, and it outlives them. It needs no server.

SQLite (the standard library's) is asked in a thread of its own, so that a disk or a lock never keeps the event loop.
Every transaction begins with the write lock (``BEGIN IMMEDIATE``), so no other process changes a sum between check and
hold; questions that wait for the file share one. The write-ahead log keeps what was committed when a process is killed
at any moment.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

from routeware.budget import Balance, Tally
from routeware.contrib.kept import Change, Kept, KeptLedger, check_name
from routeware.contrib.loops import answered
from routeware.contrib.receipts import REPEAT_S, Receipts, known_s
from routeware.contrib.sqlite_file import LedgerFile
from routeware.contrib.sqlite_tables import connect
from routeware.errors import BudgetExceededError, LedgerUnavailableError, PolicyError

__all__ = ["SqliteLedger"]

T = TypeVar("T")

_TOGETHER = 100
"""The most questions in one transaction: other processes wait for the lock meanwhile."""
_TO_FORGET = 200
"""The most ids that one transaction acknowledges."""
_LEAVE_MS = 500
"""The time that closing may wait for the file's lock, to say what may be forgotten."""

_REFUSALS = (BudgetExceededError, PolicyError, OverflowError)
"""Answers, too: a question is refused before it has changed anything."""


class SqliteLedger(KeptLedger):
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
        super().__init__(timeout_s=timeout_s, lease_s=lease_s, expire_s=expire_s, repeat_s=repeat_s)
        self.path = os.fspath(path)
        self._connect = partial(connect, self.path, timeout_s, create=create)
        self._file = partial(LedgerFile, lease_s=lease_s, life_s=expire_s, known_s=known_s(repeat_s))
        self._pid = 0
        self._thread: _LedgerThread | None = None

    async def aclose(self) -> None:
        """Let the file and the thread go; asked again, the ledger opens again."""
        await self.leases.stop()
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

    async def _hold(self, id: str, tallies: Sequence[Tally], nanos: int) -> Sequence[Balance]:
        return await self._ask(lambda file: file.hold(id, tallies, nanos))

    async def _settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int) -> Sequence[Balance]:
        return await self._ask(lambda file: file.settle(id, tallies, settled, uncertain))

    async def _ask(self, question: Callable[[LedgerFile], T]) -> T:
        answer = self._opened().ask(question, time.monotonic() + self.timeout_s)
        try:
            return await answered(answer, self.timeout_s, self.path)
        except (sqlite3.Error, OSError) as error:
            raise LedgerUnavailableError(f"{self.path}: {error}") from error

    def _opened(self) -> _LedgerThread:
        # A forked process has neither its parent's thread nor the right to use its connection.
        if self._thread is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._thread = _LedgerThread(self._connect, self._file, self.receipts)
        return self._thread


class _Asked(NamedTuple):
    """A question and where its answer is awaited, until ``until`` on the monotonic clock."""

    question: Callable[[LedgerFile], Any]
    until: float
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class _LedgerThread:
    """One thread, with a connection of its own. Questions that wait for the file share one transaction.

    A transaction costs far more than what is asked in it: it takes the lock and writes to the log. So while one runs,
    questions queue up, and the next one answers all of them (a database's group commit).
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        open_file: Callable[[sqlite3.Connection], LedgerFile],
        receipts: Receipts,
    ) -> None:
        """Make a thread that connects when it is first asked.

        Args:
            connect: opens the database.
            open_file: gives the answers over a connection.
            receipts: what the ledger may forget.
        """
        self._connect = connect
        self._open_file = open_file
        self._receipts = receipts
        self._connection: sqlite3.Connection | None = None
        self._file: LedgerFile | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="routeware-sqlite")
        self._lock = threading.Lock()
        self._waiting: list[_Asked] = []
        self._busy = False

    def ask(self, question: Callable[[LedgerFile], T], until: float) -> asyncio.Future[T]:
        """Ask ``question``, unless it is not its turn before ``until``."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._waiting.append(_Asked(question, until, answer, loop))
            idle, self._busy = not self._busy, True
        if idle:
            self._thread.submit(self._serve)
        return answer

    async def aclose(self) -> None:
        """Close the connection when all questions are answered, and end the thread."""
        closing = self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        await asyncio.wrap_future(closing)

    def _serve(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                self._busy = bool(batch)
            if not batch:
                return
            try:
                answers = self._answer(batch)
            except Exception as error:  # noqa: BLE001 - it is raised where the answers are awaited
                answers = [error] * len(batch)
            _hand_over(batch, answers)

    def _answer(self, batch: Sequence[_Asked]) -> list[Any]:
        try:
            return self._transact(batch)
        except sqlite3.Error:
            raise
        except Exception:
            # One of them failed in the middle, and took the others back with it. Each gets a transaction of its own.
            if len(batch) == 1:
                raise
            return [answer for asked in batch for answer in self._alone(asked)]

    def _alone(self, asked: _Asked) -> list[Any]:
        try:
            return self._transact([asked])
        except Exception as error:  # noqa: BLE001 - it is the answer to this question
            return [error]

    def _transact(self, batch: Sequence[_Asked]) -> list[Any]:
        """Answer all of ``batch`` in one transaction: all that they change, or nothing."""
        if self._file is None:
            self._connection = self._connect()
            self._file = self._open_file(self._connection)
        file, forget = self._file, self._receipts.take(_TO_FORGET)
        try:
            file.begin()
            try:
                file.sweep()
                answers = [_ask(file, asked) for asked in batch]
                file.forget(forget)
                file.commit()
            except BaseException:
                file.roll_back()
                raise
        except BaseException:
            self._receipts.put_back(forget)
            raise
        return answers

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if self._receipts.pending:
                connection.execute(f"PRAGMA busy_timeout = {_LEAVE_MS}")
                self._transact([])
        except sqlite3.Error:
            pass  # without the message, the file forgets it later by itself
        finally:
            connection.close()
            self._file = None


def _ask(file: LedgerFile, asked: _Asked) -> Any:
    if time.monotonic() > asked.until:
        return sqlite3.OperationalError("the lock was not free in time")
    try:
        return asked.question(file)
    except _REFUSALS as refusal:
        return refusal


def _hand_over(batch: Sequence[_Asked], answers: Sequence[Any]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for asked, answer in zip(batch, answers, strict=True):
        by_loop.setdefault(asked.loop, []).append((asked.answer, answer))
    for loop, pairs in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, pairs)
        except RuntimeError:
            continue  # its loop is closed, so no caller waits


def _resolve(pairs: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, answer in pairs:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
