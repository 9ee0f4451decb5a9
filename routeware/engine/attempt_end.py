"""The end of an attempt: it is settled, and its listeners learn of it. Losers are cut off and waited for before.

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
from routeware.engine.cooldown import note_end, withdraw
from routeware.engine.execution import Execution
from routeware.engine.race_state import Race
from routeware.engine.verdict import record_failure
from routeware.engine.waiting import keep_alive
from routeware.observers import FOREIGN, Cut
from routeware.records import AttemptStatus

__all__ = [
    "close_all",
    "conclude_attempt",
    "cut_off_all",
    "cut_off_losers",
    "finish_later",
    "finish_or_detach",
    "give_up_backup",
]

logger = logging.getLogger("routeware")


def conclude_attempt(call: Call, execution: Execution) -> None:
    """Settle an attempt that has ended, if a budget counts it, and tell its listeners. Once."""
    execution.conclude()
    if call.health is not None and call.health.troubled:
        note_end(execution, call)
    if not call.is_plain:
        if call.payer is not None or call.prepared.is_capped:
            execution.settle()
        if call.listeners is not None:
            call.listeners.attempt_ended(call, execution)


def cut_off_losers(call: Call) -> None:
    """Cut off what a stream's first item has beaten. It is waited for at the stream's end, not before."""
    cut_off_all(call, AttemptStatus.RACE_LOST)
    for one in [] if call.race is None else call.race.cancelling:
        finish_later(call, one)


def cut_off_all(call: Call, status: AttemptStatus) -> None:
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


def finish_later(call: Call, execution: Execution) -> None:
    """Conclude an attempt as soon as its task has ended, not with the call: what it holds is free for others then."""
    if execution.task is not None:
        execution.task.add_done_callback(lambda _task: finish_cancelled(call, execution))


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
        close_all([execution.result] if execution.has_value else [], kept)
        execution.forget_all()

    task.add_done_callback(end)


def close_all(results: Sequence[object], kept: list[object]) -> list[asyncio.Future[Any]]:
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
    except Exception as error:  # noqa: BLE001 - whatever a result's own close raises harms no call
        _warn_open(error)


def _warn_open(error: BaseException) -> None:
    logger.warning("a result that no caller gets could not be closed (%s)", type(error).__qualname__)
