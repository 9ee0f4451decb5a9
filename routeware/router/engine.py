"""The engine: one loop for failover and racing.

Whenever nothing is in flight the next admissible link is started. Where a race can still follow it runs in a task of
its own, and is watched; where none can, in the caller's task, with no task made at all. A failure with others in
flight just leaves the race; a success ends the call.
"""

from __future__ import annotations

import asyncio
import logging
import time

from routeware.attempt import Run, perform
from routeware.errors import BudgetExceededError, LedgerUnavailableError
from routeware.policy import OnExceed
from routeware.race import is_due, watch
from routeware.records import AttemptStatus, AttemptTrigger
from routeware.router.admission import reserve, reserve_remotely, tell_refusal
from routeware.router.judging import (
    deadline_error,
    fail,
    final_error,
    let_go,
    settle_and_end,
    stopped_by_caller,
    time_out,
)
from routeware.router.plan import DEFAULT_TIMEOUT_MS
from routeware.router.state import Asking, Call

__all__ = ["serve"]

logger = logging.getLogger("routeware")

# Reading a member off its enum costs as much as making an attempt.
_INITIAL, _FAILOVER = AttemptTrigger.INITIAL, AttemptTrigger.FAILOVER


async def serve(call: Call) -> Run:
    """Try links until one succeeds; the attempt that did.

    Attempts that are still in flight then, or when this raises, are left to the caller of this function.

    Raises:
        asyncio.CancelledError: the caller was cancelled.
        Exception: there is no success, and this is what the call raises.
    """
    racing = call.plan.race_after_s is not None
    plain = not call.capped and call.book is None and call.deadline is None
    while True:
        if not racing or (not call.flying and call.asking is None):
            run = _first(call) if plain and not call.started else await _next(call)
            if call.racing and call.left:
                _launch(call, run)
            else:
                await _run_here(call, run)
                if run.answered:
                    return run
                _fail(call, run)
                continue
        moment = _next_moment(call)
        await watch(_tasks(call), None if moment is None else moment - call.loop.time())
        winner = _land(call)
        if winner is not None:
            return winner
        _act(call)


def _first(call: Call) -> Run:
    """Start the first link of a call without bounds: nothing can stand in its way."""
    run = Run(call.lanes[0], call, 1, _INITIAL)
    _start(call, run)
    return run


async def _next(call: Call) -> Run:
    """Start the next link whose projection can be reserved; raises what the call raises where there is none."""
    while True:
        runs = call.runs
        if runs and (call.fatal is not None or not call.left or stopped_by_caller(call)):
            raise final_error(call)
        if call.deadline is not None and is_due(call.deadline, call.loop.time()):
            raise deadline_error(call)
        run = Run(call.lanes[call.cursor], call, len(runs) + 1, _FAILOVER if call.started else _INITIAL)
        try:
            if call.capped or call.book is not None:
                reserve(call, run)
            if call.remote:
                await _within_deadline(call, run)
        except BudgetExceededError as refusal:
            _refused(call, run, refusal)
            continue
        except LedgerUnavailableError as error:
            raise error from call.failure
        _start(call, run)
        return run


def _refused(call: Call, run: Run, refusal: BudgetExceededError) -> None:
    tell_refusal(call, refusal)
    if call.plan.on_exceed is not OnExceed.SKIP:
        call.outcome = "budget_exceeded"
        raise refusal from call.failure
    call.refusal = refusal
    call.pass_over()
    run.status, run.booked, run.concluded = AttemptStatus.SKIPPED, True, True
    run.started = run.ended = call.loop.time()
    call.runs.append(run)


async def _within_deadline(call: Call, run: Run) -> None:
    posted = [before.reservation.posted for before in call.runs if before.reservation is not None]
    call.alarm.move(call.deadline)
    try:
        # What attempts before have given back has to be there before more is asked for.
        for message in posted:
            if message is not None and not message.done():
                await asyncio.wait([message])
        await reserve_remotely(call, run)
    except asyncio.CancelledError:
        if not call.alarm.take_back() or call.task.cancelling() > call.entry:
            raise
    except Exception:
        call.alarm.take_back()
        raise
    else:
        if not call.alarm.take_back():
            return
        call.give_back(run)
    raise deadline_error(call)


def _start(call: Call, run: Run) -> None:
    now = call.loop.time()
    call.cursor += 1
    call.started += 1
    call.left -= 1
    call.runs.append(run)
    call.latest_start = run.started = now
    call.racing = call.plan.race_after_s is not None
    timeout_ms = run.lane.timeout_ms
    if timeout_ms is None and call.left:
        timeout_ms = DEFAULT_TIMEOUT_MS
    if timeout_ms is not None:
        run.due = now + timeout_ms / 1000
    if call.deadline is not None and (run.due is None or call.deadline < run.due):
        timeout_ms = (call.deadline - now) * 1000
    run.timeout_ms = timeout_ms
    if call.trace is not None:
        attributes = {
            **run.lane.span_attributes,
            "routeware.attempt.number": run.number,
            "routeware.attempt.trigger": run.trigger.value,
        }
        if timeout_ms is not None:
            attributes["routeware.attempt.timeout_s"] = timeout_ms / 1000
        run.span = call.trace.start_attempt(run.lane.span_name, attributes)


def _launch(call: Call, run: Run) -> None:
    run.task = call.loop.create_task(perform(run))
    call.flying.append(run)


async def _run_here(call: Call, run: Run) -> None:
    """Run an attempt in the caller's own task: bounds hold as far as it honours cancellation."""
    alarm, due, deadline = call.alarm, run.due, call.deadline
    if deadline is not None and (due is None or deadline < due):
        due = deadline
    if due is not None:
        alarm.move(due)
    try:
        await perform(run)
    except asyncio.CancelledError as error:
        rang = alarm.take_back()
        if call.task.cancelling() > (call.entry if rang else 0):
            raise
        run.error = error
    else:
        alarm.due = None
        rang = alarm.rang and alarm.take_back()
    if not rang or run.answered or run.status is AttemptStatus.REJECTED:
        return
    if due is not run.due:
        run.status = AttemptStatus.CANCELLED
        if isinstance(run.error, Exception):
            call.failure = run.error
        settle_and_end(call, run)
        raise deadline_error(call)
    time_out(run)


def _fail(call: Call, run: Run) -> None:
    if run.misused:
        assert run.error is not None
        call.fatal = run.error
    fail(call, run)


def _tasks(call: Call) -> list[asyncio.Task[None]]:
    tasks = [run.task for run in call.flying if run.task is not None]
    if call.asking is not None:
        tasks.append(call.asking.task)
    return tasks


def _act(call: Call) -> None:
    """Nothing has won: see whose time is up, what a ledger said, and whether it is time to race."""
    if not call.flying and call.asking is None:
        return
    now = call.loop.time()
    if is_due(call.deadline, now):
        raise deadline_error(call)
    for run in [run for run in call.flying if is_due(run.due, now)]:
        _expire(call, run, now)
    _hear_ledger(call)
    if call.flying and _room(call) and is_due(_race_at(call), now):
        _back_up(call)


def _next_moment(call: Call) -> float | None:
    moment = call.deadline
    if _room(call):
        race_at = _race_at(call)
        moment = race_at if moment is None or race_at < moment else moment
    for run in call.flying:
        if run.due is not None and (moment is None or run.due < moment):
            moment = run.due
    return moment


def _room(call: Call) -> bool:
    return call.asking is None and call.may_race() and len(call.flying) < call.plan.race_width


def _race_at(call: Call) -> float:
    return call.latest_start + (call.plan.race_after_s or 0.0)


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
            _fail(call, run)
    return winner


def _raise_what_passes(run: Run) -> None:
    # KeyboardInterrupt and the like ended the attempt's task, and are nobody's failure.
    if run.task is not None and not run.task.cancelled() and (error := run.task.exception()) is not None:
        raise error


def _expire(call: Call, run: Run, now: float) -> None:
    """The time of ``run`` is up: it has failed now, whatever it may still do."""
    assert run.task is not None
    call.flying.remove(run)
    call.leaving.append(run)
    run.ended, run.cut, run.cut_ns = now, True, time.time_ns()
    time_out(run)
    run.task.cancel()
    fail(call, run)
    # What it holds is free for others as soon as it has ended, not only when the call has.
    run.task.add_done_callback(lambda _task: let_go(call, run))


def _back_up(call: Call) -> None:
    """Start the next link beside those in flight, if its projection can be reserved."""
    run = Run(call.lanes[call.cursor], call, len(call.runs) + 1, AttemptTrigger.RACE)
    try:
        reserve(call, run)
    except Exception as error:  # noqa: BLE001 - an extra attempt must never harm the running one
        _not_raced(call, run, error)
        return
    if call.remote:
        call.asking = Asking(run, call.loop.create_task(reserve_remotely(call, run)))
    else:
        _race(call, run)


def _race(call: Call, run: Run) -> None:
    after_ms = (call.loop.time() - call.latest_start) * 1000
    _start(call, run)
    call.plan.events.say(call.trace, "race_started", link=run.label, against=call.runs[-2].label, after_ms=after_ms)
    _launch(call, run)


def _hear_ledger(call: Call) -> None:
    """See whether the ledger has answered for a backup; a refusal ends racing until the next ordinary start."""
    asking = call.asking
    if asking is None:
        return
    if call.fatal is not None:
        call.asking = None
        call.drop(asking)
    elif asking.task.done():
        call.asking = None
        error = asking.task.exception()
        if error is None:
            _race(call, asking.run)
        else:
            _not_raced(call, asking.run, error)


def _not_raced(call: Call, run: Run, error: BaseException) -> None:
    call.racing = False
    reason = "budget" if isinstance(error, BudgetExceededError) else "ledger"
    if not isinstance(error, BudgetExceededError | LedgerUnavailableError):
        reason = "estimate"
        logger.warning("no backup was started: the estimate hook failed (%s)", type(error).__qualname__)
    call.plan.events.say(call.trace, "race_skipped", link=run.label, reason=reason)
