"""The facts of an attempt that streams: its first item, how many were read, and what its items say of their end."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from routeware.engine.handover import Handover
from routeware.pricing.chunks import finish_reasons

__all__ = ["Flow"]

_NONE: Any = object()


class Flow:
    """One attempt's items. Assigned here only.

    Attributes:
        handover: what it hands its reader.
        held: items before the first one that counts.
        answered_at: when the first item that counts was there, on the loop's clock; ``None`` before.
        has_items: True if an item came, held back or not.
        recent: the last two items but the first: APIs put their usage there.
        is_complete: True if an item said that the answer is complete.
        ended_itself: True if the generator ended by itself, and nothing says that its answer was cut short.
        last_sign: when the provider last gave a sign of life, on the loop's clock.
    """

    __slots__ = (
        "_final",
        "_first",
        "_loop",
        "_reports",
        "answered_at",
        "ended_itself",
        "handover",
        "has_items",
        "held",
        "is_complete",
        "last_sign",
        "recent",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.handover = Handover(loop)
        self.held: list[Any] = []
        self.answered_at: float | None = None
        self.has_items = self.is_complete = self.ended_itself = False
        self.last_sign = 0.0
        self._first: Any = _NONE
        self.recent: deque[Any] = deque(maxlen=2)
        self._final: Any = _NONE
        self._reports: tuple[object, ...] = ()

    def come(self, item: Any) -> None:
        """Take note of an item that may be the first one."""
        if not self.has_items:
            self.has_items = True
            self._first = item
        else:
            self.recent.append(item)

    def hold(self, item: Any) -> None:
        """Hold an item back until one counts."""
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

    def answer(self, now: float) -> None:
        """Take note of the first item that counts, and hand over what was held back, in order."""
        self.answered_at = now
        held, self.held = self.held, []
        self.handover.fill(held)

    def end_itself(self) -> None:
        """Take note that the generator ended by itself, with nothing missing."""
        self.ended_itself = True

    def sign(self) -> None:
        """Take note of a sign of life: the wait for the next item begins anew."""
        self.last_sign = self._loop.time()

    @property
    def items(self) -> int:
        """The number of items that its reader has got."""
        return self.handover.taken

    @property
    def samples(self) -> list[Any]:
        """The items that may hold usage, in order."""
        return [*self.recent] if self._first is _NONE else [self._first, *self.recent]

    def forget(self) -> None:
        """Hold no item any more."""
        self._first = self._final = _NONE
        self.recent.clear()
        self._reports = ()
        self.held = []
