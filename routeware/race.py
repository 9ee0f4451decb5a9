"""Tasks and timers: how attempts are watched, cut off and waited for. Nothing here knows what they are for.

A race is watched with :func:`asyncio.wait`, which never raises the errors of the tasks it watches and never eats a
cancellation of the task that waits. Awaiting somebody else's task under ``suppress(CancelledError)`` does both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

__all__ = ["CLEANUP_GRACE_S", "Alarm", "adopt", "is_due", "reap", "watch"]

CLEANUP_GRACE_S = 0.25
"""How long, together, tasks that were cut off may take to clean up before the call goes on without them."""

# Timers ring up to the resolution of the loop's clock early; sums of floats are off by less.
_EARLY_S = 1e-6

# Tasks that outlived their call: the loop itself keeps only weak references.
_adopted: set[asyncio.Future[Any]] = set()


def is_due(moment: float | None, now: float) -> bool:
    """Whether ``moment``, on the loop's clock, has come."""
    return moment is not None and moment <= now + _EARLY_S


def adopt(task: asyncio.Future[Any]) -> None:
    """Keep a task alive until it ends by itself; one of a closed loop never will."""
    if task.get_loop().is_closed():
        return
    _adopted.add(task)
    task.add_done_callback(_adopted.discard)


def watch(tasks: Collection[asyncio.Task[None]], left_s: float | None) -> Coroutine[Any, Any, Any]:
    """To be awaited: until one of ``tasks`` has ended, or for ``left_s``."""
    return asyncio.wait(
        tasks, timeout=left_s if left_s is None or left_s > 0 else 0, return_when=asyncio.FIRST_COMPLETED
    )


async def reap(tasks: Collection[asyncio.Future[Any]], until: float) -> asyncio.CancelledError | None:
    """Wait until all ``tasks`` have ended, or until the moment ``until`` on the loop's clock.

    Returns:
        A cancellation of the caller that came meanwhile. It is not raised here, because those tasks have to be
        waited for all the same; who calls has to raise it. It is a new one: the one that came keeps this frame alive.
    """
    loop = asyncio.get_running_loop()
    cancellation = None
    while (running := [task for task in tasks if not task.done()]) and not is_due(until, loop.time()):
        try:
            await asyncio.wait(running, timeout=until - loop.time())
        except asyncio.CancelledError as error:
            cancellation = asyncio.CancelledError(*error.args)
    return cancellation


class Alarm:
    """One timer for a whole call, that cancels the task it was made in. It is moved, not made anew.

    Making and cancelling a timer costs as much as the rest of a call. So a timer that is armed too early is left: when
    it rings it finds out that it was moved, and is armed again.
    """

    due: float | None = None
    _handle: asyncio.Handle | None = None
    _armed: float = 0.0
    rang: bool = False

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        self._loop = loop
        self._task: asyncio.Task[Any] | None = task

    def move(self, due: float | None) -> None:
        """Ring at ``due`` on the loop's clock instead; ``None``: not at all."""
        self.due = due
        if due is None:
            return
        if self._handle is None:
            self._armed = due
            self._handle = self._loop.call_at(due, self._ring)
        elif due < self._armed:
            self._handle.cancel()
            self._arm(due)

    def off(self) -> None:
        """Leave nothing armed, and let go of the task: it may keep an error alive that keeps this alive."""
        self._task = None
        handle = self._handle
        if handle is not None:
            self.due = self._handle = None
            handle.cancel()

    def take_back(self) -> bool:
        """Whether it rang since it was last moved; its cancellation is no longer counted in the task then."""
        self.due = None
        if not self.rang:
            return False
        self.rang = False
        if self._task is not None:
            self._task.uncancel()
        return True

    def _arm(self, due: float) -> None:
        self._armed = due
        self._handle = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._handle = None
        if is_due(self.due, self._loop.time()):
            # One turn of the loop later: an answer that is there in this very turn goes first.
            self._armed = self._loop.time()
            self._handle = self._loop.call_soon(self._cut)
        elif self.due is not None:
            self._arm(self.due)

    def _cut(self) -> None:
        self._handle = None
        if self._task is not None and is_due(self.due, self._loop.time()):
            self.rang = True
            self.due = None
            self._task.cancel()
        elif self.due is not None:
            self._arm(self.due)
