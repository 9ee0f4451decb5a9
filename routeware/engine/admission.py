"""The permission to start an attempt: asked in one place, for the first link, a failover and a backup alike.

Asked in this order: has the caller gone, are links and attempts left, is the deadline over, does the next link cool,
does the projection fit the call's own cap and those of every session around it. What is asked of a ledger outside of
this process follows in a second step, because it takes time.
"""

from __future__ import annotations

import asyncio

from routeware.engine.attempt import current_execution
from routeware.engine.call import Call
from routeware.engine.caps import emit_refusal, refusal_of, session_cap
from routeware.engine.cooldown import has_passed_over, pass_over_cooling, withdraw
from routeware.engine.execution import Execution
from routeware.engine.verdict import deadline_error, final_error, is_stopped_by_caller
from routeware.engine.waiting import is_due
from routeware.errors import BudgetExceededError, LedgerUnavailableError
from routeware.policy import OnExceed
from routeware.records import AttemptTrigger

__all__ = ["admit", "admit_next", "admit_next_remotely", "enter_container"]


_INITIAL = AttemptTrigger.INITIAL


def enter_container(call: Call) -> None:
    """Tell a call and the attempt that it is made in of each other: the attempt does not pay for the call."""
    outer = current_execution()
    assert outer is not None
    assert isinstance(outer.request, Call), "an attempt that is made by hand runs nothing"
    call.caller.is_within(outer.request.caller)
    if outer.is_live:
        outer.bill.open_container()


def admit(call: Call, trigger: AttemptTrigger) -> tuple[Execution, BudgetExceededError | None]:
    """Ask whether an attempt at the next link may be started, as far as this process can tell.

    Returns:
        The attempt, which has set its projection aside; and the refusal of a budget that stands in its way, if any. It
        is returned because the chain and a race make different things of it. What is raised ends the call.

    Raises:
        PolicyError: its possible cost is unknown, and a cap is in force.
        BaseException: what the call raises, because nothing more may be started; what the ``estimate`` hook raised.
    """
    if call.failure is not None:
        if call.fatal is not None:
            raise final_error(call)
        if call.caller.risen() and is_stopped_by_caller(call):
            raise call.failure
    if not call.attempts_left:
        raise final_error(call)
    if call.deadline is not None and is_due(call.deadline, call.loop.time()):
        raise deadline_error(call)
    states = call.health
    if states is not None and states.troubled:
        pass_over_cooling(call, states)
    execution = Execution(call.links[call.cursor], call, len(call.attempts) + 1, trigger)
    if states is not None:
        execution.claim(states.claim(execution.prepared.label, call.loop.time() if states.troubled else 0.0))
    if call.is_plain:
        return execution, None
    if call.prepared.is_capped or (call.payer is not None and call.payer.reserving):
        return execution, refusal_of(call, execution)
    return execution, None


def admit_next(call: Call) -> Execution | None:
    """Admit and start the next attempt, with nothing in flight; links that a budget refuses may be skipped.

    Returns:
        The attempt; ``None`` where the last links were skipped, and a further round is to be asked for.

    Raises:
        BaseException: what the call raises where there is no such attempt.
    """
    while True:
        execution, refusal = admit(call, _INITIAL if call.failure is None else call.next_trigger())
        if refusal is None:
            call.start(execution)
            return execution
        try:
            _skip_or_raise(call, execution, refusal)
        finally:
            del refusal  # an error that a frame of its own traceback holds is not freed with the last who wants it
        if call.is_at_the_end_of_a_round:
            return None


async def admit_next_remotely(call: Call) -> Execution | None:
    """Do the same where a ledger outside of this process has to be asked, too; within the call's deadline.

    Raises:
        BaseException: what the call raises where there is no such attempt.
    """
    while True:
        execution, refusal = admit(call, call.next_trigger())
        asked = call.loop.time()
        if refusal is None:
            try:
                await _hold_within_deadline(call, execution)
            except BudgetExceededError as error:
                refusal = error.about(execution.label)
            except LedgerUnavailableError as error:
                error.__cause__ = error.__cause__ or call.failure
                raise
            except Exception as error:
                error.__context__ = error.__context__ or call.failure
                raise
        if refusal is None:
            call.start(execution, call.loop.time() - asked)
            return execution
        try:
            _skip_or_raise(call, execution, refusal)
        finally:
            del refusal  # this frame is part of its traceback, and would keep it alive
        if call.is_at_the_end_of_a_round:
            return None


def _skip_or_raise(call: Call, execution: Execution, refusal: BudgetExceededError) -> None:
    # Wrong arguments are the caller's mistake, whatever is left to spend; looked at only where a budget refuses.
    call.registrations.check_arguments(execution.link, call.owner, call.args, call.kwargs)
    emit_refusal(call, refusal)
    # A link that was passed over because it cools may still fit: that is asked before a refusal ends the call.
    if call.prepared.policy.budget.on_exceed is not OnExceed.SKIP and not has_passed_over(call):
        call.refuse("budget_exceeded")
        try:
            raise refusal from call.failure
        finally:
            del refusal  # this frame is part of its traceback, and would keep it alive
    call.skip(execution, refusal)


async def _hold_within_deadline(call: Call, execution: Execution) -> None:
    caller = call.caller
    caller.reschedule(call.deadline)
    bill = execution.bill
    assert bill.reservation is not None
    try:
        await _wait_for_releases(call)
        await bill.reservation.hold_remotely(bill.projection or 0, session_cap(call))
    except asyncio.CancelledError:
        _release(call, execution)
        if not caller.consume() or caller.is_cancelled_by_caller(fired=True):
            raise
    except BaseException:
        _release(call, execution)
        caller.consume()
        raise
    else:
        caller.consume()
        return
    raise deadline_error(call)


def _release(call: Call, execution: Execution) -> None:
    execution.bill.release()
    withdraw(call, execution)


async def _wait_for_releases(call: Call) -> None:
    """Wait until what attempts before have given back is there, before more is asked for."""
    outer = current_execution()  # the attempt that this call is made in has made room for it
    earlier = [outer, *call.attempts] if outer is not None and outer.is_live else call.attempts
    for reservation in [one.bill.reservation for one in earlier if one.has_bill]:
        message = None if reservation is None else reservation.undelivered
        if message is not None and not message.done():
            await asyncio.wait([message])
