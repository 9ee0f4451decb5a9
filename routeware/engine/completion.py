"""The end of an attempt and of a call: settled, told, and put on record."""

from __future__ import annotations

import logging
from collections.abc import Callable

from routeware.engine.call import Call
from routeware.engine.cooldown import note_end
from routeware.engine.execution import Execution
from routeware.engine.flight import Race
from routeware.engine.latency_feedback import learn
from routeware.engine.record import annotate, call_record
from routeware.observers import FOREIGN
from routeware.records import AttemptStatus, CallRecord, attach_record

__all__ = ["complete", "conclude_attempt", "tell_win"]

logger = logging.getLogger("routeware")


def conclude_attempt(call: Call, execution: Execution) -> None:
    """Settle an attempt that has ended, if a budget counts it, and tell its listeners. Once."""
    execution.conclude()
    if call.health is not None and call.health.troubled:
        note_end(execution, call)
    if call.is_observed:
        if call.payer is not None or call.prepared.is_capped:
            execution.settle()
        if call.listeners is not None:
            call.listeners.attempt_ended(call, execution)


def complete(call: Call, *, wants_record: bool) -> CallRecord | None:
    """Settle and tell everything that is left to settle and to tell, with nothing in flight any more.

    Returns:
        The record, where the caller, an error or ``on_call`` wants it.
    """
    call.end()
    winner = call.winner
    if winner is not None:
        winner.win()
    for one in call.attempts:
        if not one.concluded:
            if one.status is None:
                one.stop()
            conclude_attempt(call, one)
    if call.payer is not None:
        call.payer.count_call(call.outcome, call.attempts)
    if call.is_observed:
        _tell(call)
    error, on_call = call.error, call.prepared.registrations.on_call
    if not wants_record and error is None and on_call is None:
        return None
    record = call_record(call)
    if error is not None:
        _leave_record(call, error, record)
    if on_call is not None:
        _call_hook(on_call, record)
    return record


def _leave_record(call: Call, error: BaseException, record: CallRecord) -> None:
    """Leave the record on the error that the call raises; an error in calling the function at all is the caller's."""
    if any(one.is_misuse and one.error is error for one in call.attempts):
        return
    attach_record(error, record)
    if isinstance(error, Exception):
        annotate(error, call, record)


def tell_win(call: Call) -> None:
    """Tell at once that a stream has its first item: who won the race, and what a latency target learns from it."""
    winner, race = call.winner, call.race
    assert winner is not None
    assert race is not None
    learn(call, call.loop.time())
    call.emit("first_item", link=winner.label, after_ms=(call.loop.time() - call.began) * 1000)
    _emit_race(call, race)


def _tell(call: Call) -> None:
    if call.driver is None or call.winner is None:
        # A stream with a first item has told this then.
        if call.tactics is not None:
            learn(call, call.ended)
        if call.race is not None:
            _emit_race(call, call.race)
    if call.listeners is not None:
        call.listeners.call_ended(call)


def _emit_race(call: Call, race: Race) -> None:
    if not race.rivals:
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
