"""Calls whose loop was closed while they were pending."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

from tests.fakes.clock import JumpingLoop
from tests.fakes.providers import pause

__all__ = ["started"]


def started(make: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Coroutine[Any, Any, Any], asyncio.Task[Any]]:
    """A call that was started in a context of its own, on a loop that has been closed since."""
    loop = JumpingLoop()

    async def go() -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(make(), context=contextvars.copy_context())
        await pause(50)
        return task

    task = loop.run_until_complete(go())
    loop.close()
    task._log_destroy_pending = False  # asyncio's own switch for what is meant to be
    call = task.get_coro()
    assert isinstance(call, Coroutine)
    return call, task
