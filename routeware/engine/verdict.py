"""The meaning of a failed attempt for its call: whether the next link is tried, and what the call raises in the end.

The policy's own rules are asked in ``PreparedPolicy.judge``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import TypeVar

from routeware.engine.call import Call
from routeware.engine.cooldown import note_failure
from routeware.engine.execution import Execution
from routeware.errors import AttemptTimeoutError, DeadlineExceededError, ExhaustedError, ProviderCancelledError
from routeware.observers import Failure, failed_attempt
from routeware.records import AttemptStatus

__all__ = ["deadline_error", "final_error", "is_stopped_by_caller", "record_failure", "record_time_out"]

_Error = TypeVar("_Error", bound=BaseException)


def record_failure(call: Call, execution: Execution) -> None:
    """Take the attempt for failed: say what its error means, and whether the call may go on."""
    # A task that was cancelled before its first step has raised nothing that could be kept.
    error = asyncio.CancelledError() if execution.error is None else execution.error
    failure = call.prepared.judge(error, execution.reply)
    if not execution.invoked or not isinstance(error, Exception):
        failure = _corrected(call, execution, failure)
    execution.fail(failure)
    if call.health is not None:
        note_failure(call, execution, failure)
    call.record_failure(failure)


def _corrected(call: Call, execution: Execution, failure: Failure) -> Failure:
    """Correct what an error means by how it came about.

    A CancelledError would pass for the caller's own cancellation. An error in calling the function is the caller's.
    """
    error, snapshot = failure.error, failure.snapshot
    if not isinstance(error, Exception):
        error = _from(failure.error, ProviderCancelledError(execution.label))
    fails_over = failure.fails_over and not execution.is_misuse
    return Failure(error, call.prepared.classified, fails_over, failure.not_billed, snapshot)


def record_time_out(call: Call, execution: Execution) -> None:
    """Take the attempt for failed, because its time is up. An error that it raised after that is the cause."""
    error = AttemptTimeoutError(execution.label, execution.timeout_ms or 0.0)
    failure = call.prepared.judge(_from(execution.error, error))
    execution.time_out(failure)
    if call.health is not None:
        note_failure(call, execution, failure)
    call.record_failure(failure)


def deadline_error(call: Call) -> DeadlineExceededError:
    """End a call that ran out of time: give its error, made from the last provider error, if any."""
    call.refuse("deadline_exceeded")
    after_s = 0.0 if call.deadline is None else call.deadline - call.began
    after_ms = round(after_s * 1000, 6)  # differences of clock readings carry the noise of floats
    return _from(call.failure, DeadlineExceededError(after_ms))


def final_error(call: Call) -> BaseException:
    """End a call that has no success and no more to start: give what it raises, and leave the event of that."""
    if call.fatal is not None:
        return call.fatal
    last = call.failure
    if last is None:
        assert call.refusal is not None
        call.refuse("budget_exceeded")
        return call.refusal
    failed = failed_attempt(call, last)
    tried = tuple(one.label for one in call.attempts if one.status is not AttemptStatus.SKIPPED)
    call.emit("exhausted", logging.WARNING, attempts=len(tried), link=None if failed is None else failed.link.label)
    if not call.registrations.wrap_errors:
        return last
    return _from(last, ExhaustedError(tried))


def _from(cause: BaseException | None, error: _Error) -> _Error:
    """Give ``error``, as ``raise error from cause`` would raise it."""
    error.__cause__ = cause
    return error


def is_stopped_by_caller(call: Call) -> bool:
    """Say whether the caller's task was cancelled since the call began, and a provider function swallowed that."""
    risen = call.caller.risen()
    if risen == 1 and _is_left_counted(call.failure):
        call.caller.excuse_library()
        return False
    return risen > 0


def _is_left_counted(error: BaseException | None) -> bool:
    """Return True if no caller made a pending cancellation: a library has cancelled its own task and left that counted.

    Time-outs of libraries did (aiohttp before 3.10.7, async-timeout before 4.0.3): such a time-out is a TimeoutError
    made of a CancelledError.
    """
    made_of_cancel = [one for one in _chain(error) if _is_made_of_cancel(one)]
    # Ours are no library's: our timer takes back what it has added to the count.
    return bool(made_of_cancel) and all(
        isinstance(one, TimeoutError) and not isinstance(one, AttemptTimeoutError) for one in made_of_cancel
    )


def _is_made_of_cancel(error: BaseException) -> bool:
    return any(isinstance(one, asyncio.CancelledError) for one in (error.__cause__, error.__context__))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Walk along causes and contexts, each error once; what is behind a group is the group's own business."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if not isinstance(one, BaseExceptionGroup):
            waiting += [one.__cause__, one.__context__]
