"""The record of a call, and the notes on its error."""

from __future__ import annotations

import time
from itertools import repeat

from routeware.classify import error_type
from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.engine.registrations import ARGUMENTS_NOTE
from routeware.observers import Cost, sums_of
from routeware.records import AttemptRecord, AttemptStatus, CallRecord, filled, own_attributes

__all__ = ["annotate", "call_record"]

_NOTE = "routeware:"
_SKIPPED = AttemptStatus.SKIPPED

# None in most records. A dict display of more than 15 items is filled item by item, which takes a sixth longer.
_NO_RACE = dict.fromkeys(("race_after_ms", "race_source"))
_NO_STREAM = dict.fromkeys(("first_item_ms", "items", "ended"))
_NO_SKIP_NO_STREAM = dict.fromkeys(("skip_reason", "first_item_ms", "items"))


def call_record(call: Call) -> CallRecord:
    """Make the record of a call that has ended."""
    costs = [one.cost for one in call.attempts]
    cost_usd, uncertain_usd, wasted_usd = sums_of(call, costs)
    took_s = call.ended - call.began
    session, prepared, listeners, winner = call.session, call.prepared, call.listeners, call.winner
    values = {
        "label": prepared.policy.label,
        "name": prepared.tracing.name,
        "outcome": call.outcome,
        "attempts": tuple(map(_attempt_record, repeat(call.began), call.attempts, costs)),
        "selected": None if winner is None else call.attempts.index(winner),
        "duration_ms": _ms(took_s),
        "cost_usd": cost_usd,
        "uncertain_usd": uncertain_usd,
        "wasted_usd": wasted_usd,
        **_NO_RACE,
        "session_name": None if session is None else session.name,
        "session_spent_usd": None if session is None else session.spent_usd,
        "trace_id": None if listeners is None or listeners.trace is None else listeners.trace.trace_id,
        **_NO_STREAM,
        # Taken from the clock when the record is made: a call that no record is made of pays nothing for it.
        "started_unix_s": time.time() - took_s,
    }
    if call.race_after_s is not None or call.tactics is not None:
        values["race_after_ms"] = None if call.race_after_s is None else _ms(call.race_after_s)
        values["race_source"] = call.race_source
    if call.driver is not None:
        values["ended"] = call.stream_end
        flow = None if winner is None else winner.flow
        if flow is not None:
            values["items"] = flow.items
            values["first_item_ms"] = None if flow.answered_at is None else _ms(flow.answered_at - call.began)
    return filled(CallRecord, values)


def annotate(error: BaseException, call: Call, record: CallRecord) -> None:
    """Leave one note per attempt on ``error``, in place of those of an earlier call with the same object.

    Written past ``add_note``, which fails on exceptions that refuse new attributes.
    """
    own = own_attributes(error)
    notes = own.get("__notes__")
    kept = [note for note in notes if not _is_ours(note)] if isinstance(notes, list) else []
    own["__notes__"] = [*kept, *map(_note, call.attempts, record.attempts)]


def _is_ours(note: object) -> bool:
    # Notes of others may be anything, even what cannot be shown, and text that does not let itself be searched.
    return isinstance(note, str) and str.startswith(note, _NOTE) and not str.__eq__(note, ARGUMENTS_NOTE)


def _note(execution: Execution, attempt: AttemptRecord) -> str:
    # Made of what was decided, not of the snapshot's message: that may be the provider's own text.
    what = [attempt.status.value]
    if attempt.error is not None:
        what.append(attempt.error.category.value)
        if attempt.error.status is not None:
            what.append(str(attempt.error.status))
    if execution.failure is not None:
        what.append(error_type(execution.failure.error))
    return (
        f"{_NOTE} attempt {attempt.number}, {attempt.label}: {' '.join(what)}"
        f" (started at {attempt.started_ms:.0f} ms, took {attempt.duration_ms:.0f} ms)"
    )


def _attempt_record(began: float, execution: Execution, cost: Cost) -> AttemptRecord:
    prepared, failure, status, started = execution.prepared, execution.failure, execution.status, execution.started
    settled, _, source, usage, _, _, unpriced = cost  # a field of a named tuple takes eight times as long
    link, ended = prepared.link, execution.ended
    values = {
        "number": execution.number,
        "provider": link.provider,
        "model": link.model,
        "label": link.label,
        "tier": link.tier,
        "price": None if prepared.tariff is None else prepared.price,
        "status": status,
        "trigger": execution.trigger,
        "started_ms": _ms(started - began),
        "duration_ms": 0.0 if ended is None else _ms(ended - started),
        "cost_usd": None if settled is None else cost.amount_usd,
        "cost_source": source,
        "usage": usage,
        "unpriced": unpriced,
        "error": None if failure is None else failure.snapshot,
        **_NO_SKIP_NO_STREAM,
    }
    if status is _SKIPPED:
        values["skip_reason"] = execution.skip_reason
    if execution.flow is not None:
        values["items"] = execution.items
        values["first_item_ms"] = None if execution.first_item_s is None else _ms(execution.first_item_s)
    return filled(AttemptRecord, values)


def _ms(seconds: float) -> float:
    # Differences of clock readings carry the noise of floats; below a nanosecond there is nothing else.
    return (seconds * 1e9 + 0.5) // 1 / 1e6
