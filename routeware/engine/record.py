"""What is left of a call: its record, and the notes on its error."""

from __future__ import annotations

import time

from routeware.classify import error_type
from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.observers import sums_of
from routeware.records import AttemptRecord, CallRecord, filled, own_attributes

__all__ = ["annotate", "call_record"]

_NOTE = "routeware:"


def call_record(call: Call) -> CallRecord:
    """Make the record of a call that has ended."""
    sums = sums_of(call)
    session, prepared, trace = call.session, call.prepared, call.trace
    values = {
        "label": prepared.policy.label,
        "name": prepared.tracing.name,
        "outcome": call.outcome,
        "attempts": tuple([_attempt_record(call, one) for one in call.attempts]),
        "selected": None if call.winner is None else call.attempts.index(call.winner),
        "duration_ms": _ms(call.ended - call.began),
        "cost_usd": sums.cost_usd,
        "uncertain_usd": sums.uncertain_usd,
        "wasted_usd": sums.wasted_usd,
        "race_after_ms": None if call.race_after_s is None else _ms(call.race_after_s),
        "race_source": call.race_source,
        "session_name": session.name if session is not None else None,
        "session_spent_usd": call.session_spent_usd,
        "trace_id": None if trace is None else trace.trace_id,
        "first_item_ms": _first_item_ms(call),
        "items": None if call.winner is None else call.winner.items,
        "ended": call.stream_end,
        # Taken from the clock when the record is made: a call that no record is made of pays nothing for it.
        "started_unix_s": time.time() - (call.loop.time() - call.began),
    }
    return filled(CallRecord, values)


def _first_item_ms(call: Call) -> float | None:
    flow = None if call.winner is None else call.winner.flow
    return None if flow is None or flow.answered_at is None else _ms(flow.answered_at - call.began)


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
    return isinstance(note, str) and str.startswith(note, _NOTE)


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


def _attempt_record(call: Call, execution: Execution) -> AttemptRecord:
    link, cost, failure = execution.link, execution.cost, execution.failure
    assert execution.status is not None
    values = {
        "number": execution.number,
        "provider": link.provider,
        "model": link.model,
        "label": link.label,
        "tier": link.tier,
        "price": execution.prepared.price,
        "status": execution.status,
        "trigger": execution.trigger,
        "started_ms": _ms(execution.started - call.began),
        "duration_ms": execution.duration_ms,
        "cost_usd": cost.amount_usd,
        "cost_source": cost.source,
        "usage": cost.usage,
        "unpriced": cost.unpriced,
        "error": None if failure is None else failure.snapshot,
        "skip_reason": execution.skip_reason,
        "first_item_ms": None if execution.first_item_s is None else _ms(execution.first_item_s),
        "items": execution.items,
    }
    return filled(AttemptRecord, values)


def _ms(seconds: float) -> float:
    # Differences of clock readings carry the noise of floats; below a nanosecond there is nothing else.
    return int(seconds * 1e9 + 0.5) / 1e6
