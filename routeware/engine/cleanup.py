"""Cutting off what is in flight when a call is decided, and waiting for it; closing results that no caller gets.

After its call, nothing goes on but what takes longer than 250 ms: a result that is being closed, and an attempt that
ignores its cancellation. That is detached: kept alive, its reservation stays until it ends, and then only the session
is corrected.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from typing import Any

from routeware.engine.call import Call
from routeware.engine.completion import conclude_attempt
from routeware.engine.cooldown import withdraw
from routeware.engine.execution import Execution
from routeware.engine.flight import Race
from routeware.engine.timers import CLEANUP_GRACE_S, keep_alive, wait_for_all
from routeware.engine.verdict import record_failure
from routeware.errors import ResultRejectedError
from routeware.observers import FOREIGN, Cut
from routeware.records import AttemptStatus

__all__ = [
    "abandon",
    "clear_away",
    "cut_off_losers",
    "finish_later",
    "finish_or_detach",
    "give_up_backup",
    "is_untidy",
]

logger = logging.getLogger("routeware")


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
    _cut_off_all(call, AttemptStatus.CANCELLED if winner is None else AttemptStatus.RACE_LOST)
    race = call.race
    cancelling = [] if race is None else race.cancelling
    cancellation = await wait_for_all([one.task for one in cancelling if one.task is not None], until)
    kept = [] if cancellation is not None else _kept_results(winner, raised)
    is_kept = bool(kept)
    for one in [] if race is None else race.finish():
        finish_or_detach(call, one, kept)
    unwanted = [one.result for one in call.attempts if one.has_value and (one.task is None or one.task.done())]
    cancellation = await wait_for_all(_close_all(unwanted, kept), until) or cancellation
    cancellation = await _wait_for_ledgers(call, ledgers_until) or cancellation
    if cancellation is None or (call.driver is not None and (winner is not None or call.outcome != "cancelled")):
        return cancellation
    if winner is not None:
        # Its caller went away while others were waited for: now this result is lost, too.
        winner.lose_caller()
        if is_kept:
            await wait_for_all(_close_all([winner.result], []), until)
    if call.outcome != "cancelled":
        call.fail(cancellation, "cancelled")
    return None


def cut_off_losers(call: Call) -> None:
    """Cut off what a stream's first item has beaten. It is waited for at the stream's end, not before."""
    _cut_off_all(call, AttemptStatus.RACE_LOST)
    for one in [] if call.race is None else call.race.cancelling:
        finish_later(call, one)


def finish_later(call: Call, execution: Execution) -> None:
    """Conclude an attempt as soon as its task has ended, not with the call: what it holds is free for others then."""
    if execution.task is not None:
        execution.task.add_done_callback(lambda _task: finish_cancelled(call, execution))


def abandon(call: Call) -> None:
    """Leave at once, without waiting for anything: the program or the coroutine is being torn down."""
    try:
        _cut_off_all(call, AttemptStatus.CANCELLED)
    except RuntimeError:
        # The loop is closed: its tasks will never end, and can't be cancelled.
        if call.race is not None:
            call.race.cut_off()
    for one in [] if call.race is None else call.race.finish():
        one.stop()
        finish_or_detach(call, one, [])


def is_untidy(call: Call) -> bool:
    """Say whether anything is left to clear away: attempts in flight, messages to ledgers, unwanted results."""
    race = call.race
    if call.is_remote or (race is not None and (race.in_flight or race.cancelling or race.pending)):
        return True
    accept = call.registrations.accept
    return accept is not None and any(one.has_value and one is not call.winner for one in call.attempts)


def finish_cancelled(call: Call, execution: Execution) -> None:
    """Conclude an attempt that was cut off, now that its task has ended."""
    task = execution.task
    if task is not None and not task.cancelled():
        task.exception()  # read, so that the loop does not report it as lost
    if execution.concluded:
        return
    failure = execution.failure
    if failure is not None and failure.error.__cause__ is None and failure.error is not execution.error:
        failure.error.__cause__ = execution.error
    conclude_attempt(call, execution)


def _kept_results(winner: Execution | None, raised: BaseException | None) -> list[object]:
    """Find the results that the caller gets, or finds on the error that it gets."""
    if winner is not None:
        return [winner.result]
    errors = (raised, raised.__cause__ if raised is not None else None)
    return [error.result for error in errors if isinstance(error, ResultRejectedError)]


def _cut_off_all(call: Call, status: AttemptStatus) -> None:
    """Cancel all that is in flight, and stamp the moment."""
    cut = Cut(call.loop.time(), time.time_ns())
    trace = call.trace
    if trace is not None and call.stream_end is None:
        trace.decide(cut.at_ns)
    race = call.race
    if race is None:
        return
    give_up_backup(call, race)
    for one in race.in_flight:
        if one.has_failed and isinstance(one.error, Exception):
            record_failure(call, one)  # what is there counts, though the engine had not looked yet
            if one.is_over:
                conclude_attempt(call, one)
    for one in (*race.in_flight, *race.cancelling):
        if not one.concluded:
            one.cut_off(cut, status)
    race.cut_off()


def give_up_backup(call: Call, race: Race) -> None:
    """Wait no more for the ledger's answer to a backup."""
    pending = race.abandon()
    if pending is not None:
        withdraw(call, pending)


def finish_or_detach(call: Call, execution: Execution, kept: list[object]) -> None:
    """Conclude an attempt that was cut off; detach one that still runs."""
    task = execution.task
    if task is None or task.done():
        finish_cancelled(call, execution)
        return
    execution.detach()
    execution.conclude()
    withdraw(call, execution)  # a probe that ignores its cancellation must not keep others from probing
    if call.listeners is not None:
        call.listeners.attempt_ended(call, execution)
    keep_alive(task)
    if call.payer is not None:
        call.payer.keep(task, execution.bill.give_up)

    def end(_task: asyncio.Future[Any]) -> None:
        if not task.cancelled():
            task.exception()
        execution.settle_detached()
        _close_all([execution.result] if execution.has_value else [], kept)
        execution.forget_all()

    task.add_done_callback(end)


def _close_all(results: Sequence[object], kept: list[object]) -> list[asyncio.Future[Any]]:
    """Close results that no caller gets, if they can be closed, each once; return what remains to wait for.

    Args:
        results: what attempts gave.
        kept: what the caller has got, or is closed: two links may give the same object. What is closed here is added.
    """
    closing = []
    for result in results:
        if not any(result is one for one in kept):
            kept.append(result)
            closing += _close(result)
    return closing


def _close(result: Any) -> list[asyncio.Future[Any]]:
    try:
        close = getattr(result, "aclose", None) or getattr(result, "close", None)
        waiting = close() if callable(close) else None
    except FOREIGN as error:
        _warn_open(error)
        return []
    if not isinstance(waiting, Awaitable):
        return []
    task = asyncio.ensure_future(_closed(waiting))
    keep_alive(task)
    return [task]


async def _closed(waiting: Awaitable[Any]) -> None:
    try:
        await waiting
    except Exception as error:  # noqa: BLE001 - as above
        _warn_open(error)


def _warn_open(error: BaseException) -> None:
    logger.warning("a result that no caller gets could not be closed (%s)", type(error).__qualname__)


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
