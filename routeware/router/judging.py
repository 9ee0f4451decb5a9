"""What a failed attempt means for its call: whether the next link is tried, and what the call raises in the end."""

from __future__ import annotations

import asyncio
import logging
import sys

from routeware.attempt import Run
from routeware.attempt.settling import settle
from routeware.classify import ErrorSnapshot, classify, eligible, error_type, snapshot_from_hook
from routeware.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    ExhaustedError,
    ProviderCancelledError,
    ResultRejectedError,
)
from routeware.records import AttemptStatus
from routeware.router.recording import end_attempt
from routeware.router.state import Call

__all__ = ["deadline_error", "fail", "final_error", "stopped_by_caller", "time_out"]

logger = logging.getLogger("routeware")


def fail(call: Call, run: Run) -> None:
    """Take ``run`` for a failed attempt: classify it, settle it, end its span, and say whether the call may go on."""
    error = run.error if run.failure is None else run.failure
    assert error is not None
    run.status = run.status or AttemptStatus.FAILED
    run.snapshot, by_hook = _classified(call, error)
    run.error_type = error_type(error)
    run.failure = _own_cancellation(run, error)
    call.failure = run.failure
    if call.fatal is None and not eligible(run.snapshot, call.plan.rules, by_hook=by_hook):
        call.fatal = run.failure
    if run.task is None or run.task.done():
        settle_and_end(call, run)


def settle_and_end(call: Call, run: Run) -> None:
    """Book what an attempt that has ended cost, where somebody will ask; end its span."""
    if call.book is not None or call.capped or call.trace is not None:
        settle(run)
    end_attempt(call, run)


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


def _classified(call: Call, error: BaseException) -> tuple[ErrorSnapshot, bool]:
    hook, with_text = call.hooks.classify, call.plan.error_messages
    if hook is not None and not isinstance(error, ResultRejectedError | asyncio.CancelledError):
        try:
            answer = hook(error)
            return snapshot_from_hook(answer, error, with_text=with_text), answer is not None
        except Exception as failure:  # noqa: BLE001 - a hook's failure must not hide the provider's
            logger.warning("the classify hook failed (%s); the error is classified without it", type(failure).__qualname__)
    return classify(error, with_text=with_text), False


def _own_cancellation(run: Run, error: BaseException) -> BaseException:
    if not isinstance(error, asyncio.CancelledError):
        return error
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


