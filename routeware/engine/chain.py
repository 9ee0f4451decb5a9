"""The chain: one attempt after another, in the caller's own task. No task is made where no race can happen."""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from routeware.engine.admission import admit_next, admit_next_remotely
from routeware.engine.attempt import handle_of, put_current
from routeware.engine.attempt_end import conclude_attempt
from routeware.engine.call import Call
from routeware.engine.caller import CallerTask
from routeware.engine.execution import Execution
from routeware.engine.invoke import called, enter, leave, submit
from routeware.engine.retries import begin_round
from routeware.engine.verdict import deadline_error, record_failure, record_time_out
from routeware.records import AttemptStatus

__all__ = ["run_chain", "start_next"]


_Run = Callable[[Call, Execution | None], Coroutine[Any, Any, Execution]]


def _watched(run: _Run) -> Callable[[Call, Execution | None], Awaitable[Execution]]:
    """Show the caller's task what cancellations are thrown into ``run``, where TaskGroups may leave theirs counted."""

    @types.coroutine
    def watched(call: Call, execution: Execution | None) -> Generator[Any, Any, Execution]:
        coroutine = run(call, execution)
        try:
            step = coroutine.send(None)
            while True:
                thrown: BaseException | None = None
                try:
                    yield step
                except BaseException as error:  # noqa: BLE001 - it is thrown into the coroutine
                    thrown = error
                try:
                    step = coroutine.send(None) if thrown is None else _throw(call.caller, coroutine, thrown)
                finally:
                    thrown = None  # this frame is part of its traceback, and would keep it alive
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # what a coroutine returns is typed by no one

    return watched if sys.version_info < (3, 13) else run


def _throw(caller: CallerTask, coroutine: Coroutine[Any, Any, Execution], error: BaseException) -> Any:
    try:
        if isinstance(error, asyncio.CancelledError):
            caller.see_thrown(error)
        return coroutine.throw(error)
    finally:
        caller.look_at_thrown()  # where the chain has not asked on its way
        del error  # this frame is part of its traceback, and would keep it alive


@_watched
async def run_chain(call: Call, execution: Execution | None) -> Execution:
    """Try links until one succeeds, and give that attempt. Bounds hold as far as its function can be cancelled.

    Args:
        call: the call.
        execution: an attempt that is started already, to go on with, if any.

    Raises:
        asyncio.CancelledError: the caller was cancelled.
        Exception: there is no success, and this is what the call raises.
    """
    caller, listeners, accept = call.caller, call.listeners, call.prepared.registrations.accept
    while True:
        if execution is None:
            if call.attempts_left and (call.payer is None or not call.payer.remote):
                execution = admit_next(call)
            execution = execution or await start_next(call)
        caller.reschedule(execution.due)
        fired = False
        attempt = handle_of(execution)
        token = put_current(attempt)
        attached = None if listeners is None else enter(call, execution)
        try:
            result = await called(call, execution, attempt)
            if accept is None:
                execution.answer(result)
            else:
                await submit(accept, execution, result)
        except Exception as error:  # noqa: BLE001 - the verdict says what it means
            execution.throw(error)
        except asyncio.CancelledError as error:
            fired = caller.consume()
            if caller.is_cancelled_by_caller(fired=fired):
                raise
            execution.throw(error)
        finally:
            is_own = leave(call, execution, token, attached)
        if caller.fired:
            fired = caller.consume()
        if execution.accepted:
            return execution
        _take_failure(call, execution, fired, is_own)
        execution = None


async def start_next(call: Call) -> Execution:
    """Admit and start the next attempt where that may take time: a further round, or a ledger that has to be asked."""
    while True:
        await begin_round(call)
        execution = await admit_next_remotely(call) if call.is_remote else admit_next(call)
        if execution is not None:
            return execution


def _take_failure(call: Call, execution: Execution, fired: bool, is_own: bool) -> None:
    """Say what it means that an attempt has failed, or that its timer has fired.

    Raises:
        DeadlineExceededError: the call is out of time.
        GeneratorExit: the call is being closed, and the provider function has made another error of that.
    """
    if not is_own and not call.caller.is_in_its_task:
        raise GeneratorExit
    if not fired or execution.status is AttemptStatus.REJECTED:
        record_failure(call, execution)
    elif execution.due == call.deadline:
        execution.stop()
        conclude_attempt(call, execution)
        raise deadline_error(call)
    else:
        record_time_out(call, execution)
    if not call.is_plain or call.health is not None:  # else only where the call raises, and its error gets a record
        conclude_attempt(call, execution)
