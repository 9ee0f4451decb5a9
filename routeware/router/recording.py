"""What is left of a call: records, spans, log lines and the notes on its error."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from routeware.attempt import Run
from routeware.attempt.settling import settle
from routeware.money import usd
from routeware.records import AttemptRecord, AttemptStatus, CallRecord
from routeware.router.state import Call
from routeware.telemetry import AttemptTelling, debugging, usage_attributes

__all__ = ["annotate", "call_record", "end_attempt", "end_call"]

_NOTE = "routeware:"


def end_attempt(call: Call, run: Run, end_ns: int | None = None) -> None:
    """End the span of ``run``, at ``end_ns``, or when it was cut off, or now; and leave its line in the log."""
    assert run.status is not None
    if call.trace is not None:
        extra = _told(call, run) if run.span.is_recording() else {}
        telling = AttemptTelling(run.status, run.snapshot, run.error_type, extra)
        call.trace.end_attempt(run.span, telling, end_ns or run.cut_ns or time.time_ns())
    if debugging():
        call.plan.events.log(
            "attempt",
            number=run.number,
            link=run.label,
            trigger=run.trigger.value,
            status=run.status.value,
            category=run.snapshot.category.value if run.snapshot is not None else None,
            duration_ms=_ms((run.ended or call.loop.time()) - run.started),
        )


def end_call(call: Call, failure: BaseException | None) -> None:
    """End the call's span, after those of its attempts."""
    trace = call.trace
    if trace is None:
        return
    told = _call_attributes(call) if trace.recording else {}
    shown = None
    if failure is not None and call.outcome != "cancelled":
        last = call.runs[-1].snapshot if call.runs else None
        shown = f"{call.outcome}: {last.message}" if last is not None else f"{call.outcome}: {type(failure).__name__}"
    trace.end_call(call.outcome, told, shown)


def call_record(call: Call) -> CallRecord:
    """The record of a call that has ended."""
    for run in call.runs:
        settle(run)
    sums = _Sums(call)
    session, plan = call.session, call.plan
    return CallRecord(
        label=plan.policy.label,
        name=plan.tracing.name,
        outcome=call.outcome,
        attempts=tuple(_attempt_record(call, run) for run in call.runs),
        selected=None if call.winner is None else call.runs.index(call.winner),
        duration_ms=_ms(call.ended - call.began),
        cost_usd=sums.cost_usd,
        uncertain_usd=sums.uncertain_usd,
        wasted_usd=sums.wasted_usd,
        race_after_ms=plan.policy.latency.race_after_ms if plan.race_after_s is not None else None,
        race_source="fixed" if plan.race_after_s is not None else None,
        session_name=session.name if session is not None else None,
        session_spent_usd=session.spent_usd if session is not None else None,
        trace_id=call.trace.trace_id if call.trace is not None else None,
    )


def annotate(error: BaseException, record: CallRecord) -> None:
    """Leave one note per attempt on ``error``, in place of those of an earlier call with the same object.

    Written past ``add_note``, which fails on exceptions that refuse new attributes.
    """
    notes = vars(error).get("__notes__")
    kept = [note for note in notes if not str(note).startswith(_NOTE)] if isinstance(notes, list) else []
    vars(error)["__notes__"] = [*kept, *map(_note, record.attempts)]


def _note(attempt: AttemptRecord) -> str:
    error = attempt.error
    what = [attempt.status.value]
    if error is not None:
        what += [error.category.value, *([str(error.status)] if error.status is not None else [])]
        what.append(error.message.rpartition(" ")[2] if error.code is None else "")
    return (
        f"{_NOTE} attempt {attempt.number}, {attempt.label}: {' '.join(filter(None, what))}"
        f" (started at {attempt.started_ms:.0f} ms, took {attempt.duration_ms:.0f} ms)"
    )


class _Sums:
    """The money of a call, in dollars; ``None`` where a part of it is unknown."""

    def __init__(self, call: Call) -> None:
        winner = call.winner
        settled = [run.settled for run in call.runs if run.settled is not None]
        uncertain = [run.uncertain for run in call.runs]
        unknown = any(run.settled is None and _answered(run) for run in call.runs)
        wasted = [(run.settled, run.uncertain) for run in call.runs if run is not winner]
        self.cost_usd = None if unknown else usd(sum(settled))
        self.uncertain_usd = _sum_usd(uncertain)
        self.wasted_usd = _sum_usd([part for both in wasted for part in both])


def _answered(run: Run) -> bool:
    return run.answered or run.status is AttemptStatus.REJECTED


def _sum_usd(parts: list[int | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return usd(sum(known)) if len(known) == len(parts) else None


def _attempt_record(call: Call, run: Run) -> AttemptRecord:
    link = run.link
    assert run.status is not None
    started = run.started or call.began
    return AttemptRecord(
        number=run.number,
        provider=link.provider,
        model=link.model,
        label=link.label,
        tier=link.tier,
        price=run.lane.tariff.price(datetime.now(UTC)) if run.lane.tariff is not None else None,
        status=run.status,
        trigger=run.trigger,
        started_ms=_ms(started - call.began),
        duration_ms=_ms((run.ended or started) - started),
        cost_usd=_cost_usd(run),
        cost_source=run.cost_source,
        usage=run.usage,
        error=run.snapshot,
    )


def _cost_usd(run: Run) -> float | None:
    amount = run.uncertain if run.cost_source == "estimated" else run.settled
    return None if amount is None else usd(amount)


def _told(call: Call, run: Run) -> dict[str, Any]:
    over = run.over_projection and run.projection is not None
    return {
        "routeware.cost.usd": _cost_usd(run),
        "routeware.cost.source": run.cost_source,
        "routeware.cost.projected_usd": usd(run.projection or 0) if over else None,
        "routeware.attempt.cleanup_s": run.cleanup_s,
        **usage_attributes(call.plan.tracing.operation, run.usage, run.response_model),
    }


def _call_attributes(call: Call) -> dict[str, Any]:
    sums, session, plan = _Sums(call), call.session, call.plan
    told: dict[str, Any] = {
        "routeware.call.attempts": len(call.runs),
        "routeware.call.selected": call.winner.label if call.winner is not None else None,
        "routeware.call.cost_usd": sums.cost_usd,
        "routeware.call.uncertain_usd": sums.uncertain_usd,
        "routeware.call.wasted_usd": sums.wasted_usd,
        "routeware.race.after_s": plan.race_after_s,
        "routeware.race.source": "fixed" if plan.race_after_s is not None else None,
        "routeware.session.spent_usd": session.spent_usd if session is not None else None,
    }
    return {key: value for key, value in told.items() if value is not None}


def _ms(seconds: float) -> float:
    # Differences of clock readings carry the noise of floats; below a nanosecond there is nothing else.
    return round(seconds * 1000, 6)
