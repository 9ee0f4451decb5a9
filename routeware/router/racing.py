"""Racing: the next link beside those in flight, and whose time is up.

An extra attempt must never harm the running one: whatever goes wrong in starting it leaves only an event behind.
"""

from __future__ import annotations

import logging
import time

from routeware.attempt import Run
from routeware.errors import BudgetExceededError, LedgerUnavailableError, PolicyError
from routeware.race import is_due
from routeware.records import AttemptTrigger
from routeware.router.admission import reserve, reserve_remotely
from routeware.router.concluding import let_go
from routeware.router.judging import deadline_error, fail, time_out
from routeware.router.starting import launch, start
from routeware.router.state import Asking, Call

__all__ = ["act", "next_moment"]

logger = logging.getLogger("routeware")


def act(call: Call) -> None:
    """Nothing has won: see whose time is up, what a ledger said, and whether it is time to race.

    Raises:
        DeadlineExceededError: the call's time is up.
    """
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


def next_moment(call: Call) -> float | None:
    """When there is something to do, though nothing in flight has ended; ``None`` for never."""
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
    return call.latest_start + (call.race_after_s or 0.0)


def _expire(call: Call, run: Run, now: float) -> None:
    """The time of ``run`` is up: it has failed now, whatever it may still do."""
    assert run.task is not None
    call.flying.remove(run)
    call.leaving.append(run)
    run.ended, run.cut, run.end_ns = now, True, time.time_ns()
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
    against = call.flying[-1]
    after_ms = (call.loop.time() - against.started) * 1000
    start(call, run)
    for one in (*call.flying, run):
        one.raced = True
    call.plan.events.say(call.trace, "race_started", link=run.label, against=against.label, after_ms=after_ms)
    launch(call, run)


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
        if error is not None:
            _not_raced(call, asking.run, error)
        elif call.flying:
            _race(call, asking.run)
        else:
            # What it was to race has failed meanwhile: this is the next attempt.
            asking.run.trigger = AttemptTrigger.FAILOVER
            start(call, asking.run)
            launch(call, asking.run)


def _not_raced(call: Call, run: Run, error: BaseException) -> None:
    call.racing = False
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
    call.plan.events.say(call.trace, "race_skipped", link=run.label, reason=reason)
