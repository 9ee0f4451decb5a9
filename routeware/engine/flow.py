"""The facts of an attempt that streams: its first item, how many were read, and what its items say of their end."""

from __future__ import annotations

import asyncio
from typing import Any

from routeware.engine.handover import Handover

__all__ = ["Flow"]

_NONE: Any = object()


class Flow:
    """One attempt's items. Assigned here only.

    Attributes:
        landed: done when the attempt has answered or ended, whichever comes first.
        handover: what it hands its reader.
        held: items before the first one that counts.
        answered_at: when the first item that counts was there, on the loop's clock; ``None`` before.
        items: how many items its reader has got.
        has_items: True if an item came, held back or not.
        is_complete: True if an item said that the answer is complete.
        ended_itself: True if the generator ended without being cut off and without an error.
        last_sign: when the provider last gave a sign of life, on the loop's clock.
    """

    __slots__ = (
        "_before_last",
        "_first",
        "_last",
        "_loop",
        "answered_at",
        "ended_itself",
        "handover",
        "has_items",
        "held",
        "is_complete",
        "items",
        "landed",
        "last_sign",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.landed: asyncio.Future[None] = loop.create_future()
        self.handover = Handover(loop)
        self.held: list[Any] = []
        self.answered_at: float | None = None
        self.items = 0
        self.has_items = self.is_complete = self.ended_itself = False
        self.last_sign = 0.0
        self._first: Any = _NONE
        self._last: Any = _NONE
        self._before_last: Any = _NONE

    def come(self, item: Any) -> None:
        """Take note of an item. The first, the last and the last but one are kept: APIs put their usage there."""
        if not self.has_items:
            self.has_items = True
            self._first = item
        else:
            self._before_last = self._last
            self._last = item

    def hold(self, item: Any) -> None:
        """Hold an item back until one counts."""
        self.held.append(item)

    def complete(self) -> None:
        """Take note that the API has said that the answer is complete."""
        self.is_complete = True

    def answer(self, now: float) -> None:
        """Take note of the first item that counts, and hand over what was held back, in order."""
        self.answered_at = now
        held, self.held = self.held, []
        self.handover.fill(held)
        self.land()

    def land(self) -> None:
        """Wake whoever waits for the attempt to answer or to end."""
        if not self.landed.done():
            self.landed.set_result(None)

    def end_itself(self) -> None:
        """Take note that the generator ended by itself."""
        self.ended_itself = True

    def sign(self) -> None:
        """Take note of a sign of life: the wait for the next item begins anew."""
        self.last_sign = self._loop.time()

    def count(self) -> None:
        """Take note that its reader has got an item."""
        self.items += 1

    @property
    def samples(self) -> list[Any]:
        """The items that may hold usage, in order."""
        return [item for item in (self._first, self._before_last, self._last) if item is not _NONE]

    def forget(self) -> None:
        """Hold no item any more."""
        self._first = self._last = self._before_last = _NONE
        self.held = []
        self.handover.drop()
