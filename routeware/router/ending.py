"""How a call ends: what is in flight is cut off and waited for, results that nobody gets are closed, all is told.

Nothing outlives its call but an attempt that ignores its cancellation for longer than 250 ms. It is kept alive, its
reservation stays until it ends, and then only the session is corrected.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from routeware.attempt import Run, settle
from routeware.errors import ResultRejectedError
from routeware.race import CLEANUP_GRACE_S, reap
from routeware.records import AttemptStatus, AttemptTrigger, CallRecord, attach_record
from routeware.router.concluding import close_all, conclude, part_with
from routeware.router.judging import fail
from routeware.router.learning import learn
from routeware.router.measuring import measure
from routeware.router.recording import annotate, call_record, end_call
from routeware.router.state import Call

__all__ = ["abandon", "clear_away", "finish"]

logger = logging.getLogger("routeware")


async def clear_away(call: Call, winner: Run | None, verdict: BaseException | None) -> asyncio.CancelledError | None:
    """Cut off what is in flight and wait for it, at most 250 ms; close what nobody gets.

    Returns:
        A cancellation of the caller that came meanwhile: to be raised when all is done.
    """
    until = call.loop.time() + CLEANUP_GRACE_S
    if winner is not None:
        winner.end_ns = time.time_ns()
    cut_off(call, AttemptStatus.CANCELLED if winner is None else AttemptStatus.RACE_LOST)
    cancellation = await reap([run.task for run in call.leaving if run.task is not None], until)
    leaving, call.leaving = call.leaving, []
    kept = _kept(winner, cancellation, verdict)
    saved = bool(kept)
    for run in leaving:
        part_with(call, run, kept)
    cancellation = await reap(close_all(_given(call), kept), until) or cancellation
    cancellation = await _post(call, until) or cancellation
    if cancellation is not None and winner is not None:
        # Its caller went away while others were waited for: now nobody gets this result either.
        winner.status = AttemptStatus.CANCELLED
        if saved:
            await reap(close_all([winner.result], []), until)
    return cancellation


def _kept(winner: Run | None, cancellation: BaseException | None, verdict: BaseException | None) -> list[object]:
    """The results that the caller gets, or finds on the error that it gets."""
    if cancellation is not None:
        return []
    raised = (verdict, verdict.__cause__ if verdict is not None else None)
    rejected = [error.result for error in raised if isinstance(error, ResultRejectedError)]
    return rejected if winner is None else [winner.result]


def _given(call: Call) -> list[object]:
    return [run.result for run in call.runs if run.replied and (run.task is None or run.task.done())]


def cut_off(call: Call, status: AttemptStatus) -> None:
    """Cancel all that is in flight, and stamp the moment."""
    now, now_ns = call.loop.time(), time.time_ns()
    if call.asking is not None:
        call.drop(call.asking)
        call.asking = None
    for run in call.flying:
        if run.task is not None and run.task.done() and isinstance(run.error, Exception) and not run.answered:
            fail(call, run)  # what is there counts, though nobody had looked yet
    for run in (*call.flying, *call.leaving):
        if run.concluded:
            continue
        run.status = run.status or status
        if not run.cut:
            run.cut, run.end_ns = True, now_ns
            if run.task is not None and not run.task.done():
                run.ended = now
                run.task.cancel()
    call.leaving += call.flying
    call.flying = []


def abandon(call: Call) -> None:
    """Leave at once, without waiting for anything: the program or the coroutine is being torn down."""
    try:
        cut_off(call, AttemptStatus.CANCELLED)
    except RuntimeError:
        # The loop is closed: its tasks will never end, and cannot be told.
        call.leaving += call.flying
        call.flying = []
    leaving, call.leaving = call.leaving, []
    for run in leaving:
        run.status = run.status or AttemptStatus.CANCELLED
        part_with(call, run, [])


def finish(call: Call, winner: Run | None, verdict: BaseException | None, wanted: bool) -> CallRecord | None:
    """Settle and tell all that is left to tell.

    Args:
        call: a call with nothing in flight.
        winner: the attempt whose result the caller gets.
        verdict: what the call raises instead.
        wanted: whether the record is wanted in any case.

    Returns:
        The record, where somebody wants it.
    """
    call.ended = call.loop.time()
    call.winner = winner
    if winner is not None:
        call.outcome = "succeeded"
        winner.status = AttemptStatus.SUCCEEDED
    for run in call.runs:
        if not run.concluded:
            _conclude(call, run)
    _tell_all(call, verdict)
    on_call = call.hooks.on_call
    if not wanted and verdict is None and on_call is None:
        return None
    record = call_record(call)
    if verdict is not None and not _misused(call, verdict):
        attach_record(verdict, record)
        if isinstance(verdict, Exception):
            annotate(verdict, call, record)
    if on_call is not None:
        _tell(on_call, record)
    return record


def _tell_all(call: Call, verdict: BaseException | None) -> None:
    """Tell everybody but the caller: the learner, the session, the trace and the metrics."""
    if call.decision is not None:
        learn(call)
    if call.booked_in is not None:
        call.booked_in.count_call(call.outcome, call.runs)
    if call.heard:
        _tell_race(call)
        end_call(call, verdict)
    if call.meters is not None:
        measure(call, call.meters)


def _conclude(call: Call, run: Run) -> None:
    # The attempt that won, or that ran in the caller's task when the call was cut off.
    if run.status is None:
        run.status = AttemptStatus.CANCELLED
    after = call.trace.after_losers() if call.trace is not None else 0
    conclude(call, run, max(run.end_ns or time.time_ns(), after))


async def _post(call: Call, until: float) -> asyncio.CancelledError | None:
    """Wait until ledgers outside of this process have heard what this call cost; its session waits longer."""
    if not call.remote:
        return None
    for run in call.runs:
        settle(run)
    posted = [run.reservation.undelivered for run in call.runs if run.reservation is not None]
    if call.deadline is not None:
        until = min(until, call.deadline)
    return await reap([one for one in posted if one is not None], until)


def _tell_race(call: Call) -> None:
    if len(call.runs) == 1 or not any(run.trigger is AttemptTrigger.RACE for run in call.runs):
        return
    say = call.plan.events.say
    for run in call.runs:
        if run.status is AttemptStatus.RACE_LOST:
            say(call.trace, "race_lost", link=run.label)
    if call.winner is not None and call.winner.raced:
        say(call.trace, "race_won", link=call.winner.label)


def _misused(call: Call, verdict: BaseException) -> bool:
    return any(run.misused and run.error is verdict for run in call.runs)


def _tell(on_call: Callable[[CallRecord], object], record: CallRecord) -> None:
    try:
        on_call(record)
    except Exception as error:  # noqa: BLE001 - a hook's failure harms nobody
        logger.warning("the on_call hook failed (%s)", type(error).__qualname__)
