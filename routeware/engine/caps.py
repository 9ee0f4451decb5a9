"""The refusals of caps: of the call's own, asked here, and of the sessions' around it, asked through its bill."""

from __future__ import annotations

import logging

from routeware.engine.call import Call
from routeware.engine.cooldown import withdraw
from routeware.engine.execution import Execution
from routeware.errors import BudgetExceededError, NoSessionError, PolicyError
from routeware.money import usd
from routeware.observers import FOREIGN
from routeware.policy import OnExceed

__all__ = ["check_in", "emit_refusal", "refusal_of", "session_cap"]


def check_in(call: Call) -> None:
    """Find the session that pays for a call, and refuse a call that cannot be capped.

    Raises:
        SessionClosedError: the session was left before.
        NoSessionError: the policy caps a session, and none is open.
        PolicyError: a session's cap is in force, and a link has no price.
    """
    session, prepared = call.session, call.prepared
    if session is not None:
        session.check_open()
    elif prepared.session_cap is not None:
        raise NoSessionError(
            f"{prepared.policy.label} sets budget.session_usd, and no session is open: call inside"
            " `async with routeware.session(...)`"
        )
    call.check_in(session)
    if session is not None and session.capped and not prepared.is_capped:
        prepared.refuse_unpriced(str(session))


def refusal_of(call: Call, execution: Execution) -> BudgetExceededError | None:
    """Set the projection of ``execution`` aside, and give the refusal of a budget that stands in its way."""
    try:
        _reserve(call, execution)
    except BudgetExceededError as refusal:
        withdraw(call, execution)
        return refusal
    except FOREIGN as error:  # of a hook or a price: nothing is awaited here, so no cancellation is the caller's
        withdraw(call, execution)
        # A hook that gets the caller's wrong arguments stumbles over them first.
        call.registrations.check_arguments(execution.link, call.owner, call.args, call.kwargs)
        error.__context__ = error.__context__ or call.failure
        raise
    return None


def _reserve(call: Call, execution: Execution) -> None:
    """Set the projection of ``execution`` aside, as far as this process keeps the tallies."""
    bill = execution.bill
    projection = bill.project(may_warn=call.is_capped)
    if projection is None:
        _require_allowance(call, execution)
    amount = projection or 0
    _check_call(call, execution, amount)
    cap = session_cap(call)
    if cap is None:
        _warn_of_session(call, execution, amount)
    try:
        bill.hold(amount, cap)
    except BudgetExceededError as refusal:
        raise refusal.about(execution.label) from None


def _require_allowance(call: Call, execution: Execution) -> None:
    # Its link has a price, or the call would not have begun; but it says nothing for this attempt, or broke.
    if call.is_capped and not call.prepared.policy.budget.allow_unpriced:
        raise PolicyError(
            f"the possible cost of {execution.label} is unknown now, and spending is capped: its price gives no"
            " projection. Give the link a price or the function an @estimate, or set budget.allow_unpriced",
            key=f"chain[{call.prepared.policy.chain.index(execution.link)}].price",
        )


def _check_call(call: Call, execution: Execution, amount: int) -> None:
    cap = call.prepared.per_call_cap
    if cap is None:
        return
    committed = sum(one.bill.committed for one in call.attempts if one.has_bill)
    if committed + amount <= cap:
        return
    refusal = BudgetExceededError(
        kind="per_call",
        limit_usd=usd(cap),
        projected_usd=usd(amount),
        committed_usd=usd(committed),
        label=execution.label,
    )
    try:
        if call.prepared.policy.budget.on_exceed is not OnExceed.WARN:
            raise refusal
        emit_refusal(call, refusal)
    finally:
        del refusal  # or this frame, which its traceback holds, would hold it until the collector comes by


def session_cap(call: Call) -> int | None:
    """Give the policy's cap on the session, where it is to refuse: under ``warn`` it does not."""
    return None if call.prepared.policy.budget.on_exceed is OnExceed.WARN else call.prepared.session_cap


def _warn_of_session(call: Call, execution: Execution, amount: int) -> None:
    cap = call.prepared.session_cap
    if cap is not None and call.payer is not None:
        passed = call.payer.exceeded(cap, amount)
        if passed is not None:
            emit_refusal(call, passed.about(execution.label))


def emit_refusal(call: Call, refusal: BudgetExceededError) -> None:
    """Leave the event of a cap that was, or would have been, passed."""
    session = call.session.name if call.session is not None and refusal.kind == "per_call" else refusal.session_name
    call.emit(
        "budget_exceeded",
        logging.WARNING,
        kind=refusal.kind,
        limit_usd=refusal.limit_usd,
        projected_usd=refusal.projected_usd,
        committed_usd=refusal.committed_usd,
        on_exceed=call.prepared.policy.budget.on_exceed.value,
        link=refusal.label,
        session=session,
    )
