"""One call from its beginning to its end: decide whose answer the caller gets, then conclude."""

from __future__ import annotations

import asyncio
from typing import Any

from routeware.engine.admission import enter_container
from routeware.engine.attempt import CURRENT
from routeware.engine.call import Call
from routeware.engine.call_end import abandon, clear_away, complete, is_untidy
from routeware.engine.caps import check_in
from routeware.engine.chain import run_chain
from routeware.engine.cooldown import note_success
from routeware.engine.race import run_race
from routeware.records import Outcome, filled

__all__ = ["execute"]

_current = CURRENT.get


async def execute(call: Call, wants_record: bool = False) -> Any:
    """Run a call to its end: give its result, or where its record is wanted, its outcome.

    Raises:
        BaseException: the outcome of the call, if it has no result.
    """
    prepared = call.prepared
    record = None
    try:
        try:
            if call.session is not None or prepared.is_capped:
                check_in(call)
            if _current() is not None:
                enter_container(call)
            winner = await (run_chain(call, None) if call.race_after_s is None else run_race(call))
            call.succeed(winner)
            result = winner.result
            if prepared.is_elaborate:
                note_success(call, winner)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised below, with nothing in flight
            result = None
            call.fail(error, "cancelled" if isinstance(error, asyncio.CancelledError) else None)
        if wants_record or not call.is_plain:  # to go through all of it for nothing takes 4 % of a call
            if is_untidy(call):
                await clear_away(call)
            record = complete(call, wants_record=wants_record)
    except BaseException as error:
        _tear_down(call, error, wants_record=wants_record)
        raise
    raised = call.error
    call.forget()
    if raised is not None:
        try:
            raise raised
        finally:
            raised = result = None  # this frame is part of its traceback, and would keep them alive
    if type(result) is not prepared.registrations.result_type:
        prepared.registrations.see_result(prepared.tracing.name, result)
    return filled(Outcome, {"value": result, "record": record}) if wants_record else result


def _tear_down(call: Call, error: BaseException, *, wants_record: bool) -> None:
    """End a call whose program exits, or whose coroutine is closed: nothing can be awaited there."""
    abandon(call)
    if not call.has_ended:
        call.fail(error, "cancelled")
        complete(call, wants_record=wants_record)
    call.forget()
