"""The end of a stream that has had its first item: decided once, from the facts of the attempt that was read."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import attrs

from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.errors import DeadlineExceededError, ProviderCancelledError, StreamTruncatedError
from routeware.observers import Failure
from routeware.records import CallOutcome, StreamEnd

__all__ = ["OUTCOMES", "WITH_ITEMS", "natural_end", "outcome_of"]

WITH_ITEMS: frozenset[StreamEnd | None] = frozenset({"completed", "failed"})
"""The ends before which a reader still gets the items that are there."""

OUTCOMES: Mapping[StreamEnd, CallOutcome] = {
    "completed": "succeeded",
    "closed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
"""The outcome of the call, by how its stream ended; unless a deadline ended it."""


def natural_end(call: Call, winner: Execution) -> tuple[StreamEnd, BaseException | None]:
    """Say how a generator ended that was not cut off, and what it raised."""
    error, task, flow = winner.error, winner.task, winner.flow
    assert flow is not None
    if error is None:
        if call.registrations.last_item is not None and not flow.is_complete and flow.has_items:
            return "failed", StreamTruncatedError(winner.label, flow.items)
        return "completed", None
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        return "cancelled", error  # the loop is being shut down
    return "failed", error


def outcome_of(
    call: Call, winner: Execution, end: StreamEnd, reason: BaseException | None
) -> tuple[CallOutcome, BaseException | None]:
    """Say the outcome of a call whose stream ended so, and what its reader is raised; an error fails the attempt."""
    if isinstance(reason, DeadlineExceededError):
        return "deadline_exceeded", reason
    if end == "failed" and reason is not None:
        failure = _judged(call, winner, reason)
        winner.fail(failure)
        return "failed", failure.error
    return OUTCOMES[end], reason


def _judged(call: Call, execution: Execution, error: BaseException) -> Failure:
    """Say what the error of a stream means that came after its first item: nothing is tried after it, and it cost."""
    shown = error
    if isinstance(error, asyncio.CancelledError):
        shown = ProviderCancelledError(execution.label)
        shown.__cause__ = error
    snapshot = attrs.evolve(call.prepared.classified(error), may_have_cost=True)
    return Failure(shown, call.prepared.classified, False, False, snapshot)
