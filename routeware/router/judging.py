"""What a failed attempt means for its call: whether the next link is tried, and what the call raises in the end."""

from __future__ import annotations

import logging
import sys

from routeware.attempt import Run
from routeware.attempt.settling import settle
from routeware.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    ExhaustedError,
    ProviderCancelledError,
)
from routeware.records import AttemptStatus
from routeware.router import verdicts
from routeware.router.recording import end_attempt
from routeware.router.state import Call

__all__ = ["deadline_error", "fail", "final_error", "let_go", "settle_and_end", "stopped_by_caller", "time_out"]


def fail(call: Call, run: Run) -> None:
    """Take ``run`` for a failed attempt: classify it, settle it, end its span, and say whether the call may go on."""
    error = run.error if run.failure is None else run.failure
    assert error is not None
    run.status = run.status or AttemptStatus.FAILED
    goes_on = verdicts.goes_on(call, run, error)
    call.failure = run.failure = error if isinstance(error, Exception) else _own_cancellation(run, error)
    if not goes_on and call.fatal is None:
        call.fatal = run.failure
    if run.status is AttemptStatus.REJECTED:
        call.untidy = True
    if run.task is None or run.task.done():
        settle_and_end(call, run)


def settle_and_end(call: Call, run: Run, end_ns: int | None = None) -> None:
    """Book what an attempt that has ended cost, where somebody will ask; end its span, at ``end_ns`` or by itself."""
    run.concluded = True
    if call.counted:
        settle(run)
    if call.heard:
        end_attempt(call, run, end_ns)


def let_go(call: Call, run: Run) -> None:
    """Conclude an attempt that was cut off, now that its task has ended."""
    if run.task is not None and not run.task.cancelled():
        run.task.exception()  # read, so that nobody reports it as lost
    if run.concluded:
        return
    if run.cut and run.ended is not None:
        run.cleanup_s = max(0.0, (run.left or run.ended) - run.ended)
    if run.failure is not None and run.failure.__cause__ is None and run.failure is not run.error:
        run.failure.__cause__ = run.error
    settle_and_end(call, run)


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
    call.plan.events.say(call.trace, "exhausted", logging.WARNING, attempts=call.started, link=call.runs[-1].label)
    if not call.hooks.wrap_errors:
        return last
    exhausted = ExhaustedError(tuple(run.label for run in call.runs if run.status is not AttemptStatus.SKIPPED))
    exhausted.__cause__ = last
    return exhausted


def stopped_by_caller(call: Call) -> bool:
    """Whether the caller's task was cancelled since the call began, and a provider function has swallowed that."""
    risen = call.task.cancelling() - call.entry
    if risen == 1 and sys.version_info < (3, 13) and _has_group(call.failure):
        # A TaskGroup that aborts cancels its own task, and before CPython 3.13 could leave that counted.
        call.entry += 1
        return False
    return risen > 0


def _own_cancellation(run: Run, error: BaseException) -> BaseException:
    # It would pass for the caller's own cancellation.
    failure = ProviderCancelledError(run.label)
    failure.__cause__ = error
    return failure


def _has_group(error: BaseException | None) -> bool:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            return True
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
    return False
