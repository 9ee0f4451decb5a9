"""Calling the provider function: in whose context, and what is said of how it ended."""

from __future__ import annotations

import asyncio
from contextvars import Token
from inspect import isawaitable
from typing import Any

from routeware.attempt.handle import CURRENT
from routeware.attempt.run import Run
from routeware.errors import ResultRejectedError
from routeware.records import AttemptStatus
from routeware.telemetry import Context, detach

__all__ = ["perform"]


async def perform(run: Run) -> None:
    """Call the provider function and leave on ``run`` what became of it: a result, or an error.

    Raises:
        asyncio.CancelledError: this task was cancelled, by whomever. In a task of its own that is either our doing or
            the provider's, and is left on ``run`` instead.
        BaseException: what is not an ``Exception`` passes through.
    """
    scope = run.scope
    hooks = scope.hooks
    function = hooks.by_provider.get(run.link.provider, hooks.fn)
    token = CURRENT.set(run)
    told = scope.trace is not None or scope.meters is not None
    attached = _enter(run) if told else None
    try:
        awaitable = function(scope.owner, run, scope.args, scope.kwargs)
        run.called = True
        run.result = result = await awaitable
        run.replied = True
        if hooks.accept is None or await _accepted(hooks.accept(result)):
            run.answered = True
        else:
            run.status = run.status or AttemptStatus.REJECTED
            run.error = ResultRejectedError(run.link.label, result)
    except Exception as error:  # noqa: BLE001 - the engine decides what it means
        run.error = error
    except asyncio.CancelledError as error:
        if not run.apart:
            raise
        run.error = error
    finally:
        run.returned = scope.loop.time()
        if run.ended is None:
            run.ended = run.returned
        try:
            CURRENT.reset(token)
        except ValueError:
            # The coroutine is closed from another context, by the garbage collector say: here nothing was set.
            attached = None
        if told:
            _leave(run, attached)


def _enter(run: Run) -> Token[Context] | None:
    """What is done from here on is done in the attempt, as far as spans and metrics tell."""
    scope = run.scope
    if scope.meters is not None:
        scope.meters.attempt_started(run.link)
    return scope.trace.attach(run.span) if scope.trace is not None else None


def _leave(run: Run, attached: Token[Context] | None) -> None:
    if attached is not None:
        detach(attached)
    if run.scope.meters is not None:
        run.scope.meters.attempt_left(run.link)


async def _accepted(verdict: Any) -> Any:
    return await verdict if isawaitable(verdict) else verdict
