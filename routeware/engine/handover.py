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
        ready: the items that are there to be taken.
        taken: how many were taken.
        is_closed: True if no further item will come.
    """

    __slots__ = ("_loop", "_maker", "_reader", "is_closed", "ready", "taken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.ready: deque[Any] = deque()
        self.taken = 0
        self._maker: asyncio.Future[None] | None = None
        self._reader: asyncio.Future[None] | None = None
        self.is_closed = False

    # The maker's side.

    def fill(self, items: Iterable[Any]) -> None:
        """Hand over items for the reader to take."""
        self.ready.extend(items)
        _wake(self._reader)

    def offer(self, item: Any) -> asyncio.Future[None]:
        """Hand over one item; give what is done when the reader asks for more."""
        self.ready.append(item)
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)
        maker: asyncio.Future[None] = asyncio.Future(loop=self._loop)  # create_future is one call more, per item
        self._maker = maker
        return maker

    def wanted(self) -> asyncio.Future[None]:
        """Give what is done when the reader asks for more than is there. To be asked for right after an item."""
        self._maker = maker = self._loop.create_future()
        return maker

    # The reader's side.

    def take(self) -> Any:
        """Take the next item that is there."""
        self.taken += 1
        return self.ready.popleft()

    def take_all(self) -> list[Any]:
        """Take everything that is there."""
        items = list(self.ready)
        self.ready.clear()
        return items

    def ask(self) -> asyncio.Future[None] | None:
        """Ask for the next item: give what to wait for, ``None`` where nothing has to be waited for."""
        if self.ready or self.is_closed:
            return None
        maker, reader = self._maker, self._reader
        if maker is not None and not maker.done():
            maker.set_result(None)
        if reader is not None and not reader.done():
            reader.set_result(None)  # of two that ask, the later one waits on
        self._reader = reader = asyncio.Future(loop=self._loop)
        return reader

    # Either side.

    def close(self) -> None:
        """Take note that no further item will come; what is there can still be taken."""
        self.is_closed = True
        _wake(self._reader)

    def drop(self) -> None:
        """Drop what is there: it has no reader."""
        self.ready.clear()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
