"""One maker, one reader, one item at a time. Knows nothing of what it hands over.

The maker goes on only when the reader asks: nothing is made ahead, so a slow reader holds its provider back, and an
object that the provider reuses is not changed in the reader's hands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from routeware.engine.timers import is_due, wait_for_all

__all__ = ["Handover"]


class Handover:
    """Items on their way from the task that makes them to the one that reads them.

    Attributes:
        ready: the items that are there to be taken.
        take: takes the next of them.
        is_closed: True if no further item will come.
    """

    __slots__ = ("_given", "_loop", "_maker", "_reader", "is_closed", "ready", "take")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.ready: deque[Any] = deque()
        self.take: Callable[[], Any] = self.ready.popleft  # not a method: it is called per item
        self._given = 0
        self._maker: asyncio.Future[None] | None = None
        self._reader: asyncio.Future[None] | None = None
        self.is_closed = False

    # The maker's side.

    def fill(self, items: Collection[Any]) -> None:
        """Hand over items for the reader to take."""
        self.ready.extend(items)
        self._given += len(items)
        self.wake_reader()

    def offer(self, item: Any) -> asyncio.Future[None]:
        """Hand over one item; give what is done when the reader asks for more."""
        self.ready.append(item)
        self._given += 1
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

    def ask(self) -> asyncio.Future[None] | None:
        """Ask for the next item: give what to wait for, ``None`` where nothing has to be waited for."""
        if self.ready or self.is_closed:
            return None
        maker = self._maker
        if maker is not None and not maker.done():
            maker.set_result(None)
        reader: asyncio.Future[None] = asyncio.Future(loop=self._loop)
        self._reader = reader
        return reader

    @property
    def is_awaited(self) -> bool:
        """True if the reader waits for an item."""
        return self._reader is not None and not self._reader.done()

    async def drain(self, seconds: float) -> asyncio.CancelledError | None:
        """Ask for everything that may still come, and drop it; give a cancellation of the caller that came meanwhile.

        Args:
            seconds: how long that may take.
        """
        until = self._loop.time() + seconds
        while not is_due(until, self._loop.time()):
            self.drop()
            waiter = self.ask()
            if waiter is None:
                break
            cancellation = await wait_for_all([waiter], until)
            if cancellation is not None:
                return cancellation
        return None

    # Either side.

    @property
    def taken(self) -> int:
        """The number of items that were taken."""
        return self._given - len(self.ready)

    def wake_reader(self) -> None:
        """Wake the reader, if it waits."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def close(self) -> None:
        """Take note that no further item will come; what is there can still be taken."""
        self.is_closed = True
        self.wake_reader()

    def drop(self) -> None:
        """Drop what is there: it has no reader."""
        self._given -= len(self.ready)
        self.ready.clear()
