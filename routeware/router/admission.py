"""Whether the next link may be tried: its projection has to fit the call's cap and those of every session around it."""

from __future__ import annotations

import logging

from routeware.attempt import Run, project
from routeware.budget import Reservation
from routeware.errors import BudgetExceededError, NoSessionError, PolicyError
from routeware.money import usd
from routeware.policy import OnExceed
from routeware.router.state import Call

__all__ = ["check_in", "reserve", "reserve_remotely", "tell_refusal"]


def check_in(call: Call) -> None:
    """See what ``call`` is booked in, and refuse what cannot be capped.

    Raises:
        SessionClosedError: the session was left before.
        NoSessionError: the policy caps a session, and none is open.
        PolicyError: a session's cap is in force, and a link has no price.
    """
    session, plan = call.session, call.plan
    if plan.capped:
        call.capped = call.counted = True
    if session is None:
        if plan.session_cap is not None:
            raise NoSessionError(
                f"{plan.policy.label} sets budget.session_usd, and no session is open: call inside"
                " `async with routeware.session(...)`"
            )
        return
    session.check_open()
    call.booked_in = session
    call.counted = True
    if session.remote:
        call.remote = call.untidy = True
    if session.capped and not plan.capped:
        call.capped = True
        plan.refuse_unpriced(str(session))


def reserve(call: Call, run: Run) -> None:
    """Set the projection of ``run`` aside, as far as this process keeps the tallies.

    Raises:
        BudgetExceededError: a cap would be passed, and the policy does not only warn of it.
        PolicyError: nobody can say what it may cost, and a cap is in force.
        Exception: what the ``estimate`` hook raised.
    """
    session = call.session
    if session is not None and not session.reserving and not call.capped:
        run.reservation = Reservation(session)
        return
    run.projection, run.projected = project(run), True
    if run.projection is None:
        _require_allowance(call, run)
    amount = run.projection or 0
    _check_call(call, run, amount)
    run.reservation = Reservation(session)
    try:
        run.reservation.hold(amount, _session_cap(call, run, amount))
    except BudgetExceededError as refusal:
        raise refusal.about(run.label) from None
    call.committed += amount


async def reserve_remotely(call: Call, run: Run) -> None:
    """Set the projection of ``run`` aside in the ledgers outside of this process.

    Raises:
        BudgetExceededError: a cap would be passed.
        LedgerUnavailableError: a ledger could not be asked.
    """
    reservation = run.reservation
    assert reservation is not None
    amount = run.projection or 0
    cap = None if call.plan.on_exceed is OnExceed.WARN else call.plan.session_cap
    try:
        await reservation.hold_remotely(amount, cap)
    except BaseException as error:
        call.committed -= amount
        if isinstance(error, BudgetExceededError):
            raise error.about(run.label) from None
        raise


def _require_allowance(call: Call, run: Run) -> None:
    # Its link has a price, or the call would not have begun; but it says nothing for this attempt, or broke.
    if call.capped and not call.plan.allow_unpriced:
        raise PolicyError(
            f"nobody can say what {run.label} may cost now, and spending is capped: its price gives no projection."
            " Give the link a price or the function an @estimate, or set budget.allow_unpriced",
            key=f"chain[{call.cursor}].price",
        )


def _check_call(call: Call, run: Run, amount: int) -> None:
    cap = call.plan.per_call_cap
    if cap is None or call.committed + amount <= cap:
        return
    refusal = BudgetExceededError(
        kind="per_call",
        limit_usd=usd(cap),
        projected_usd=usd(amount),
        committed_usd=usd(call.committed),
        label=run.label,
    )
    try:
        if call.plan.on_exceed is not OnExceed.WARN:
            raise refusal
        tell_refusal(call, refusal)
    finally:
        del refusal  # an error that its own frame holds is not freed with the last who wants it


def _session_cap(call: Call, run: Run, amount: int) -> int | None:
    # The policy's cap on the session, where it is to refuse. A warning must not; the session's own limit still does.
    cap, session = call.plan.session_cap, call.session
    if cap is None or session is None or call.plan.on_exceed is not OnExceed.WARN:
        return cap
    refusal = session.exceeded(cap, amount)
    if refusal is not None:
        tell_refusal(call, refusal.about(run.label))
    return None


def tell_refusal(call: Call, refusal: BudgetExceededError) -> None:
    """Leave the event of a cap that was, or would have been, passed."""
    call.plan.events.say(
        call.trace,
        "budget_exceeded",
        logging.WARNING,
        kind=refusal.kind,
        limit_usd=refusal.limit_usd,
        projected_usd=refusal.projected_usd,
        committed_usd=refusal.committed_usd,
        on_exceed=call.plan.on_exceed.value,
        link=refusal.label,
        session=call.session.name if call.session is not None and refusal.kind == "per_call" else refusal.session_name,
    )
