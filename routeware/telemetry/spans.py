"""Spans: one for a call, and one below it for every attempt that was started. Here each starts, and here it ends.

No span is ever made current with ``start_as_current_span``: a call's spans outlive single blocks, and are ended once,
by hand, in the order that a trace viewer needs. Starting a span runs code of the program (samplers, span processors),
so all of it is guarded: a call goes on without spans where that fails.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import Token
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link as SpanLink
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from routeware.budget import Session
from routeware.observers import FOREIGN, AttemptFacts, CallFacts, failed_attempt, report_broken
from routeware.policy import Link, RoutingPolicy
from routeware.records import AttemptStatus, AttemptTrigger, trail_of
from routeware.telemetry import attributes as names
from routeware.telemetry.attributes import Attributes, add_failure, add_sums, of_attempt, of_call
from routeware.text import bounded, encodable

__all__ = ["NO_SPAN", "CallTrace", "Context", "LinkSpans", "Span", "TracerProvider", "Tracing"]

NO_SPAN: Span = trace.INVALID_SPAN

LinkSpans = tuple[str, Attributes, Attributes, Attributes]
"""What the spans of one link share, prepared once: the name of its attempts' spans and what these start with, what a
call's first attempt starts with, and what a call's span ends with that its first attempt has answered. Most calls are
answered by their first attempt: of the attributes of such a call only the costs are its own.
"""

_RED = (AttemptStatus.FAILED, AttemptStatus.REJECTED)

# Jaeger keeps microseconds, and rounds a start and a duration apart: nearer than this, an order could be lost.
_APART_NS = 5_000


class Tracing:
    """The tracing of one decorated function, prepared once.

    Attributes:
        name: the function's name in spans and records.
        operation: what it does, in OpenTelemetry's terms; ``None`` for what is not an LLM.
        broken: the listeners of this function whose failure has been logged.
        tells_usage: True if spans carry ``gen_ai.usage``: unless the program's own instrumentation does.
        tracer: starts its spans.
    """

    __slots__ = ("_call_span_name", "_waits_for_sdk", "broken", "name", "operation", "tells_usage", "tracer")

    def __init__(
        self, name: str, operation: str | None, tracer_provider: TracerProvider | None, *, usage_on_spans: bool = True
    ) -> None:
        self.name = name
        self.tells_usage = usage_on_spans and operation is not None
        self.operation = operation
        self.broken: set[str] = set()
        self._call_span_name = bounded(f"routeware.call {name}")
        self.tracer: Tracer = trace.get_tracer("routeware", tracer_provider=tracer_provider)
        self._waits_for_sdk = tracer_provider is None

    def call_attributes(self, policy: RoutingPolicy) -> Attributes:
        """Prepare what the span of every call under one policy starts with."""
        return {
            names.CALL_NAME: bounded(self.name),
            names.POLICY_LABEL: bounded(policy.label),
            names.POLICY_CHAIN: tuple(bounded(link.label) for link in policy.chain),
            names.MAX_ATTEMPTS: policy.max_attempts,
        }

    def link_spans(self, link: Link) -> LinkSpans:
        """Prepare the spans of attempts at one link."""
        label = bounded(link.label)
        if self.operation is None:
            name, fixed = f"{self.name} {link.label}", {names.LINK_LABEL: label}
        else:
            name = f"{self.operation} {link.model}"
            fixed = {
                names.OPERATION: bounded(self.operation),
                names.PROVIDER: bounded(names.otel_provider_name(link.provider)),
                names.REQUEST_MODEL: bounded(link.model),
                names.LINK_LABEL: label,
            }
        first = {**fixed, names.ATTEMPT_NUMBER: 1, names.ATTEMPT_TRIGGER: AttemptTrigger.INITIAL.value}
        answered = {
            names.CALL_OUTCOME: "succeeded",
            names.CALL_ATTEMPTS: 1,
            names.CALL_SELECTED: label,
            names.CALL_WASTED_USD: 0.0,
            names.CALL_RACED: False,
            names.CALL_FAILED_OVER: False,
            names.CALL_TRAIL: bounded(trail_of([(link, AttemptStatus.SUCCEEDED, None)])),
        }
        return bounded(name), fixed, first, answered

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
            span = self.tracer.start_span(self._call_span_name, None, SpanKind.INTERNAL, attributes)
            recording = span.is_recording()
            if not recording and (span is NO_SPAN or _echoes_parent(span)):
                return None
            return CallTrace(self, span, recording)
        except FOREIGN as error:
            report_broken(self.broken, "CallTrace", error)
            return None


def _encodable(value: object) -> Any:
    return bounded(value) if isinstance(value, str) else value


def _merged(fixed: Mapping[str, Any], session: Session | None, own: Mapping[str, Any] | None) -> Attributes:
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
        recording: True if the call's span is recorded.
        recorded: True if any of its spans is. A sampler may drop the call's and record an attempt's all the same.
    """

    __slots__ = (
        "_answered",
        "_before",
        "_context",
        "_decided_ns",
        "_last_ns",
        "_span",
        "_tracing",
        "recorded",
        "recording",
    )

    def __init__(self, tracing: Tracing, span: Span, recording: bool) -> None:
        self._tracing = tracing
        self._span = span
        self._context = trace.set_span_in_context(span)
        self._answered: Attributes | None = None  # what the span ends with if its first attempt answers
        self._before: Span | None = None
        self._last_ns = 0
        self._decided_ns: int | None = None
        self.recorded = self.recording = recording

    @property
    def trace_id(self) -> str | None:
        """The trace's id in hexadecimal; ``None`` where it is not recorded."""
        return trace.format_trace_id(self._span.get_span_context().trace_id) if self.recording else None

    def start_attempt(
        self, attempt: AttemptFacts, prepared: LinkSpans, streams: bool, ledger_wait_s: float | None
    ) -> Span:
        """Start the span of ``attempt``, a child of the call's; linked to the one that it replaces or races."""
        name, fixed, first, answered = prepared
        before, links = self._before, None
        if before is None and attempt.number == 1:
            self._answered = answered
            attributes = first.copy()
        else:
            attributes = fixed.copy()
            attributes[names.ATTEMPT_NUMBER] = attempt.number
            attributes[names.ATTEMPT_TRIGGER] = attempt.trigger.value
            if before is not None:
                links = [SpanLink(before.get_span_context())]
        timeout_ms = attempt.timeout_ms
        if timeout_ms is not None:
            attributes[names.ATTEMPT_TIMEOUT_S] = timeout_ms / 1000
        if ledger_wait_s is not None:
            attributes[names.LEDGER_WAIT_S] = ledger_wait_s
        tracing = self._tracing
        if streams and tracing.operation is not None:
            attributes[names.REQUEST_STREAM] = True
        try:
            span = tracing.tracer.start_span(name, self._context, SpanKind.CLIENT, attributes, links)
        except FOREIGN as error:
            report_broken(tracing.broken, "CallTrace", error)
            # It keeps nothing, and what the function starts below it belongs to the call instead of to no trace.
            return NonRecordingSpan(self._span.get_span_context())
        self._before = span
        if not self.recorded:
            self.recorded = span.is_recording()
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
            except FOREIGN as error:
                report_broken(self._tracing.broken, "CallTrace", error)

    def attempt_ended(self, call: CallFacts, attempt: AttemptFacts, span: Span) -> None:
        """End the span of ``attempt``: when it was cut off, when it won, or now."""
        if not span.is_recording():
            span.end()  # a sampler has dropped it, or it could not be started: nothing is worked out for it
            return
        cut = attempt.cut
        if cut is not None:
            end_ns = cut.at_ns
            self._last_ns = max(self._last_ns, end_ns)
        else:
            # A viewer's critical path follows what ends last, so it must not end in a loser.
            # A stream's winner ends with its stream.
            decided_ns = self._decided_ns
            won = decided_ns is not None and attempt is call.winner and attempt.items is None
            end_ns = max(decided_ns if won and decided_ns is not None else time.time_ns(), self._last_ns + _APART_NS)
            self._last_ns = end_ns
        tracing, failure = self._tracing, attempt.failure
        try:
            found = of_attempt(attempt, known=tracing.operation is not None, tells_usage=tracing.tells_usage)
            if failure is not None:
                add_failure(found, failure)
                if attempt.status in _RED:
                    message = bounded(failure.snapshot.message)
                    span.set_status(Status(StatusCode.ERROR, message))
                    shown = {"exception.type": found[names.ERROR_TYPE], "exception.message": message}
                    span.add_event("exception", shown)
            span.set_attributes(found)
        finally:
            span.end(end_ns)

    def call_ended(self, call: CallFacts) -> None:
        """End the call's span, last of all."""
        span = self._span
        if not self.recording:
            span.end()
            return
        try:
            self._describe(call)
        finally:
            span.end(max(time.time_ns(), self._last_ns + _APART_NS))

    def _describe(self, call: CallFacts) -> None:
        span, answered = self._span, self._answered
        if answered is not None and call.outcome == "succeeded" and len(call.attempts) == 1:
            found = answered.copy()
            add_sums(found, call.attempts[0])
        else:
            found = of_call(call)
        if call.race_source is not None:
            found[names.RACE_SOURCE] = call.race_source
            if call.race_after_s is not None:
                found[names.RACE_AFTER_S] = call.race_after_s
            if call.swapped:
                found[names.RACE_SWAPPED] = True
        spent_usd = call.session_spent_usd
        if spent_usd is not None:
            found[names.SESSION_SPENT_USD] = spent_usd
        if call.stream_end is not None:
            found[names.STREAM_ENDED] = call.stream_end
        span.set_attributes(found)
        if call.error is not None and call.outcome != "cancelled":
            span.set_status(Status(StatusCode.ERROR, f"{call.outcome}: {_failure_of(call, call.error)}"))


def _failure_of(call: CallFacts, error: BaseException) -> str:
    """Describe what a call raises without its text, which may quote a provider."""
    failed = failed_attempt(call, error)
    if failed is None or failed.failure is None:
        return type(error).__name__
    message = bounded(failed.failure.snapshot.message)
    own = failed.failure.error is error or call.is_exhausted
    return message if own else f"{type(error).__name__} after {message}"
