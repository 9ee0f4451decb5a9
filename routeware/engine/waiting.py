"""Tasks that are cut off: how they are waited for, and kept alive. Nothing here knows what they are for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Any

__all__ = ["CLEANUP_GRACE_S", "is_due", "keep_alive", "let_go", "wait_for_all"]

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
