"""The engine: one loop for failover and racing.

Whenever nothing is in flight the next admissible link is started. Where a race can still follow it runs in a task of
its own, and is watched; where none can, in the caller's task, with no task made at all. A failure with others in
flight just leaves the race; a success ends the call.
"""

from __future__ import annotations

import asyncio

from routeware.attempt import Run, perform
from routeware.errors import BudgetExceededError, LedgerUnavailableError
from routeware.policy import OnExceed
from routeware.race import is_due, watch
from routeware.records import AttemptStatus, AttemptTrigger
from routeware.router.admission import reserve, reserve_remotely, tell_refusal
from routeware.router.concluding import conclude
from routeware.router.judging import deadline_error, fail, final_error, stopped_by_caller, time_out
from routeware.router.racing import act, next_moment
from routeware.router.starting import launch, start
from routeware.router.state import Call

__all__ = ["serve"]

# Reading a member off its enum costs as much as making an attempt.
_INITIAL, _FAILOVER = AttemptTrigger.INITIAL, AttemptTrigger.FAILOVER


async def serve(call: Call) -> Run:
    """Try links until one succeeds; the attempt that did.

    Attempts that are still in flight then, or when this raises, are left to the caller of this function.

    Raises:
        asyncio.CancelledError: the caller was cancelled.
        Exception: there is no success, and this is what the call raises.
    """
    racing = call.race_after_s is not None
    plain = not call.capped and call.session is None and call.deadline is None
    while True:
        if not racing or (not call.flying and call.asking is None):
            run = _first(call) if plain and not call.started else await _next(call)
            if call.racing and call.attempts_left:
                launch(call, run)
            else:
                await _run_here(call, run)
                if run.answered:
                    return run
                fail(call, run)
                continue
        moment = next_moment(call)
        await watch(_tasks(call), None if moment is None else moment - call.loop.time())
        winner = _land(call)
        if winner is not None:
            return winner
        act(call)


def _first(call: Call) -> Run:
    """Start the first link of a call without bounds: nothing can stand in its way."""
    run = Run(call.lanes[0], call, 1, _INITIAL)
    start(call, run)
    return run


async def _next(call: Call) -> Run:
    """Start the next link whose projection can be reserved; raises what the call raises where there is none."""
    while True:
        if call.runs:
            _require_more(call)
        if call.deadline is not None and is_due(call.deadline, call.loop.time()):
            raise deadline_error(call)
        trigger = _FAILOVER if call.started else _INITIAL
        run = Run(call.lanes[call.cursor], call, len(call.runs) + 1, trigger)
        try:
            if call.capped or call.session is not None:
                reserve(call, run)
            if call.remote:
                await _within_deadline(call, run)
        except BudgetExceededError as refusal:
            tell_refusal(call, refusal)
            if call.plan.on_exceed is OnExceed.SKIP:
                _skip(call, run, refusal)
                continue
            call.outcome = "budget_exceeded"
            refusal.__cause__ = call.failure
            raise
        except LedgerUnavailableError as error:
            error.__cause__ = error.__cause__ or call.failure
            raise
        except Exception as error:
            error.__context__ = error.__context__ or call.failure
            raise
        start(call, run)
        return run


def _require_more(call: Call) -> None:
    """Raise what the call raises, where nothing more may be started."""
    if call.fatal is None and call.failure is not None and stopped_by_caller(call):
        raise call.failure
    if call.fatal is not None or not call.attempts_left:
        raise final_error(call)


def _skip(call: Call, run: Run, refusal: BudgetExceededError) -> None:
    call.refusal = refusal
    call.pass_over()
    run.status, run.booked, run.concluded = AttemptStatus.SKIPPED, True, True
    run.started = run.ended = call.loop.time()
    call.runs.append(run)


async def _within_deadline(call: Call, run: Run) -> None:
    call.alarm.move(call.deadline)
    try:
        # What attempts before have given back has to be there before more is asked for.
        for before in (call.outer, *(run.reservation for run in call.runs)):
            message = None if before is None else before.undelivered
            if message is not None and not message.done():
                await asyncio.wait([message])
        await reserve_remotely(call, run)
    except asyncio.CancelledError:
        call.give_back(run)
        if not call.alarm.take_back() or call.cancelling() > call.entry:
            raise
    except BaseException:
        call.give_back(run)
        call.alarm.take_back()
        raise
    else:
        call.alarm.take_back()
        return
    raise deadline_error(call)


async def _run_here(call: Call, run: Run) -> None:
    """Run an attempt in the caller's own task: bounds hold as far as it honours cancellation."""
    alarm, due, deadline = call.alarm, run.due, call.deadline
    by_deadline = deadline is not None and (due is None or deadline <= due)
    if by_deadline:
        due = deadline
    if due is not None:
        alarm.move(due)
    try:
        await perform(run)
    except asyncio.CancelledError as error:
        rang = alarm.take_back()
        if call.cancelling() > (call.entry if rang else call.left_counted):
            raise
        run.error = error
    else:
        alarm.due = None
        rang = alarm.rang and alarm.take_back()
    if not rang or run.answered or run.status is AttemptStatus.REJECTED:
        return
    if by_deadline:
        run.status = AttemptStatus.CANCELLED
        conclude(call, run)
        raise deadline_error(call)
    time_out(run)


def _tasks(call: Call) -> list[asyncio.Task[None]]:
    tasks = [run.task for run in call.flying if run.task is not None]
    if call.asking is not None:
        tasks.append(call.asking.task)
    return tasks


def _land(call: Call) -> Run | None:
    """See which attempts have ended. The earliest link that succeeded has won; failures count as they ended."""
    landed = [run for run in call.flying if run.task is not None and run.task.done()]
    if not landed:
        return None
    if len(call.flying) == 1 and landed[0].answered:
        call.flying = []
        return landed[0]
    call.flying = [run for run in call.flying if run not in landed]
    winner = next((run for run in landed if run.answered), None)
    for run in sorted(landed, key=lambda run: run.ended or 0.0):
        _raise_what_passes(run)
        if run.answered:
            if run is not winner:
                call.leaving.append(run)
        else:
            fail(call, run)
    return winner


def _raise_what_passes(run: Run) -> None:
    # KeyboardInterrupt and the like ended the attempt's task, and are nobody's failure.
    if run.task is not None and not run.task.cancelled() and (error := run.task.exception()) is not None:
        raise error
