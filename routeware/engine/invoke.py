"""Calling the provider function: in whose context, and what is kept of how it ended."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Token
from inspect import isawaitable
from typing import Any

from routeware.engine.attempt import Attempt, put_back
from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.telemetry import CallTrace, Context

__all__ = ["accepted", "called", "enter", "leave", "submit"]


def called(call: Call, execution: Execution, attempt: Attempt) -> Any:
    """Call the provider function of a link; give what it gives. What it raises at once is about its arguments."""
    registered = call.prepared.registrations
    function = registered.fn
    if registered.by_provider:
        function = registered.by_provider.get(execution.prepared.link.provider, function)
    given = function(call.owner, attempt, call.args, call.kwargs)
    execution.invoke()
    return given


def enter(call: Call, execution: Execution) -> Token[Context] | None:
    """Have everything from here on done in the attempt, as far as spans and metrics tell."""
    meters, trace = call.meters, call.trace
    if meters is not None:
        meters.attempt_started(execution.link)
    return None if trace is None else trace.attach(execution.span)


def leave(call: Call, execution: Execution, token: Token[Attempt | None], attached: Token[Context] | None) -> bool:
    """End the attempt, and give its place in the context back.

    Args:
        call: the call.
        execution: the attempt.
        token: what puts back the attempt around it.
        attached: what :func:`enter` gave.

    Returns:
        False in another context than the attempt's: its coroutine is closed there, by the garbage collector say.
    """
    execution.end(call.loop.time())
    try:
        put_back(token)
    except ValueError:
        is_own, attached = False, None  # nothing was set here
    else:
        is_own = True
    if call.listeners is not None:
        if attached is not None:
            CallTrace.detach(attached)
        if call.listeners.meters is not None:
            call.listeners.meters.attempt_left(execution.link)
    return is_own


async def submit(accept: Callable[[Any], Any], execution: Execution, result: object) -> None:
    """Take a result, and ask the ``accept`` hook about it. What that raises is the attempt's error."""
    execution.give(result)
    if await accepted(accept(result)):
        execution.accept()
    else:
        execution.reject()


async def accepted(verdict: Any) -> Any:
    """Give the verdict of an ``accept`` hook, sync or async."""
    return await verdict if isawaitable(verdict) else verdict
