"""Spans: one for a call, and one below it for every attempt that was started.

No span is ever made current with ``start_as_current_span``: a call's spans outlive single blocks, and are ended once,
by hand, in the order that a trace viewer needs. Starting a span runs code of the program (samplers, span processors),
so all of it is guarded: a call goes on without spans where that fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextvars import Token
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link as SpanLink
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from routeware.budget import Session
from routeware.classify import error_type
from routeware.money import Usage, usd
from routeware.observers import AttemptFacts, CallFacts, Cost, Failure, failed_attempt, report_broken, sums_of
from routeware.records import AttemptStatus, AttemptTrigger, Step, trail_of
from routeware.telemetry import attributes as names
from routeware.text import bounded, encodable

__all__ = ["NO_SPAN", "CallTrace", "Context", "Span", "TracerProvider", "Tracing"]

NO_SPAN: Span = trace.INVALID_SPAN

# Jaeger keeps microseconds, and rounds a start and a duration apart: nearer than this, an order could be lost.
_APART_NS = 5_000

# A span processor may raise anything, a CancelledError among it, which would pass for the caller's.
_FOREIGN = (Exception, asyncio.CancelledError)


class Tracing:
    """How one decorated function is traced; prepared once.

    Attributes:
        name: the function's name in spans and records.
        operation: what it does, in OpenTelemetry's terms; ``None`` for what is not an LLM.
        broken: the listeners of this function whose failure has been logged.
        tells_usage: True if spans carry ``gen_ai.usage``: unless the program's own instrumentation does.
    """

    __slots__ = ("_call_span_name", "_tracer", "_waits_for_sdk", "broken", "name", "operation", "tells_usage")

    def __init__(
        self, name: str, operation: str | None, tracer_provider: TracerProvider | None, *, usage_on_spans: bool = True
    ) -> None:
        self.name = name
        self.tells_usage = usage_on_spans and operation is not None
        self.operation = operation
        self.broken: set[str] = set()
        self._call_span_name = bounded(f"routeware.call {name}")
        self._tracer: Tracer = trace.get_tracer("routeware", tracer_provider=tracer_provider)
        self._waits_for_sdk = tracer_provider is None

    def start_call(
        self, fixed: Mapping[str, Any], session: Session | None, own: Mapping[str, Any] | None
    ) -> CallTrace | None:
        """Start a call's span; give ``None`` where nothing listens, so that the rest of the call need not ask again.

        Args:
            fixed: the attributes of every call under its policy. They outrank the others.
            session: the call's session, for its name and attributes.
            own: the attributes of the call itself.
        """
        if self._waits_for_sdk and getattr(trace, "_TRACER_PROVIDER", self) is None:
            # Asked past the API, which answers only by starting a span, at a sixth of what a call costs.
            # Where a later API keeps its provider elsewhere, that is what is done.
            return None
        try:
            attributes = fixed if session is None and own is None else _merged(fixed, session, own)
            span = self._tracer.start_span(self._call_span_name, kind=SpanKind.INTERNAL, attributes=attributes)
            if span is NO_SPAN or (not span.is_recording() and _echoes_parent(span)):
                return None
            return CallTrace(self, self._tracer, span)
        except _FOREIGN as error:
            report_broken(self.broken, "CallTrace", error)
            return None

    def attempt_span(self, provider: str, model: str, label: str) -> tuple[str, dict[str, Any]]:
        """Prepare the name and the fixed attributes of the spans of attempts at one link."""
        if self.operation is None:
            return bounded(f"{self.name} {label}"), {names.LINK_LABEL: bounded(label)}
        return bounded(f"{self.operation} {model}"), {
            names.OPERATION: bounded(self.operation),
            names.PROVIDER: bounded(names.otel_provider_name(provider)),
            names.REQUEST_MODEL: bounded(model),
            names.LINK_LABEL: bounded(label),
        }


def _encodable(value: object) -> Any:
    return bounded(value) if isinstance(value, str) else value


def _merged(fixed: Mapping[str, Any], session: Session | None, own: Mapping[str, Any] | None) -> dict[str, Any]:
    given = {**({} if session is None else session.attributes), **(own or {})}
    for name, value in given.items():
        if isinstance(value, str) and not value.isascii():
            given[name] = encodable(value)
    merged = {**given, **fixed}
    if session is not None and session.name is not None:
        merged[names.SESSION_NAME] = bounded(session.name)
    return merged


def _echoes_parent(span: Span) -> bool:
    # Without an SDK, "starting" a span gives back the current one's context; a sampler's refusal is a new context.
    context = span.get_span_context()
    return not context.is_valid or context == trace.get_current_span().get_span_context()


class CallTrace:
    """The spans of one call that is traced. It gives spans when asked, and listens to the call's moments.

    Attributes:
        recording: True if the call's span is recorded. A sampler may record an attempt's all the same.
    """

    __slots__ = (
        "_before",
        "_context",
        "_decided_ns",
        "_last_ns",
        "_span",
        "_spans",
        "_tracer",
        "_tracing",
        "recording",
    )

    def __init__(self, tracing: Tracing, tracer: Tracer, span: Span) -> None:
        self._tracing = tracing
        self._tracer = tracer
        self._span = span
        self._context = trace.set_span_in_context(span)
        self._spans: dict[int, Span] = {}
        self._before: Span | None = None
        self._last_ns = 0
        self._decided_ns: int | None = None
        self.recording = span.is_recording()

    @property
    def trace_id(self) -> str | None:
        """The trace's id in hexadecimal; ``None`` where it is not recorded."""
        return trace.format_trace_id(self._span.get_span_context().trace_id) if self.recording else None

    def start_attempt(self, attempt: AttemptFacts, name: str, fixed: Mapping[str, Any], *, streams: bool) -> Span:
        """Start the span of ``attempt``, a child of the call's; linked to the one that it replaces or races."""
        attributes = {
            **fixed,
            names.ATTEMPT_NUMBER: attempt.number,
            names.ATTEMPT_TRIGGER: attempt.trigger.value,
        }
        if streams and self._tracing.operation is not None:
            attributes[names.REQUEST_STREAM] = True
        if attempt.timeout_ms is not None:
            attributes[names.ATTEMPT_TIMEOUT_S] = attempt.timeout_ms / 1000
        before = self._before
        links = None if before is None else [SpanLink(before.get_span_context())]
        try:
            span = self._tracer.start_span(
                name, self._context, kind=SpanKind.CLIENT, attributes=attributes, links=links
            )
        except _FOREIGN as error:
            report_broken(self._tracing.broken, "CallTrace", error)
            return NO_SPAN
        self._before = self._spans[attempt.number] = span
        return span

    def attach(self, span: Span | None = None) -> Token[Context]:
        """Make an attempt's span, or the call's, the current one in this task."""
        return context_api.attach(trace.set_span_in_context(span or self._span, self._context))

    @staticmethod
    def detach(token: Token[Context]) -> None:
        """Undo :meth:`attach`."""
        context_api.detach(token)

    def decide(self, at_ns: int) -> None:
        """Take note of the moment in which everything that is still in flight is cut off: there the winner has won."""
        self._decided_ns = at_ns

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Leave an event on the call's span."""
        if self.recording:
            try:
                shown = {key: _encodable(value) for key, value in fields.items() if value is not None}
                self._span.add_event(name, shown)
            except _FOREIGN as error:
                report_broken(self._tracing.broken, "CallTrace", error)

    def attempt_ended(self, call: CallFacts, attempt: AttemptFacts) -> None:
        """End the span of ``attempt``: when it was cut off, when it won, or now."""
        span = self._spans.pop(attempt.number, None)
        if span is None:
            return
        if span.is_recording():
            failure, status = attempt.failure, attempt.status
            if failure is not None and status in _RED:
                message = bounded(failure.snapshot.message)
                span.set_status(Status(StatusCode.ERROR, message))
                kind = bounded(error_type(failure.error))
                span.add_event("exception", {"exception.type": kind, "exception.message": message})
            span.set_attributes(self._attempt_attributes(attempt))
        if attempt.cut is not None:
            end_ns = attempt.cut.at_ns
        else:
            # A viewer's critical path follows what ends last, so it must not end in a loser.
            # A stream's winner ends with its stream.
            won = attempt is call.winner and attempt.items is None
            end_ns = self._decided_ns if won and self._decided_ns is not None else time.time_ns()
            end_ns = max(end_ns, self._last_ns + _APART_NS)
        self._last_ns = max(self._last_ns, end_ns)
        span.end(end_ns)

    def call_ended(self, call: CallFacts) -> None:
        """End the call's span, last of all."""
        if self.recording:
            self._span.set_attributes(_call_attributes(call))
            if call.error is not None and call.outcome != "cancelled":
                self._span.set_status(Status(StatusCode.ERROR, f"{call.outcome}: {_describe(call, call.error)}"))
        self._span.end(max(time.time_ns(), self._last_ns + _APART_NS))

    def _attempt_attributes(self, attempt: AttemptFacts) -> dict[str, Any]:
        assert attempt.status is not None
        found: dict[str, Any] = {names.ATTEMPT_STATUS: attempt.status.value}
        cost = attempt.cost
        _add_cost(found, cost)
        if self._tracing.tells_usage:
            _add_usage(found, cost.usage)
        if cost.response_model is not None and self._tracing.operation is not None:
            found[names.RESPONSE_MODEL] = cost.response_model
        if attempt.ledger_wait_s is not None:
            found[names.LEDGER_WAIT_S] = attempt.ledger_wait_s
        if attempt.items is not None:
            found[names.STREAM_ITEMS] = attempt.items
            if self._tracing.operation is not None and (reasons := attempt.finish_reasons):
                found[names.FINISH_REASONS] = [bounded(reason) for reason in reasons]
        if attempt.first_item_s is not None:
            known = self._tracing.operation is not None
            found[names.TIME_TO_FIRST_CHUNK if known else names.FIRST_ITEM_S] = attempt.first_item_s
        if attempt.cleanup_s is not None:
            found[names.ATTEMPT_CLEANUP_S] = attempt.cleanup_s
        if attempt.failure is not None:
            _add_failure(found, attempt.failure)
        return found


_RACE, _FAILOVER = AttemptTrigger.RACE, AttemptTrigger.FAILOVER
_RED = (AttemptStatus.FAILED, AttemptStatus.REJECTED)


def _add_cost(found: dict[str, Any], cost: Cost) -> None:
    amount_usd = cost.amount_usd
    if amount_usd is not None:
        found[names.COST_USD] = amount_usd
    if cost.source is not None:
        found[names.COST_SOURCE] = cost.source
    if cost.exceeded is not None:
        found[names.COST_PROJECTED_USD] = usd(cost.exceeded)
    if cost.unpriced:
        found[names.COST_UNPRICED] = cost.unpriced


def _add_usage(found: dict[str, Any], usage: Usage | None) -> None:
    if usage is not None and usage.input_tokens is not None:
        found[names.INPUT_TOKENS] = usage.input_tokens
    if usage is not None and usage.output_tokens is not None:
        found[names.OUTPUT_TOKENS] = usage.output_tokens


def _add_failure(found: dict[str, Any], failure: Failure) -> None:
    snapshot = failure.snapshot
    found[names.ERROR_CATEGORY] = snapshot.category.value
    found[names.ERROR_TYPE] = bounded(error_type(failure.error))
    if snapshot.status is not None:
        found[names.HTTP_STATUS] = snapshot.status
    if snapshot.retry_after_ms is not None:
        found[names.RETRY_AFTER_S] = snapshot.retry_after_ms / 1000


def _call_attributes(call: CallFacts) -> dict[str, Any]:
    sums = sums_of(call)
    triggers = [one.trigger for one in call.attempts]
    values = {
        names.CALL_OUTCOME: call.outcome,
        names.CALL_ATTEMPTS: len(call.attempts),
        names.CALL_SELECTED: bounded(call.winner.link.label) if call.winner is not None else None,
        names.CALL_COST_USD: sums.cost_usd,
        names.CALL_UNCERTAIN_USD: sums.uncertain_usd,
        names.CALL_WASTED_USD: sums.wasted_usd,
        names.CALL_RACED: _RACE in triggers,
        names.CALL_FAILED_OVER: _FAILOVER in triggers,
        names.CALL_TRAIL: bounded(trail_of([_step(one) for one in call.attempts])),
        names.RACE_AFTER_S: call.race_after_s,
        names.RACE_SOURCE: call.race_source,
        names.RACE_SWAPPED: True if call.swapped else None,
        names.SESSION_SPENT_USD: call.session_spent_usd,
        names.STREAM_ENDED: call.stream_end,
    }
    return {name: value for name, value in values.items() if value is not None}


def _step(attempt: AttemptFacts) -> Step:
    link, failure = attempt.link, attempt.failure
    assert attempt.status is not None
    return Step(link.provider, link.model, link.label, attempt.status, None if failure is None else failure.snapshot)


def _describe(call: CallFacts, error: BaseException) -> str:
    failed = failed_attempt(call, error)
    if failed is None or failed.failure is None:
        return type(error).__name__
    message = bounded(failed.failure.snapshot.message)
    own = failed.failure.error is error or call.is_exhausted
    return message if own else f"{type(error).__name__} after {message}"
