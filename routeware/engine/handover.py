"""One maker, one reader, one item at a time. Knows nothing of what it hands over.

The maker goes on only when the reader asks: nothing is made ahead, so a slow reader holds its provider back, and an
object that the provider reuses is not changed in the reader's hands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

__all__ = ["Handover"]


class Handover:
    """Items on their way from the task that makes them to the one that reads them.

    Attributes:
        is_closed: True if no further item will come.
    """

    __slots__ = ("_asked", "_loop", "_maker", "_reader", "_ready", "is_closed")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready: deque[Any] = deque()
        self._maker: asyncio.Future[None] | None = None
        self._reader: asyncio.Future[None] | None = None
        self._asked = False
        self.is_closed = False

    # The maker's side.

    def fill(self, items: Iterable[Any]) -> None:
        """Hand over items for the reader to take."""
        self._ready.extend(items)
        _wake(self._reader)

    async def wanted(self) -> None:
        """Wait until the reader asks for more than is there."""
        while self._ready or not self._asked:
            self._maker = self._loop.create_future()
            try:
                await self._maker
            finally:
                self._maker = None
        self._asked = False

    # The reader's side.

    @property
    def has_item(self) -> bool:
        """True if an item is there to be taken."""
        return bool(self._ready)

    def take(self) -> Any:
        """Take the next item that is there."""
        return self._ready.popleft()

    def ask(self) -> asyncio.Future[None] | None:
        """Ask for the next item: give what to wait for, ``None`` where nothing has to be waited for."""
        if self._ready or self.is_closed:
            return None
        self._asked = True
        _wake(self._maker)
        self._reader = self._loop.create_future()
        return self._reader

    # Either side.

    def close(self) -> None:
        """Take note that no further item will come; what is there can still be taken."""
        self.is_closed = True
        _wake(self._reader)

    def drop(self) -> None:
        """Drop what is there: nobody will take it."""
        self._ready.clear()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
