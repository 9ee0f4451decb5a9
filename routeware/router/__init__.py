"""Routing: what is tried when, under which bounds, and what comes of it. The only place that sees everything."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from routeware.attempt import CURRENT, Run, live_run, open_container
from routeware.budget import CURRENT_SESSION
from routeware.records import CallRecord
from routeware.router.admission import check_in
from routeware.router.ending import abandon, clear_away, finish
from routeware.router.engine import serve
from routeware.router.plan import Plan
from routeware.router.state import Call

__all__ = ["Call", "Plan", "answer"]

logger = logging.getLogger("routeware")


async def answer(call: Call, wanted: bool) -> tuple[Any, CallRecord | None]:
    """Run ``call`` to its end: the result, and the record where it is wanted.

    Raises:
        BaseException: what became of the call, where it has no result.
    """
    winner: Run | None = None
    verdict: BaseException | None = None
    _begin(call)
    try:
        try:
            if call.session is not None or call.plan.capped:
                check_in(call)
            if CURRENT.get() is not None:
                _open_container(call)
            winner = await serve(call)
        except asyncio.CancelledError as error:
            call.outcome, verdict = "cancelled", error
        except Exception as error:  # noqa: BLE001 - raised below, when nothing is in flight any more
            verdict = error
        finally:
            call.alarm.off()
        if call.untidy or call.flying or call.leaving or call.asking is not None or _unwanted(call, winner):
            cancellation = await clear_away(call, winner, verdict)
            if cancellation is not None and call.outcome != "cancelled":
                call.outcome, verdict, winner = "cancelled", cancellation, None
            del cancellation
        quiet = winner is not None and not (wanted or call.counted or call.heard or call.hooks.on_call or call.decision)
        record = None if quiet else finish(call, winner, verdict, wanted)
    except BaseException as error:
        _tear_down(call, error, wanted)
        raise
    if winner is None:
        assert verdict is not None
        call.forget()
        try:
            raise verdict
        finally:
            del verdict
    result = winner.result
    call.forget()
    return result, record


def _unwanted(call: Call, winner: Run | None) -> bool:
    """Whether there may be results that nobody gets."""
    return call.hooks.accept is not None and any(run.replied and run is not winner for run in call.runs)


def _tear_down(call: Call, error: BaseException, wanted: bool) -> None:
    """End a call whose program exits, or whose coroutine is closed: nothing can be awaited there."""
    call.outcome = "cancelled"
    abandon(call)
    if not call.ended:
        finish(call, None, error, wanted)


def _begin(call: Call) -> None:
    plan = call.plan
    call.session = session = CURRENT_SESSION.get()
    attributes = plan.span_attributes
    if session is not None or call.attributes is not None:
        theirs = session.attributes if session is not None else {}
        attributes = {**theirs, **(call.attributes or {}), **attributes}
        if session is not None and session.name is not None:
            attributes["routeware.session.name"] = session.name
    call.trace = plan.tracing.start_call(attributes)
    if call.trace is not None:
        call.heard, call.counted = True, call.trace.recording
    call.meters = plan.tracing.metrics.live(call.began)
    if call.meters is not None:
        call.counted = True
    if logger.isEnabledFor(logging.DEBUG):
        call.heard = True
        plan.events.log("decision", **plan.fields())


def _open_container(call: Call) -> None:
    """Tell the attempt that this call is made in, if any, that it does not pay for what is paid for here."""
    outer = live_run()
    if outer is not None:
        open_container(outer)
        call.outer = outer.reservation
