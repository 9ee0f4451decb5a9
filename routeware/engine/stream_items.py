"""The items of an attempt that streams: handed over one at a time, and what they tell of its answer and its end.

The generator goes on only when the reader asks: nothing is made ahead, so a slow reader holds its provider back, and an
object that the provider reuses is not changed in the reader's hands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from routeware.engine.waiting import is_due, wait_for_all
from routeware.pricing.chunks import finish_reasons

__all__ = ["Flow"]

_NONE: Any = object()


@attrs.define(eq=False, repr=False, weakref_slot=False)
class Flow:
    """One attempt's items, on their way from the task that makes them to the one that reads them."""

    _loop: asyncio.AbstractEventLoop
    held: list[Any] = attrs.field(init=False, factory=list)  # items before the first one that counts
    # when the first item that counts was there, on the loop's clock; ``None`` before
    answered_at: float | None = attrs.field(init=False, default=None)
    has_items: bool = attrs.field(init=False, default=False)  # True if an item came, held back or not
    is_complete: bool = attrs.field(init=False, default=False)  # True if an item said that the answer is complete
    # True if the generator ended by itself, and nothing says that its answer was cut short
    ended_itself: bool = attrs.field(init=False, default=False)
    last_sign: float = attrs.field(init=False, default=0.0)  # when the provider last gave a sign of life
    # the last two items but the first: APIs put their usage there
    recent: deque[Any] = attrs.field(init=False, factory=lambda: deque(maxlen=2))
    ready: deque[Any] = attrs.field(init=False, factory=deque)  # the items that are there to be taken
    take: Callable[[], Any] = attrs.field(init=False)  # takes the next of them; no method, for it is called per item
    is_closed: bool = attrs.field(init=False, default=False)  # True if no further item will come
    _first: Any = attrs.field(init=False, default=_NONE)
    _final: Any = attrs.field(init=False, default=_NONE)
    _reports: tuple[object, ...] = attrs.field(init=False, default=())
    _given: int = attrs.field(init=False, default=0)
    _maker: asyncio.Future[None] | None = attrs.field(init=False, default=None)
    _reader: asyncio.Future[None] | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.take = self.ready.popleft

    # What they tell.

    def come(self, item: Any) -> None:
        """Take note of an item that may be the first one, and hold it back."""
        if not self.has_items:
            self.has_items = True
            self._first = item
        else:
            self.recent.append(item)
        self.held.append(item)

    def complete(self, item: Any) -> None:
        """Take note of the item by which the API says that the answer is complete."""
        self.is_complete = True
        self._final = item

    def tell(self, reply: object) -> None:
        """Take a report: a sign of life, and one of the last may tell why the model stopped."""
        self.sign()
        self._reports = (*self._reports[-1:], reply)

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """The model's reasons for stopping, by the first of its last items and reports that has any."""
        for one in (self._final, *reversed(self.recent), self._first, *reversed(self._reports)):
            reasons = finish_reasons(one)
            if reasons:
                return reasons
        return ()

    def end_itself(self) -> None:
        """Take note that the generator ended by itself, with nothing missing."""
        self.ended_itself = True

    def sign(self) -> None:
        """Take note of a sign of life: the wait for the next item begins anew."""
        self.last_sign = self._loop.time()

    @property
    def samples(self) -> list[Any]:
        """The items that may hold usage, in order."""
        return [*self.recent] if self._first is _NONE else [self._first, *self.recent]

    def forget(self) -> None:
        """Hold no item any more, but what its reader has not taken yet."""
        self._first = self._final = _NONE
        self.recent.clear()
        self._reports = ()
        self.held = []

    # The maker's side.

    def answer(self, now: float) -> None:
        """Take note of the first item that counts, and hand over what was held back, in order."""
        self.answered_at = now
        held, self.held = self.held, []
        self.ready.extend(held)
        self._given += len(held)
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
    def items(self) -> int:
        """The number of items that the reader has got."""
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
