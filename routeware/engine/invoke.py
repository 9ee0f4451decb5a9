"""Calling the provider function: in whose context, and what is kept of how it ended."""

from __future__ import annotations

import asyncio
import sys
from contextvars import Token
from inspect import isawaitable
from types import CoroutineType
from typing import Any

from routeware.engine.attempt import CURRENT, handle_of
from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.engine.task_groups import watched
from routeware.telemetry import CallTrace, Context

__all__ = ["accepted", "enter", "invoke", "leave"]

_MAY_LEAVE_CANCELS = sys.version_info < (3, 13)
"""True if a TaskGroup may leave a cancellation counted in its task."""


async def invoke(call: Call, execution: Execution, *, in_own_task: bool) -> None:
    """Call the provider function, and leave on ``execution`` what became of it: a result, or an error.

    Args:
        call: the call.
        execution: an attempt that was started.
        in_own_task: True if this runs in a task of the attempt's own. A CancelledError is either our doing or the
            provider's then, and is left on ``execution`` like any other error.

    Raises:
        asyncio.CancelledError: the caller's task was cancelled, by whomever.
        BaseException: what is not an ``Exception`` passes through.
    """
    request = execution.request
    registered = request.registrations
    function = registered.by_provider.get(execution.prepared.link.provider, registered.fn)
    attempt = handle_of(execution)
    token = CURRENT.set(attempt)
    is_observed = call.listeners is not None
    attached = enter(call, execution) if is_observed else None
    try:
        awaitable = function(request.owner, attempt, request.args, request.kwargs)
        execution.invoke()
        if _MAY_LEAVE_CANCELS and call.attempts_left and not in_own_task and isinstance(awaitable, CoroutineType):
            awaitable = watched(call, awaitable)
        result = await awaitable
        execution.give(result)
        if registered.accept is None or await accepted(registered.accept(result)):
            execution.accept()
        else:
            execution.reject()
    except Exception as error:  # noqa: BLE001 - the verdict says what it means
        execution.throw(error)
    except asyncio.CancelledError as error:
        if not in_own_task:
            raise
        execution.throw(error)
    finally:
        execution.end(call.loop.time())
        try:
            CURRENT.reset(token)
        except ValueError:
            # The coroutine is closed from another context, by the garbage collector say: here nothing was set.
            attached = None
        if is_observed:
            leave(call, execution, attached)
        if in_own_task and call.race is not None:
            call.race.wake()


def enter(call: Call, execution: Execution) -> Token[Context] | None:
    """Have everything from here on done in the attempt, as far as spans and metrics tell."""
    meters, trace = call.meters, call.trace
    if meters is not None:
        meters.attempt_started(execution.link)
    return None if trace is None else trace.attach(execution.span)


def leave(call: Call, execution: Execution, attached: Token[Context] | None) -> None:
    """Undo :func:`enter`."""
    if attached is not None:
        CallTrace.detach(attached)
    meters = call.meters
    if meters is not None:
        meters.attempt_left(execution.link)


async def accepted(verdict: Any) -> Any:
    """Give the verdict of an ``accept`` hook, sync or async."""
    return await verdict if isawaitable(verdict) else verdict
