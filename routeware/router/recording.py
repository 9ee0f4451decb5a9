"""What is left of a call: records, spans, log lines and the notes on its error."""

from __future__ import annotations

import time
from typing import Any

from routeware.attempt import Run
from routeware.attempt.settling import settle
from routeware.classify import error_type
from routeware.errors import ExhaustedError
from routeware.money import Price, usd
from routeware.records import AttemptRecord, AttemptStatus, CallRecord, own_attributes
from routeware.router.meaning import snapshot_of
from routeware.router.state import Call
from routeware.telemetry import AttemptTelling, debugging, usage_attributes

__all__ = ["annotate", "call_record", "end_attempt", "end_call", "failed_run"]

_NOTE = "routeware:"


def end_attempt(call: Call, run: Run, end_ns: int | None = None) -> None:
    """End the span of ``run``, at ``end_ns``, or when it was cut off, or now; and leave its line in the log."""
    assert run.status is not None
    if call.trace is not None:
        telling = None
        if run.span.is_recording():
            settle(run)  # a sampler may take an attempt of a call that it does not
            telling = _telling(call, run, run.status)
        call.trace.end_attempt(run.span, telling, end_ns or run.end_ns or time.time_ns())
    if debugging():
        snapshot = snapshot_of(call, run)
        call.plan.events.log(
            "attempt",
            number=run.number,
            link=run.label,
            trigger=run.trigger.value,
            status=run.status.value,
            category=snapshot.category.value if snapshot is not None else None,
            duration_ms=_ms((run.ended or call.loop.time()) - run.started),
        )


def end_call(call: Call, failure: BaseException | None) -> None:
    """End the call's span, after those of its attempts."""
    trace = call.trace
    if trace is None:
        return
    if not trace.recording:
        trace.end_call(None, None)
        return
    shown = None
    if failure is not None and call.outcome != "cancelled":
        shown = f"{call.outcome}: {_in_words(call, failure)}"
    trace.end_call(_call_attributes(call), shown)


def _in_words(call: Call, failure: BaseException) -> str:
    failed = failed_run(call, failure)
    snapshot = None if failed is None else snapshot_of(call, failed)
    if failed is None or snapshot is None:
        return type(failure).__name__
    its_own = failed.failure is failure or isinstance(failure, ExhaustedError)
    return snapshot.message if its_own else f"{type(failure).__name__} after {snapshot.message}"


def failed_run(call: Call, error: BaseException) -> Run | None:
    """The attempt that ``error`` is about, or was raised from; ``None`` where it is about none."""
    found = [run for run in call.runs if run.failure is error or run.failure is error.__cause__ is not None]
    # Links may raise one object: the last of them is meant.
    return max(reversed(found), key=lambda run: run.ended or 0.0, default=None)


def call_record(call: Call) -> CallRecord:
    """The record of a call that has ended."""
    for run in call.runs:
        settle(run)
    cost_usd, uncertain_usd, wasted_usd = _sums_usd(call)
    session, plan = call.session, call.plan
    return CallRecord(
        label=plan.policy.label,
        name=plan.tracing.name,
        outcome=call.outcome,
        attempts=tuple([_attempt_record(call, run) for run in call.runs]),
        selected=None if call.winner is None else call.runs.index(call.winner),
        duration_ms=_ms(call.ended - call.began),
        cost_usd=cost_usd,
        uncertain_usd=uncertain_usd,
        wasted_usd=wasted_usd,
        race_after_ms=None if call.race_after_s is None else _ms(call.race_after_s),
        race_source=call.race_source,
        session_name=session.name if session is not None else None,
        session_spent_usd=session.spent_usd if session is not None else None,
        trace_id=call.trace.trace_id if call.trace is not None else None,
    )


def annotate(error: BaseException, call: Call, record: CallRecord) -> None:
    """Leave one note per attempt on ``error``, in place of those of an earlier call with the same object.

    Written past ``add_note``, which fails on exceptions that refuse new attributes.
    """
    own = own_attributes(error)
    notes = own.get("__notes__")
    kept = [note for note in notes if not str(note).startswith(_NOTE)] if isinstance(notes, list) else []
    own["__notes__"] = [*kept, *map(_note, call.runs, record.attempts)]


def _note(run: Run, attempt: AttemptRecord) -> str:
    # Made of what was decided, not of the snapshot's message: that may be the provider's own text.
    what = [attempt.status.value]
    if attempt.error is not None:
        what.append(attempt.error.category.value)
        if attempt.error.status is not None:
            what.append(str(attempt.error.status))
    if run.failure is not None:
        what.append(error_type(run.failure))
    return (
        f"{_NOTE} attempt {attempt.number}, {attempt.label}: {' '.join(what)}"
        f" (started at {attempt.started_ms:.0f} ms, took {attempt.duration_ms:.0f} ms)"
    )


def _sums_usd(call: Call) -> tuple[float | None, float | None, float | None]:
    """What a call settled, what is uncertain, and what of both was wasted, in dollars; ``None`` where it is unknown."""
    settled = uncertain = won = 0
    answered_unknown = unknown = waste_unknown = False
    for run in call.runs:
        selected = run is call.winner
        if run.settled is None or run.uncertain is None:
            unknown = True
            waste_unknown |= not selected
            answered_unknown |= run.replied
            continue
        settled += run.settled
        uncertain += run.uncertain
        if selected:
            won = run.settled + run.uncertain
    return (
        None if answered_unknown else usd(settled),
        None if unknown else usd(uncertain),
        None if waste_unknown else usd(settled + uncertain - won),
    )


def _price(run: Run) -> Price | None:
    tariff = run.lane.tariff
    return tariff if tariff is None or isinstance(tariff, Price) else run.lane.price()


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
        price=_price(run),
        status=run.status,
        trigger=run.trigger,
        started_ms=_ms(started - call.began),
        duration_ms=_ms((run.ended or started) - started),
        cost_usd=_cost_usd(run),
        cost_source=run.cost_source,
        usage=run.usage,
        error=snapshot_of(call, run),
    )


def _cost_usd(run: Run) -> float | None:
    amount = run.uncertain if run.cost_source == "estimated" else run.settled
    return None if amount is None else usd(amount)


def _telling(call: Call, run: Run, status: AttemptStatus) -> AttemptTelling:
    told: dict[str, Any] = {"routeware.attempt.status": status.value}
    cost_usd = _cost_usd(run)
    if cost_usd is not None:
        told["routeware.cost.usd"] = cost_usd
    if run.cost_source is not None:
        told["routeware.cost.source"] = run.cost_source
    if run.over_projection and run.projection is not None:
        told["routeware.cost.projected_usd"] = usd(run.projection)
    if run.cleanup_s is not None:
        told["routeware.attempt.cleanup_s"] = run.cleanup_s
    if call.plan.tracing.operation is not None:
        told.update(usage_attributes(run.usage, run.response_model))
    kind = "" if run.failure is None else error_type(run.failure)
    return AttemptTelling(status, snapshot_of(call, run), kind, told)


def _call_attributes(call: Call) -> dict[str, Any]:
    told: dict[str, Any] = {"routeware.call.outcome": call.outcome, "routeware.call.attempts": len(call.runs)}
    if call.winner is not None:
        told["routeware.call.selected"] = call.winner.label
    for part, amount_usd in zip(("cost", "uncertain", "wasted"), _sums_usd(call), strict=True):
        if amount_usd is not None:
            told[f"routeware.call.{part}_usd"] = amount_usd
    if call.race_after_s is not None:
        told["routeware.race.after_s"] = call.race_after_s
    if call.race_source is not None:
        told["routeware.race.source"] = call.race_source
    if call.decision is not None and call.decision.swap:
        told["routeware.race.swapped"] = True
    if call.session is not None:
        told["routeware.session.spent_usd"] = call.session.spent_usd
    return told


def _ms(seconds: float) -> float:
    # Differences of clock readings carry the noise of floats; below a nanosecond there is nothing else.
    return int(seconds * 1e9 + 0.5) / 1e6
