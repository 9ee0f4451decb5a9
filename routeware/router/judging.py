"""What a failed attempt means for its call: whether the next link is tried, and what the call raises in the end."""

from __future__ import annotations

import asyncio
import logging
import sys

from routeware.attempt import Run
from routeware.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    ExhaustedError,
    ProviderCancelledError,
)
from routeware.records import AttemptStatus
from routeware.router.concluding import conclude
from routeware.router.meaning import goes_on
from routeware.router.recording import failed_run
from routeware.router.state import Call

__all__ = ["deadline_error", "fail", "final_error", "stopped_by_caller", "time_out"]


def fail(call: Call, run: Run) -> None:
    """Take ``run`` for a failed attempt: classify it, settle it, end its span, and say whether the call may go on."""
    error = run.error if run.failure is None else run.failure
    assert error is not None
    run.status = run.status or AttemptStatus.FAILED
    eligible = goes_on(call, run, error) and not run.misused
    call.failure = run.failure = error if isinstance(error, Exception) else _own_cancellation(run, error)
    if not eligible and call.fatal is None:
        call.fatal = run.failure
    if run.task is None or run.task.done():
        conclude(call, run)


def time_out(run: Run) -> None:
    """Set ``run`` down for out of time; an error that it raised after its timer rang is the cause."""
    failure = AttemptTimeoutError(run.label, run.timeout_ms or 0.0)
    failure.__cause__ = run.error
    run.failure, run.status = failure, AttemptStatus.FAILED


def deadline_error(call: Call) -> DeadlineExceededError:
    """The error of a call that ran out of time, from the last provider error, if any."""
    call.outcome = "deadline_exceeded"
    error = DeadlineExceededError(call.plan.policy.latency.deadline_ms or 0.0)
    error.__cause__ = call.failure
    return error


def final_error(call: Call) -> BaseException:
    """What a call raises that nothing more can be started for, and that has no success."""
    if call.fatal is not None:
        return call.fatal
    last = call.failure
    if last is None:
        call.outcome = "budget_exceeded"
        assert call.refusal is not None
        return call.refusal
    failed = failed_run(call, last)
    label = None if failed is None else failed.label
    call.plan.events.say(call.trace, "exhausted", logging.WARNING, attempts=call.started, link=label)
    if not call.hooks.wrap_errors:
        return last
    exhausted = ExhaustedError(tuple(run.label for run in call.runs if run.status is not AttemptStatus.SKIPPED))
    exhausted.__cause__ = last
    return exhausted


def stopped_by_caller(call: Call) -> bool:
    """Whether the caller's task was cancelled since the call began, and a provider function has swallowed that."""
    risen = call.cancelling() - call.entry
    if risen == 1 and sys.version_info < (3, 13) and _left_by_group(call.failure):
        call.entry += 1
        call.left_counted += 1
        return False
    return risen > 0


def _own_cancellation(run: Run, error: BaseException) -> BaseException:
    # It would pass for the caller's own cancellation.
    failure = ProviderCancelledError(run.label)
    failure.__cause__ = error
    return failure


def _made_of_cancellation(error: BaseException) -> bool:
    # A time-out of the child's own is made of one, too; that was its timer's, not the caller's.
    return not isinstance(error, TimeoutError) and any(
        isinstance(one, asyncio.CancelledError) for one in (error.__cause__, error.__context__)
    )


def _left_by_group(error: BaseException | None) -> bool:
    """Whether a TaskGroup that aborted has left its own cancellation counted, as it could before CPython 3.13.

    Where it was the caller who cancelled, that cancellation is the context of the group's error, or (where the body was
    over) it is what the first child made its error of.
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, BaseExceptionGroup):
            return not (isinstance(one.__context__, asyncio.CancelledError) or _made_of_cancellation(one.exceptions[0]))
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
    return False
