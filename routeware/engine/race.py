"""Racing: the next link beside a slow one, and the first success wins.

One event is handled at a time: the first, by rank, of what is there when the engine looks. It looks again after each,
so nothing is queued and nothing is stale. An extra attempt must never harm the running one: whatever goes wrong in
starting it leaves only an event behind. Losers are cut off and settled in ``attempt_end``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Literal, assert_never

from routeware.budget import PendingReservation
from routeware.engine.admission import admit, admit_next
from routeware.engine.attempt import handle_of, put_current
from routeware.engine.attempt_end import conclude_attempt, finish_later, give_up_backup
from routeware.engine.call import Call
from routeware.engine.caps import session_cap
from routeware.engine.chain import run_chain, start_next
from routeware.engine.cooldown import everything_cools, withdraw
from routeware.engine.execution import Execution
from routeware.engine.invoke import called, enter, leave, submit
from routeware.engine.race_state import Race
from routeware.engine.verdict import deadline_error, record_failure, record_time_out
from routeware.engine.waiting import is_due
from routeware.errors import BudgetExceededError, LedgerUnavailableError, PolicyError
from routeware.observers import FOREIGN, Cut
from routeware.records import AttemptTrigger

__all__ = ["run_race"]

logger = logging.getLogger("routeware")

_Due = Literal["failed", "deadline", "timed_out", "granted", "refused", "race_due"]

Event = Literal["answered"] | _Due
"""The events of a race, in the order of their ranks."""


async def run_race(call: Call) -> Execution:
    """Try links until one succeeds; start the next one, too, when those in flight are slow.

    Returns:
        The attempt that succeeded first; the earliest link, where several have. What is still in flight then, or when
        this raises, is left to the caller of this function.

    Raises:
        asyncio.CancelledError: the caller was cancelled.
        Exception: there is no success, and this is what the call raises.
    """
    race = Race(call.loop)
    turns = 2
    while True:
        if call.race is None or race.is_idle:
            answered = await _begin(call, race)
            if answered is not None:
                return answered
        found = _look(call, race)
        if found is None:
            try:
                await race.change(call.deadline)
            finally:
                race.disarm()
            continue
        event, execution = found
        if event == "answered":
            race.land(execution)
            if race.in_flight:
                _collect_finished(call, race)
            return execution
        if turns and event in _BY_CLOCK:
            # An answer that is due at this very moment takes one turn of the loop to wake the provider, and one to be
            # given. It counts.
            turns -= 1
            await asyncio.sleep(0)
        else:
            turns = 2
            _handle_due(call, race, event, execution)


_BY_CLOCK = ("deadline", "timed_out")


async def _begin(call: Call, race: Race) -> Execution | None:
    """Start the next attempt, with nothing in flight, and wait for it until a backup is due or its time is up.

    Most calls end here: nothing races, so no race is opened that would have to be looked through and cleared away.

    Returns:
        The attempt, if it has answered; ``None`` where it is in the race from now on.
    """
    has_to_wait = call.payer is not None and call.payer.remote
    at_once = admit_next(call) if call.attempts_left and not has_to_wait else None
    execution = at_once or await start_next(call)
    if not call.attempts_left and not call.may_begin_round and call.driver is None:
        return await run_chain(call, execution)  # no race can follow: no task is needed
    backup_due = _launch(call, race, execution)
    due = execution.due
    try:
        if execution.ended is None:  # else its task is eager
            await race.until(due if backup_due is None or (due is not None and due < backup_due) else backup_due)
    except BaseException:
        _enter(call, race, execution, backup_due)  # to be cut off
        raise
    finally:
        race.disarm()
    if execution.accepted:
        return execution
    _enter(call, race, execution, backup_due)
    return None


def _enter(call: Call, race: Race, execution: Execution, backup_due: float | None) -> None:
    """Have an attempt that runs be in the race, which is opened for the first one."""
    if call.race is None:
        call.open_race(race)
    race.enter(execution, backup_due)


def _handle_due(call: Call, race: Race, event: _Due, execution: Execution) -> None:
    """Handle an event that decides nothing yet."""
    match event:
        case "deadline":
            raise deadline_error(call)
        case "failed" | "timed_out":
            if event == "failed":
                _fail(call, race, execution)
            else:
                _expire(call, race, execution)
            if call.fatal is not None:
                race.close()
                give_up_backup(call, race)
        case "granted":
            race.answered()
            _start_granted(call, race, execution)
        case "refused":
            assert race.reservation is not None
            error = race.reservation.failure()
            race.answered()
            withdraw(call, execution)
            if error is not None:
                _skip_race(call, race, execution.label, error)
        case "race_due":
            _back_up(call, race)
        case _:
            assert_never(event)


def _look(call: Call, race: Race) -> tuple[Event, Execution] | None:
    """Find what is there now, the first by rank; ``None`` where there is nothing."""
    failed: Execution | None = None
    for one in race.in_flight:
        if one.accepted:  # a stream's task goes on
            return "answered", one
        if one.has_failed and (failed is None or (one.ended or 0.0) < (failed.ended or 0.0)):
            failed = one
    if failed is not None:
        return "failed", failed
    return _look_at_clock(call, race, call.loop.time())


def _look_at_clock(call: Call, race: Race, now: float) -> tuple[Event, Execution] | None:
    first = race.in_flight[0] if race.in_flight else race.pending
    assert first is not None
    if is_due(call.deadline, now):
        return "deadline", first
    for one in race.in_flight:
        if is_due(one.due, now):
            return "timed_out", one
    if race.reservation is not None and race.pending is not None:
        if race.reservation.task.done():
            return "granted" if race.reservation.failure() is None else "refused", race.pending
    elif is_due(race.backup_due, now):
        return "race_due", first
    return None


def _launch(call: Call, race: Race, execution: Execution) -> float | None:
    """Run an attempt that was started in a task of its own; give the moment at which a backup may follow, if any."""
    if call.driver is None:
        task = call.loop.create_task(_run(call, race, execution))
    else:
        task = call.driver(call, race, execution)
    execution.run_in(task)
    task.add_done_callback(race.wake, context=race.context)
    after_s = call.race_after_s
    return None if after_s is None or not call.attempts_left else execution.started + after_s


async def _run(call: Call, race: Race, execution: Execution) -> None:
    """Run an attempt in a task of its own, and leave its outcome on ``execution``: a result, or an error.

    A CancelledError is either our doing or the provider's here, and is left there like any other error.

    Raises:
        BaseException: what is not an ``Exception`` passes through.
    """
    accept = call.prepared.registrations.accept
    attempt = handle_of(execution)
    token = put_current(attempt)
    attached = None if call.listeners is None else enter(call, execution)
    try:
        result = await called(call, execution, attempt)
        if accept is None:
            execution.answer(result)
        else:
            await submit(accept, execution, result)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the verdict says what it means
        execution.throw(error)
    finally:
        leave(call, execution, token, attached)
        race.tell(execution.task)


def _collect_finished(call: Call, race: Race) -> None:
    """See what else has ended in the turn of the answer: failures count as they ended."""
    finished = [one for one in race.in_flight if one.has_failed]
    for one in sorted(finished, key=lambda one: one.ended or 0.0):
        _fail(call, race, one)


def _fail(call: Call, race: Race, execution: Execution) -> None:
    task = execution.task
    assert task is not None
    if not task.done():  # it was turned down, and cleans up
        race.expire(execution)
        record_failure(call, execution)
        finish_later(call, execution)
        return
    race.land(execution)
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error  # KeyboardInterrupt and the like ended the task, and are no provider's failure
    record_failure(call, execution)
    conclude_attempt(call, execution)


def _expire(call: Call, race: Race, execution: Execution) -> None:
    """Fail an attempt whose time is up, whatever it may still do."""
    race.expire(execution)
    execution.cut_off(Cut(call.loop.time(), time.time_ns()))
    record_time_out(call, execution)
    finish_later(call, execution)


def _back_up(call: Call, race: Race) -> None:
    """Start the next link beside those in flight, if one is left that does not cool and can be paid for."""
    if everything_cools(call):
        race.close()
        call.emit("race_skipped", link=call.links[call.cursor].label, reason="cooldown")
        return
    try:
        execution, refusal = admit(call, AttemptTrigger.RACE)
    except FOREIGN as error:  # it must never harm the running one
        _skip_race(call, race, call.links[call.cursor].link.label, error)
        return
    if refusal is not None:
        _skip_race(call, race, execution.label, refusal)
    elif call.payer is not None and call.payer.remote:
        bill = execution.bill
        assert bill.reservation is not None
        cap = session_cap(call)
        pending = PendingReservation(call.payer, bill.reservation, bill.projection or 0, cap)
        race.ask(execution, pending, call.loop.time())
    else:
        _start_beside(call, race, execution)
    del refusal  # an error that a frame of its own traceback holds is not freed with the last who wants it


def _start_beside(call: Call, race: Race, execution: Execution, ledger_wait_s: float | None = None) -> None:
    against = race.in_flight[-1]
    after_ms = (call.loop.time() - against.started) * 1000
    call.start(execution, ledger_wait_s)
    call.emit("race_started", link=execution.label, against=against.label, after_ms=after_ms)
    _enter(call, race, execution, _launch(call, race, execution))


def _start_granted(call: Call, race: Race, execution: Execution) -> None:
    waited_s = call.loop.time() - race.asked
    if race.in_flight:
        _start_beside(call, race, execution, waited_s)
        return
    # What it was to race has failed meanwhile: this is the next attempt.
    execution.become(AttemptTrigger.FAILOVER)
    call.start(execution, waited_s)
    _enter(call, race, execution, _launch(call, race, execution))


def _skip_race(call: Call, race: Race, label: str, error: BaseException) -> None:
    """Race no more until the next ordinary start: the link keeps its place in the chain."""
    race.close()
    match error:
        case BudgetExceededError():
            reason = "budget"
        case LedgerUnavailableError():
            reason = "ledger"
        case PolicyError():
            reason = "unpriced"
        case _:
            reason = "estimate"
            logger.warning("no backup was started: the estimate hook failed (%s)", type(error).__qualname__)
    call.emit("race_skipped", link=label, reason=reason)
