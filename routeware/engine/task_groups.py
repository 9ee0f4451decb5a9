"""A cancellation that a TaskGroup leaves counted in its task, before CPython 3.13.

A group whose child fails while the group waits for its children cancels its own task, and never takes that off the
count. Where the provider function then handles the group's error, nothing tells that cancellation from one of the
caller that was swallowed. So it is looked at when it arrives: a coroutine is awaited through an iterator that has no
``throw``, and a cancellation comes out here first, where the coroutine is seen to wait in such a group or not. It is
then passed on. An attempt that is not cancelled pays for the iterator only; from CPython 3.13 on nothing of this is
needed.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Generator
from itertools import islice
from typing import Any

from routeware.engine.call import Call

__all__ = ["watched"]

_WAITING = asyncio.TaskGroup.__aexit__.__code__


@types.coroutine
def watched(call: Call, coroutine: types.CoroutineType[Any, Any, Any]) -> Generator[Any, None, Any]:
    """Give what to await in place of ``coroutine``, so that the cancellations of its TaskGroups are excused."""
    try:
        return (yield from islice(coroutine.__await__(), None))
    except BaseException as thrown:
        if coroutine.cr_frame is None:
            raise  # it has ended with that
        error: BaseException | None = thrown
    while True:
        try:
            if error is None:
                step = coroutine.send(None)
            else:
                if isinstance(error, asyncio.CancelledError) and _is_by_group(coroutine):
                    call.excuse_cancel()
                step = coroutine.throw(error)
        except StopIteration as stop:
            return stop.value
        finally:
            error = None  # this frame is part of its traceback, and would keep it alive
        try:
            yield step
        except BaseException as again:  # noqa: BLE001 - it is thrown into the coroutine
            error = again


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
