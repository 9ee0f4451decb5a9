"""The end of a call: what is left of it is cleared away, then it is settled, reported, and put on record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from routeware.engine.attempt_end import close_all, conclude_attempt, cut_off_all, finish_or_detach
from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.engine.record import annotate, call_record
from routeware.engine.waiting import CLEANUP_GRACE_S, wait_for_all
from routeware.errors import ResultRejectedError
from routeware.observers import FOREIGN
from routeware.records import AttemptStatus, CallRecord, attach_record

__all__ = ["abandon", "clear_away", "complete", "is_untidy", "tell_win"]

logger = logging.getLogger("routeware")


def is_untidy(call: Call) -> bool:
    """Say whether anything is left to clear away: attempts in flight, messages to ledgers, unwanted results."""
    race, payer, accept = call.race, call.payer, call.prepared.registrations.accept
    if race is not None and (race.in_flight or race.cancelling or race.pending):
        return True
    if payer is not None and payer.remote:
        return True
    return accept is not None and any(one.has_value and one is not call.winner for one in call.attempts)


async def clear_away(call: Call, until: float | None = None) -> asyncio.CancelledError | None:
    """Cut off what is in flight and wait for it, at most 250 ms; close what no caller gets; wait for ledgers.

    A cancellation of the caller that comes meanwhile is what the call raises then.

    Args:
        call: the call.
        until: how long to wait for attempts, on the loop's clock; 250 ms from now by default, as for ledgers.

    Returns:
        That cancellation, where the call is a stream that has ended: it has its end already.
    """
    ledgers_until = call.loop.time() + CLEANUP_GRACE_S
    until = ledgers_until if until is None else until
    winner, raised = call.winner, call.error
    cut_off_all(call, AttemptStatus.CANCELLED if winner is None else AttemptStatus.RACE_LOST)
    race = call.race
    cancelling = [] if race is None else race.cancelling
    cancellation = await wait_for_all([one.task for one in cancelling if one.task is not None], until)
    kept = [] if cancellation is not None else _kept_results(winner, raised)
    is_kept = bool(kept)
    for one in [] if race is None else race.finish():
        finish_or_detach(call, one, kept)
    unwanted = [one.result for one in call.attempts if one.has_value and (one.task is None or one.task.done())]
    cancellation = await wait_for_all(close_all(unwanted, kept), until) or cancellation
    cancellation = await _wait_for_ledgers(call, ledgers_until) or cancellation
    if cancellation is None or (call.driver is not None and (winner is not None or call.outcome != "cancelled")):
        return cancellation
    if winner is not None:
        # Its caller went away while others were waited for: now this result is lost, too.
        winner.lose_caller()
        if is_kept:
            await wait_for_all(close_all([winner.result], []), until)
    if call.outcome != "cancelled":
        call.fail(cancellation, "cancelled")
    return None


def _kept_results(winner: Execution | None, raised: BaseException | None) -> list[object]:
    """Find the results that the caller gets, or finds on the error that it gets."""
    if winner is not None:
        return [winner.result]
    errors = (raised, raised.__cause__ if raised is not None else None)
    return [error.result for error in errors if isinstance(error, ResultRejectedError)]


async def _wait_for_ledgers(call: Call, until: float) -> asyncio.CancelledError | None:
    """Wait until ledgers outside of this process have heard what this call cost; its session waits longer."""
    if not call.is_remote:
        return None
    posted = []
    for one in call.attempts:
        one.settle()
        reservation = one.bill.reservation
        if reservation is not None and reservation.undelivered is not None:
            posted.append(reservation.undelivered)
    if call.deadline is not None:
        until = min(until, call.deadline)
    return await wait_for_all(posted, until)


def abandon(call: Call) -> None:
    """Leave at once, without waiting for anything: the program or the coroutine is being torn down."""
    try:
        cut_off_all(call, AttemptStatus.CANCELLED)
    except RuntimeError:
        # The loop is closed: its tasks will never end, and can't be cancelled.
        if call.race is not None:
            call.race.cut_off()
    for one in [] if call.race is None else call.race.finish():
        one.stop()
        finish_or_detach(call, one, [])


def complete(call: Call, *, wants_record: bool) -> CallRecord | None:
    """Settle and tell everything that is left to settle and to tell, with nothing in flight any more.

    Returns:
        The record, where the caller, an error or ``on_call`` wants it.
    """
    error, on_call = call.error, call.prepared.registrations.on_call
    wants_record = wants_record or error is not None or on_call is not None
    if wants_record or call.is_observed:
        _settle(call)
    if not wants_record:
        return None
    record = call_record(call)
    if error is not None:
        _leave_record(call, error, record)
    if on_call is not None:
        _call_hook(on_call, record)
    return record


def _settle(call: Call) -> None:
    call.end()
    winner = call.winner
    if winner is not None:
        winner.win()
    for one in call.attempts:
        if not one.concluded:
            if one.status is None:
                one.stop()
            if not call.is_plain:
                conclude_attempt(call, one)
    if call.payer is not None:
        call.payer.count_call(call.outcome, call.attempts)
    if not call.is_plain:
        _tell(call)


def _leave_record(call: Call, error: BaseException, record: CallRecord) -> None:
    """Leave the record on the error that the call raises; an error in calling the function at all is the caller's."""
    if any(one.is_misuse and one.error is error for one in call.attempts):
        return
    attach_record(error, record)
    if isinstance(error, Exception):
        annotate(error, call, record)


def _tell(call: Call) -> None:
    if call.driver is None or call.winner is None:
        # A stream with a first item has reported this then.
        _learn(call, call.ended)
        _emit_race(call)
    if call.listeners is not None:
        call.listeners.call_ended(call)


def _learn(call: Call, now: float) -> None:
    if call.prepared.learner is not None:
        from routeware.engine.latency_feedback import learn  # noqa: PLC0415  imported by calls with a target only

        learn(call, now)


def tell_win(call: Call) -> None:
    """Tell at once that a stream has its first item: who won the race, and what a latency target learns from it."""
    winner = call.winner
    assert winner is not None
    _learn(call, call.loop.time())
    call.emit("first_item", link=winner.label, after_ms=(call.loop.time() - call.began) * 1000)
    _emit_race(call)


def _emit_race(call: Call) -> None:
    race = call.race
    if race is None or not race.rivals:
        return
    for one in call.attempts:
        if one.status is AttemptStatus.RACE_LOST:
            call.emit("race_lost", link=one.label)
    if call.winner is not None and call.winner in race.rivals:
        call.emit("race_won", link=call.winner.label)


def _call_hook(on_call: Callable[[CallRecord], object], record: CallRecord) -> None:
    try:
        on_call(record)
    except FOREIGN as error:
        logger.warning("the on_call hook failed (%s)", type(error).__qualname__)
