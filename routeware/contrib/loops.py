"""Objects that belong to one event loop: connections and timers stay on the loop that they were made on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Generic, TypeVar

from routeware.errors import LedgerUnavailableError

__all__ = ["PerLoop", "answered", "late"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """The object of the running loop. Those of closed loops are dropped.

    Weak references would not do that: a timer or a connection keeps its loop alive.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        """Call ``make`` for each loop that asks for its own."""
        self._make = make
        self._all: dict[asyncio.AbstractEventLoop, T] = {}

    def here(self) -> T:
        """Return the running loop's, and make it if there is none."""
        loop = asyncio.get_running_loop()
        found = self._all.get(loop)
        if found is None:
            for other in [other for other in self._all if other.is_closed()]:
                self._all.pop(other, None)
            found = self._all[loop] = self._make()
        return found

    def find(self) -> T | None:
        """Return the running loop's, if it has one."""
        return self._all.get(asyncio.get_running_loop())

    def pop(self) -> T | None:
        """Return the running loop's, if it has one, and forget it."""
        return self._all.pop(asyncio.get_running_loop(), None)


async def answered(answer: asyncio.Future[T], timeout_s: float, where: str) -> T:
    """Wait for ``answer``, at most ``timeout_s``.

    One timer, and nothing is cancelled by it: ``asyncio.timeout`` costs three times as much, twice for every attempt.

    Raises:
        LedgerUnavailableError: it did not come in time; it names ``where``.
    """
    # In an empty context: a cancelled timer stays in the loop until its time, and its context with it.
    timer = answer.get_loop().call_later(timeout_s, _give_up, answer, timeout_s, where, context=Context())
    try:
        return await answer
    finally:
        timer.cancel()


def late(timeout_s: float, where: str) -> LedgerUnavailableError:
    """Build the error of a ledger that takes too long."""
    return LedgerUnavailableError(f"{where} did not answer within {timeout_s:g} s")


def _give_up(answer: asyncio.Future[T], timeout_s: float, where: str) -> None:
    if not answer.done():
        answer.set_exception(late(timeout_s, where))
