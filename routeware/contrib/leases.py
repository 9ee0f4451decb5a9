"""Leases tell a reservation whose process was killed from one that is still running.

A ledger that outlives its processes cannot tell by itself. So a reservation there is good for a while only, and the
process that holds it renews it, until it settles it. When a lease ends, what it held becomes uncertain: it may have
been spent, and no process is left that knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from routeware.contrib.loops import PerLoop
from routeware.errors import LedgerUnavailableError

__all__ = ["Leases"]

logger = logging.getLogger("routeware")


class Leases:
    """The reservations that this process has in one ledger, renewed while they last.

    They are kept for each event loop: a loop that has ended renews nothing. While nothing is held, no timer is armed.
    """

    def __init__(self, renew: Callable[[list[str]], Awaitable[None]], every_s: float) -> None:
        """Call ``renew`` with the ids of what is held, every ``every_s`` seconds."""
        self._rounds = PerLoop(lambda: _Round(renew, every_s))

    def add(self, id: str) -> None:
        """Renew ``id`` from now on."""
        self._rounds.here().add(id, asyncio.get_running_loop())

    def discard(self, id: str) -> bool:
        """Stop renewing ``id``, and return True if it was renewed on this loop."""
        one = self._rounds.find()
        return one is not None and one.discard(id)

    async def stop(self) -> None:
        """Stop renewing on this loop: what is still held there becomes uncertain when its lease ends."""
        one = self._rounds.pop()
        if one is not None:
            await one.stop()


class _Round:
    """The leases of one event loop."""

    def __init__(self, renew: Callable[[list[str]], Awaitable[None]], every_s: float) -> None:
        self._renew = renew
        self._every_s = every_s
        self._ids: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, id: str, loop: asyncio.AbstractEventLoop) -> None:
        self._ids[id] = None
        if self._timer is None and self._task is None:
            self._timer = loop.call_later(self._every_s, self._go, loop)

    def discard(self, id: str) -> bool:
        known = id in self._ids
        self._ids.pop(id, None)
        if not self._ids:
            self._disarm()
        return known

    async def stop(self) -> None:
        self._ids.clear()
        self._disarm()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._task = loop.create_task(self._once(loop))

    async def _once(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            await self._renew(list(self._ids))
        except LedgerUnavailableError:
            # Tried again in time: a lease lasts for three rounds.
            logger.debug("the leases of %d reservations could not be renewed", len(self._ids))
        finally:
            self._task = None
            if self._ids:
                self._timer = loop.call_later(self._every_s, self._go, loop)
