"""Tasks and timers: how attempts are cut off and waited for. Nothing here knows what they are for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from typing import Any

__all__ = ["CLEANUP_GRACE_S", "ReusableTimeout", "is_due", "keep_alive", "let_go", "wait_for_all"]

CLEANUP_GRACE_S = 0.25
"""How long, together, tasks that were cut off may take to clean up before the call goes on without them."""

# Timers fire up to the resolution of the loop's clock early; sums of floats are off by less.
_EARLY_S = 1e-6

# Tasks that nothing else may refer to: the loop itself keeps only weak references.
_kept_alive: set[asyncio.Future[Any]] = set()


def is_due(moment: float | None, now: float) -> bool:
    """Say whether ``moment``, on the loop's clock, has come."""
    return moment is not None and moment <= now + _EARLY_S


def keep_alive(task: asyncio.Future[Any]) -> None:
    """Keep a task alive until it ends by itself, or :func:`let_go`; one of a closed loop never will."""
    if not task.get_loop().is_closed():
        _kept_alive.add(task)
        task.add_done_callback(_kept_alive.discard)


def let_go(task: asyncio.Future[Any] | None) -> None:
    """Take note, from within a task, that it is about to end: the loop need not call back for that."""
    if task in _kept_alive:
        task.remove_done_callback(_kept_alive.discard)
        _kept_alive.discard(task)


async def wait_for_all(tasks: Collection[asyncio.Future[Any]], until: float) -> asyncio.CancelledError | None:
    """Wait until all ``tasks`` have ended, or until the moment ``until`` on the loop's clock.

    ``asyncio.wait`` never raises the errors of the tasks that it waits for and never eats a cancellation of the task
    that waits. Awaiting another task under ``suppress(CancelledError)`` does both.

    Returns:
        A cancellation of the caller that came meanwhile. It is not raised here, because those tasks have to be
        waited for all the same; the caller of this function has to raise it. It is a new one: the one that came keeps
        this frame alive.
    """
    loop = asyncio.get_running_loop()
    cancellation = None
    while (running := [task for task in tasks if not task.done()]) and not is_due(until, loop.time()):
        try:
            with nullcontext() if cancellation is None else _shield():
                await asyncio.wait(running, timeout=until - loop.time())
        except asyncio.CancelledError as error:
            cancellation = asyncio.CancelledError(*error.args)
    return cancellation


def _shield() -> AbstractContextManager[object]:
    """Give a scope for going on with a wait that was cancelled: it shields from anyio, where the program uses that.

    A cancelled scope of anyio cancels its tasks again in every turn of the loop until they have left it, so the wait
    would use a whole core. Only a shielding scope inside of it stops that. A plain cancellation still comes through.
    """
    anyio = sys.modules.get("anyio")
    return nullcontext() if anyio is None else anyio.CancelScope(shield=True)


class ReusableTimeout:
    """One timer for a whole call, that cancels the task it was made in. It is rescheduled, not made anew.

    A timer that is armed too early is left: when it fires it finds out that it was rescheduled, and is armed again.
    """

    __slots__ = ("_armed", "_due", "_handle", "_loop", "_task", "fired")

    # Assigned when a timer is armed: nothing reads them before.
    _armed: float
    _due: float | None

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        self._loop = loop
        self._task: asyncio.Task[Any] | None = task
        self._handle: asyncio.Handle | None = None
        self.fired = False

    def reschedule(self, due: float | None) -> None:
        """Fire at ``due`` on the loop's clock instead; ``None``: not at all."""
        self._due = due
        if due is None:
            return
        if self._handle is not None:
            if due >= self._armed:
                return
            self._handle.cancel()
        self._armed = due
        # In an empty context: a cancelled timer stays in the loop's heap until its time, and would keep the caller's
        # context, and so its session, alive for as long.
        self._handle = self._loop.call_at(due, self, context=Context())

    def cancel(self) -> None:
        """Leave nothing armed, and let go of the task: it may keep an error alive that keeps this alive."""
        self._task = None
        if self._handle is not None:
            self._handle.cancel()

    def consume(self) -> bool:
        """Say whether it fired since it was last rescheduled; its cancellation no longer counts in the task then."""
        self._due = None
        if not self.fired:
            return False
        self.fired = False
        if self._task is not None:
            self._task.uncancel()
        return True

    @property
    def is_in_its_task(self) -> bool:
        """True if this is asked in the task, and not in another one, or by the collector, that closes a coroutine."""
        return asyncio.current_task(self._loop) is self._task

    def cancelling(self) -> int:
        """Count the pending cancellations of the task; 0 once it was let go of."""
        return 0 if self._task is None else self._task.cancelling()

    def __call__(self, turns: int = 2) -> None:
        """Look whether the time is up. Called by the loop: an object of its own for that would be one more per call."""
        self._handle = None
        if not is_due(self._due, self._loop.time()):
            self.reschedule(self._due)
        elif turns:
            # Two turns of the loop later: an answer that is due at this very moment takes one turn to wake the provider
            # and one to be given. It counts.
            self._armed = self._loop.time()
            self._handle = self._loop.call_soon(self, turns - 1, context=Context())
        else:
            assert self._task is not None
            self.fired = True
            self._due = None
            self._task.cancel()
