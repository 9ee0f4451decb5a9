"""The chain: one attempt after another, in the caller's own task. No task is made where no race can happen."""

from __future__ import annotations

import asyncio

from routeware.engine.admission import admit_next, admit_next_remotely
from routeware.engine.call import Call
from routeware.engine.completion import conclude_attempt
from routeware.engine.execution import Execution
from routeware.engine.invoke import invoke
from routeware.engine.retries import begin_round
from routeware.engine.verdict import deadline_error, record_failure, record_time_out
from routeware.records import AttemptStatus

__all__ = ["run_chain"]


async def run_chain(call: Call, execution: Execution | None = None) -> Execution:
    """Try links until one succeeds. Bounds hold as far as the provider function honours a cancellation.

    Args:
        call: the call.
        execution: an attempt that is started already, to go on with.

    Returns:
        The attempt that succeeded.

    Raises:
        asyncio.CancelledError: the caller was cancelled.
        Exception: there is no success, and this is what the call raises.
    """
    timeout = call.timeout
    while True:
        if execution is None:
            if call.rounds_left:
                await begin_round(call)
            execution = await admit_next_remotely(call) if call.is_remote else admit_next(call)
        due, deadline = execution.due, call.deadline
        is_by_deadline = deadline is not None and (due is None or deadline <= due)
        timeout.reschedule(deadline if is_by_deadline else due)
        try:
            await invoke(call, execution, in_own_task=False)
        except asyncio.CancelledError as error:
            fired = timeout.consume()
            # A provider that raises CancelledError by itself has failed. The count tells it from a cancellation of the
            # caller: where our timer has fired (and has taken its own back) the count is above that at entry, and
            # where it has not, above what libraries have left counted.
            if call.cancelling() > (call.cancel_baseline if fired else call.stale_cancels):
                raise
            execution.throw(error)
        else:
            fired = timeout.fired and timeout.consume()
        if execution.accepted:
            return execution
        if not fired or execution.status is AttemptStatus.REJECTED:
            record_failure(call, execution)
        elif is_by_deadline:
            execution.stop()
            conclude_attempt(call, execution)
            raise deadline_error(call)
        else:
            record_time_out(call, execution)
        conclude_attempt(call, execution)
        execution = None
