"""How a call ends: what is in flight is cut off and waited for, results that nobody gets are closed, all is told.

Nothing outlives its call but an attempt that ignores its cancellation for longer than 250 ms. It is kept alive, its
reservation stays until it ends, and then only the session is corrected.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from routeware.attempt import Run
from routeware.attempt.settling import settle, settle_late
from routeware.errors import ResultRejectedError
from routeware.race import CLEANUP_GRACE_S, adopt, reap
from routeware.records import AttemptStatus, AttemptTrigger, CallRecord, attach_record
from routeware.router.judging import let_go, settle_and_end
from routeware.router.measuring import measure
from routeware.router.recording import annotate, call_record, end_attempt, end_call
from routeware.router.state import Call

__all__ = ["abandon", "clear_away", "finish"]

logger = logging.getLogger("routeware")

LEDGER_GRACE_S = 1.0
"""How long a call waits for ledgers to hear what it cost, before it leaves that to its session."""


async def clear_away(call: Call, winner: Run | None, verdict: BaseException | None) -> asyncio.CancelledError | None:
    """Cut off what is in flight and wait for it, at most 250 ms; close what nobody gets.

    Returns:
        A cancellation of the caller that came meanwhile: to be raised when all is done.
    """
    until = call.loop.time() + CLEANUP_GRACE_S
    cut_off(call, AttemptStatus.CANCELLED if winner is None else AttemptStatus.RACE_LOST)
    cancellation = await reap([run.task for run in call.leaving if run.task is not None], until)
    leaving, call.leaving = call.leaving, []
    for run in leaving:
        _part_with(call, run)
    kept = None if cancellation is not None else winner
    cancellation = await reap(_close_unwanted(call, kept, cancellation or verdict), until) or cancellation
    cancellation = await _post(call) or cancellation
    if cancellation is not None and kept is not None:
        # Its caller went away while others were waited for: now nobody gets this result either.
        await reap(_closers([kept.result]), until)
    if cancellation is not None and winner is not None:
        winner.status = AttemptStatus.CANCELLED
    return cancellation


def cut_off(call: Call, status: AttemptStatus) -> None:
    """Cancel all that is in flight, and stamp the moment."""
    now, now_ns = call.loop.time(), time.time_ns()
    if call.asking is not None:
        call.drop(call.asking)
        call.asking = None
    for run in (*call.flying, *call.leaving):
        if run.status is None:
            run.status = status
        if not run.cut:
            run.cut, run.cut_ns = True, now_ns
            if run.task is not None and not run.task.done():
                run.ended = now
                run.task.cancel()
    call.leaving += call.flying
    call.flying = []


def abandon(call: Call) -> None:
    """Leave at once, without waiting for anything: the program or the coroutine is being torn down."""
    cut_off(call, AttemptStatus.CANCELLED)
    leaving, call.leaving = call.leaving, []
    for run in leaving:
        _part_with(call, run)


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
    if call.heard:
        _tell_race(call)
        end_call(call, verdict)
    if call.meters is not None:
        measure(call, call.meters)
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


def _conclude(call: Call, run: Run) -> None:
    # The attempt that won, or that ran in the caller's task when the call was cut off.
    if run.status is None:
        run.status = AttemptStatus.CANCELLED
    settle_and_end(call, run, max(time.time_ns(), call.trace.after_losers()) if call.trace is not None else None)


def _part_with(call: Call, run: Run) -> None:
    """Conclude an attempt that was cut off; one that still runs goes on as a straggler."""
    if run.task is None or run.task.done():
        let_go(call, run)
        return
    settle(run, straggling=True)
    run.concluded = True
    if call.heard:
        end_attempt(call, run)
    _strand(call, run, run.task)


def _strand(call: Call, run: Run, task: asyncio.Task[None]) -> None:
    run.straggling = True
    adopt(task)
    reservation = run.reservation
    if call.book is not None and reservation is not None:
        settled, uncertain = run.settled or 0, run.uncertain or 0
        call.book.keep(task, lambda: reservation.settle(settled, uncertain))

    def ended(_task: asyncio.Future[Any]) -> None:
        if not task.cancelled():
            task.exception()
        settle_late(run)
        for closing in _closers([_unwanted(run)] if _has_result(run) else []):
            adopt(closing)
        run.error = run.result = None

    task.add_done_callback(ended)


def _has_result(run: Run) -> bool:
    return run.answered or isinstance(run.error, ResultRejectedError)


def _unwanted(run: Run) -> Any:
    return run.error.result if isinstance(run.error, ResultRejectedError) else run.result


def _close_unwanted(call: Call, winner: Run | None, verdict: BaseException | None) -> list[asyncio.Future[Any]]:
    kept = [] if winner is None else [winner.result]
    raised = (verdict, verdict.__cause__ if verdict is not None else None)
    kept += [error.result for error in raised if isinstance(error, ResultRejectedError)]
    gone = [
        run for run in call.runs if run is not winner and _has_result(run) and (run.task is None or run.task.done())
    ]
    results = [_unwanted(run) for run in gone]
    return _closers([result for result in results if not any(result is one for one in kept)])


def _closers(results: list[Any]) -> list[asyncio.Future[Any]]:
    return [closing for result in results if (closing := _close(result)) is not None]


def _close(result: Any) -> asyncio.Future[Any] | None:
    """Close a result that nobody gets, if it can be closed; what is left to wait for."""
    close = getattr(result, "aclose", None) or getattr(result, "close", None)
    if not callable(close):
        return None
    try:
        closing = close()
    except Exception as error:  # noqa: BLE001 - nobody waits for this result
        logger.warning("a result that nobody gets could not be closed (%s)", type(error).__qualname__)
        return None
    return asyncio.ensure_future(_closed(closing)) if isinstance(closing, Awaitable) else None


async def _closed(closing: Awaitable[Any]) -> None:
    try:
        await closing
    except Exception as error:  # noqa: BLE001 - nobody waits for this result
        logger.warning("a result that nobody gets could not be closed (%s)", type(error).__qualname__)


async def _post(call: Call) -> asyncio.CancelledError | None:
    """Wait until ledgers outside of this process have heard what this call cost."""
    if not call.remote:
        return None
    for run in call.runs:
        settle(run)
    posted = [run.reservation.posted for run in call.runs if run.reservation is not None]
    return await reap([one for one in posted if one is not None], call.loop.time() + LEDGER_GRACE_S)


def _tell_race(call: Call) -> None:
    if not any(run.trigger is AttemptTrigger.RACE for run in call.runs):
        return
    say = call.plan.events.say
    for run in call.runs:
        if run.status is AttemptStatus.RACE_LOST:
            say(call.trace, "race_lost", link=run.label)
    if call.winner is not None:
        say(call.trace, "race_won", link=call.winner.label)


def _misused(call: Call, verdict: BaseException) -> bool:
    return any(run.misused and run.error is verdict for run in call.runs)


def _tell(on_call: Callable[[CallRecord], object], record: CallRecord) -> None:
    try:
        on_call(record)
    except Exception as error:  # noqa: BLE001 - a hook's failure harms nobody
        logger.warning("the on_call hook failed (%s)", type(error).__qualname__)
