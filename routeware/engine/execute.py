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
    registered = prepared.registrations
    try:
        try:
            if call.session is not None or prepared.is_capped:
                check_in(call)
            if _current() is not None:
                enter_container(call)
            winner = await (run_chain(call, None) if call.race_after_s is None else run_race(call))
            call.succeed(winner)
            if prepared.retries or call.health is not None:
                note_success(call, winner)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised below, with nothing in flight
            call.fail(error, "cancelled" if isinstance(error, asyncio.CancelledError) else None)
        is_remote = call.payer is not None and call.payer.remote
        if (call.race is not None or is_remote or registered.accept is not None) and is_untidy(call):
            await clear_away(call)
        record = None
        if wants_record or call.is_observed or call.error is not None or registered.on_call is not None:
            record = complete(call, wants_record=wants_record)
    except BaseException as error:
        _tear_down(call, error, wants_record=wants_record)
        raise
    raised = call.error
    result = None if call.winner is None else call.winner.result
    if type(result) is not registered.result_type:
        registered.see_result(prepared.tracing.name, result)
    call.forget()
    if raised is not None:
        try:
            raise raised
        finally:
            del raised  # this frame is part of its traceback, and would keep it alive
    return result if record is None or not wants_record else filled(Outcome, {"value": result, "record": record})


def _tear_down(call: Call, error: BaseException, *, wants_record: bool) -> None:
    """End a call whose program exits, or whose coroutine is closed: nothing can be awaited there."""
    abandon(call)
    if not call.has_ended:
        call.fail(error, "cancelled")
        complete(call, wants_record=wants_record)
    call.forget()
