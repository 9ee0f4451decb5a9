"""The thread that asks a ledger's file. Questions that wait for the file share one transaction.

A transaction costs far more than what is asked in it: it takes the lock and writes to the log. So while one runs,
questions queue up, and the next one answers all of them (a database's group commit).
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from routeware.contrib.receipts import Receipts
from routeware.contrib.sqlite_file import LedgerFile
from routeware.errors import BudgetExceededError, PolicyError

__all__ = ["LedgerThread"]

T = TypeVar("T")

_TOGETHER = 100
"""The most questions in one transaction: other processes wait for the lock meanwhile."""
_TO_FORGET = 200
"""The most ids that one transaction acknowledges."""
_LEAVE_MS = 500
"""The time that closing may wait for the file's lock, to say what may be forgotten."""

_REFUSALS = (BudgetExceededError, PolicyError, OverflowError)
"""Answers, too: a question is refused before it has changed anything."""


class _Asked(NamedTuple):
    """A question and where its answer is awaited, until ``until`` on the monotonic clock."""

    question: Callable[[LedgerFile], Any]
    until: float
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class LedgerThread:
    """One thread, with a connection of its own."""

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
        except Exception as error:  # noqa: BLE001 - as above
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
