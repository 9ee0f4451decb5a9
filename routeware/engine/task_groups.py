"""A cancellation that a TaskGroup leaves counted in its task, before CPython 3.13.

A group whose child fails while the group waits for its children cancels its own task, and never takes that off the
count. Where the provider function then handles the group's error, nothing tells that cancellation from one of the
caller that was swallowed. So it is looked at when it arrives: a coroutine that is driven from here sees a cancellation
only after this has seen whether it waits in such a group. From CPython 3.13 on nothing of this is needed.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Generator
from typing import Any

from routeware.engine.call import Call

__all__ = ["MAY_LEAVE_CANCELS", "watched"]

MAY_LEAVE_CANCELS = sys.version_info < (3, 13)
"""True if a TaskGroup may leave a cancellation counted in its task."""

_WAITING = asyncio.TaskGroup.__aexit__.__code__


@types.coroutine
def watched(call: Call, coroutine: types.CoroutineType[Any, Any, Any]) -> Generator[Any, None, Any]:
    """Give what to await in place of ``coroutine``, so that the cancellations of its TaskGroups are excused."""
    error: BaseException | None = None
    while True:
        try:
            step = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration as stop:
            return stop.value
        finally:
            error = None  # this frame is part of its traceback, and would keep it alive
        try:
            yield step
        except BaseException as thrown:  # noqa: BLE001 - it is thrown into the coroutine
            error = thrown
            if isinstance(error, asyncio.CancelledError) and _is_by_group(coroutine):
                call.excuse_cancel()


def _is_by_group(coroutine: types.CoroutineType[Any, Any, Any]) -> bool:
    """Say whether a coroutine waits in a TaskGroup that has cancelled it just now, and will leave that counted.

    It will where its body was over. Where it has interrupted the body, it takes its cancellation off the count.
    """
    innermost = coroutine
    while isinstance(innermost.cr_await, types.CoroutineType):
        innermost = innermost.cr_await
    frame = innermost.cr_frame
    if frame is None or frame.f_code is not _WAITING:
        return False
    group, interrupted = frame.f_locals["self"], frame.f_locals["et"]
    return bool(getattr(group, "_parent_cancel_requested", False)) and interrupted is None
