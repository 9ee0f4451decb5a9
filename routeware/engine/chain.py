"""The chain: one attempt after another, in the caller's own task. No task is made where no race can happen."""

from __future__ import annotations

import asyncio
from types import CoroutineType

from routeware.engine.admission import admit_next, admit_next_remotely
from routeware.engine.attempt import handle_of, put_current
from routeware.engine.attempt_end import conclude_attempt
from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.engine.invoke import called, enter, leave, submit
from routeware.engine.retries import begin_round
from routeware.engine.task_groups import MAY_LEAVE_CANCELS, watched
from routeware.engine.verdict import deadline_error, record_failure, record_time_out
from routeware.records import AttemptStatus

__all__ = ["run_chain"]


async def run_chain(call: Call, execution: Execution | None = None) -> Execution:
    """Try links until one succeeds, and give that attempt. Bounds hold as far as its function can be cancelled.

    Args:
        call: the call.
        execution: an attempt that is started already, to go on with.

    Raises:
        asyncio.CancelledError: the caller was cancelled.
        Exception: there is no success, and this is what the call raises.
    """
    timeout, accept = call.timeout, call.prepared.registrations.accept
    while True:
        if execution is None:
            has_to_wait = call.payer is not None and call.payer.remote
            at_once = admit_next(call) if call.attempts_left and not has_to_wait else None
            execution = at_once or await _next(call)
        timeout.reschedule(execution.due)
        fired = False
        attempt = handle_of(execution)
        token = put_current(attempt)
        attached = None if call.listeners is None else enter(call, execution)
        try:
            awaitable = called(call, execution, attempt)
            if MAY_LEAVE_CANCELS and call.attempts_left and type(awaitable) is CoroutineType:
                awaitable = watched(call, awaitable)
            result = await awaitable
            if accept is None:
                execution.answer(result)
            else:
                await submit(accept, execution, result)
        except Exception as error:  # noqa: BLE001 - the verdict says what it means
            execution.throw(error)
        except asyncio.CancelledError as error:
            fired = timeout.consume()
            if _is_of_caller(call, fired):
                raise
            execution.throw(error)
        finally:
            is_own = leave(call, execution, token, attached)
        if timeout.fired:
            fired = timeout.consume()
        if execution.accepted:
            return execution
        _take_failure(call, execution, fired, is_own)
        execution = None


def _is_of_caller(call: Call, fired: bool) -> bool:
    """Say whether a cancellation is the caller's. A provider that raises CancelledError by itself has failed.

    The count tells: where our timer has fired (and has taken its own back) it is above that at entry, and where it has
    not, above what libraries have left counted.
    """
    return call.timeout.cancelling() > (call.cancel_baseline if fired else call.stale_cancels)


async def _next(call: Call) -> Execution:
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
    if not is_own and not call.timeout.is_in_its_task:
        raise GeneratorExit
    if not fired or execution.status is AttemptStatus.REJECTED:
        record_failure(call, execution)
    elif execution.due == call.deadline:
        execution.stop()
        conclude_attempt(call, execution)
        raise deadline_error(call)
    else:
        record_time_out(call, execution)
    conclude_attempt(call, execution)
