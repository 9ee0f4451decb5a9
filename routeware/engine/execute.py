"""One call from its beginning to its end: decide whose answer the caller gets, then conclude."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from routeware.engine.attempt import CURRENT
from routeware.engine.call import Call
from routeware.engine.chain import run_chain
from routeware.engine.cleanup import abandon, clear_away, is_untidy
from routeware.engine.completion import complete
from routeware.engine.cooldown import note_success
from routeware.engine.execution import Execution
from routeware.engine.race import run_race
from routeware.records import CallRecord

__all__ = ["execute"]


async def execute(
    call: Call, attributes: Mapping[str, Any] | None, *, wants_record: bool
) -> tuple[Any, CallRecord | None]:
    """Run a call to its end: give its result, and its record where that is wanted.

    Raises:
        BaseException: what became of the call, where it has no result.
    """
    call.begin(attributes)
    prepared, registered = call.prepared, call.registrations
    try:
        try:
            if call.session is not None or prepared.is_capped:
                call.check_in()
            if CURRENT.get() is not None:
                call.enter_container()
            call.succeed(winner := await decide(call))
            if call.prepared.retries or (call.health is not None and call.health.troubled):
                note_success(call, winner)
        except asyncio.CancelledError as error:
            call.fail(error, "cancelled")
        except Exception as error:  # noqa: BLE001 - raised below, when nothing is in flight any more
            call.fail(error)
        finally:
            call.timeout.cancel()
        if (call.race is not None or call.is_remote or registered.accept is not None) and is_untidy(call):
            await clear_away(call)
        quiet = call.error is None and not (wants_record or call.is_observed or registered.on_call is not None)
        record = None if quiet else complete(call, wants_record=wants_record)
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
    return result, record


def decide(call: Call) -> Coroutine[Any, Any, Execution]:
    """Find the attempt whose answer the caller gets. To be awaited; what it raises is what the call raises."""
    return run_chain(call) if call.race_after_s is None else run_race(call)


def _tear_down(call: Call, error: BaseException, *, wants_record: bool) -> None:
    """End a call whose program exits, or whose coroutine is closed: nothing can be awaited there."""
    abandon(call)
    if not call.has_ended:
        call.fail(error, "cancelled")
        complete(call, wants_record=wants_record)
    call.forget()
