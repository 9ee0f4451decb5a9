"""One thing for each event loop: timers and connections belong to the loop that they were made on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """What was made for the running loop. What was made for loops that are closed is forgotten.

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
