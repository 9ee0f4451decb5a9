"""Spans: one for a call, and one below it for every attempt that was started.

Names are those of OpenTelemetry's semantic conventions for generative AI where it has one (they are in development, so
the dozen strings stand here), and ours under ``routeware.``. No span is ever made current with
``start_as_current_span``: a call's spans outlive single blocks, and are ended once, by hand, in the order that a trace
viewer needs.
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
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider

from routeware.classify import ErrorSnapshot
from routeware.money import Usage
from routeware.records import AttemptStatus
from routeware.telemetry.metrics import MeterProvider, Metrics
from routeware.telemetry.names import otel_provider_name

__all__ = [
    "NO_SPAN",
    "AttemptTelling",
    "CallTrace",
    "Context",
    "Span",
    "TracerProvider",
    "Tracing",
    "detach",
    "usage_attributes",
]

NO_SPAN: Span = trace.INVALID_SPAN

# Jaeger keeps microseconds, and rounds a start and a duration apart: nearer than this, an order could be lost.
_APART_NS = 5_000


class Tracing:
    """What one decorated function knows about tracing and metrics; prepared once."""

    __slots__ = ("_tracer", "_waits_for_sdk", "call_span_name", "metrics", "name", "operation")

    def __init__(
        self,
        name: str,
        operation: str | None,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
    ) -> None:
        self.name = name
        self.operation = operation
        self.call_span_name = f"routeware.call {name}"
        self._tracer: Tracer = trace.get_tracer("routeware", tracer_provider=tracer_provider)
        self._waits_for_sdk = tracer_provider is None
        self.metrics = Metrics(name, operation, meter_provider)

    def start_call(self, attributes: Mapping[str, Any]) -> CallTrace | None:
        """Start a call's span; ``None`` where nothing listens, so that the rest of the call need not ask again."""
        if self._waits_for_sdk and getattr(trace, "_TRACER_PROVIDER", self) is None:
            # Asked past the API, which answers only by starting a span for nobody, at a sixth of what a call costs.
            # Where a later API keeps its provider elsewhere, that is what is done.
            return None
        span = self._tracer.start_span(self.call_span_name, kind=SpanKind.INTERNAL, attributes=attributes)
        if span is NO_SPAN or (not span.is_recording() and _echoes_parent(span)):
            return None
        return CallTrace(self._tracer, span)

    def attempt_span(self, provider: str, model: str, label: str) -> tuple[str, dict[str, Any]]:
        """Name and fixed attributes of the spans of attempts at one link."""
        if self.operation is None:
            return f"{self.name} {label}", {"routeware.link.label": label}
        return f"{self.operation} {model}", {
            "gen_ai.operation.name": self.operation,
            "gen_ai.provider.name": otel_provider_name(provider),
            "gen_ai.request.model": model,
            "routeware.link.label": label,
        }


def _echoes_parent(span: Span) -> bool:
    # Without an SDK, "starting" a span gives back the current one's context; a sampler's refusal is a new context.
    context = span.get_span_context()
    return not context.is_valid or context == trace.get_current_span().get_span_context()


class CallTrace:
    """The spans of one call that somebody listens to."""

    __slots__ = ("_before", "_context", "_last_ns", "_tracer", "recording", "span")

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._context = trace.set_span_in_context(span)
        self._last_ns = 0
        self._before: Span | None = None
        self.span = span
        self.recording = span.is_recording()

    @property
    def trace_id(self) -> str | None:
        """The trace's id in hexadecimal; ``None`` where it is not recorded."""
        return trace.format_trace_id(self.span.get_span_context().trace_id) if self.recording else None

    def start_attempt(self, name: str, attributes: Mapping[str, Any]) -> Span:
        """Start the span of one attempt, a child of the call's; linked to the one that it replaces, or races."""
        before = self._before
        links = None if before is None else [SpanLink(before.get_span_context())]
        self._before = span = self._tracer.start_span(
            name, self._context, kind=SpanKind.CLIENT, attributes=attributes, links=links
        )
        return span

    def attach(self, span: Span) -> Token[Context]:
        """Make an attempt's span the current one in this task."""
        return context_api.attach(trace.set_span_in_context(span, self._context))

    def end_attempt(self, span: Span, telling: AttemptTelling | None, end_ns: int) -> None:
        """End an attempt's span, at ``end_ns``; ``telling`` is what it says, where it is recorded."""
        if telling is not None:
            if telling.snapshot is not None and telling.status in _RED:
                self._mark_failed(span, telling.snapshot, telling.error_type)
            span.set_attributes(telling.attributes)
        self._last_ns = max(self._last_ns, end_ns)
        span.end(end_ns)

    def end_call(self, attributes: Mapping[str, Any] | None, failure: str | None) -> None:
        """End the call's span, last of all. ``failure`` says what to show for a call that failed."""
        if attributes is not None:
            self.span.set_attributes(attributes)
        if failure is not None:
            self.span.set_status(Status(StatusCode.ERROR, failure))
        self.span.end(max(time.time_ns(), self._last_ns + _APART_NS))

    def after_losers(self) -> int:
        """A moment, in ns, after every span that was ended so far."""
        return self._last_ns + _APART_NS

    @staticmethod
    def _mark_failed(span: Span, snapshot: ErrorSnapshot, error_type: str) -> None:
        span.set_status(Status(StatusCode.ERROR, snapshot.message))
        span.add_event("exception", {"exception.type": error_type, "exception.message": snapshot.message})


_RED = (AttemptStatus.FAILED, AttemptStatus.REJECTED)


class AttemptTelling:
    """What an attempt's span says at its end; what is unknown has no attribute."""

    __slots__ = ("attributes", "error_type", "snapshot", "status")

    def __init__(
        self, status: AttemptStatus, snapshot: ErrorSnapshot | None, error_type: str, attributes: dict[str, Any]
    ) -> None:
        self.status = status
        self.snapshot = snapshot
        self.error_type = error_type
        self.attributes = attributes
        if snapshot is not None:
            attributes.update(_error_attributes(snapshot, error_type))


def _error_attributes(snapshot: ErrorSnapshot, error_type: str) -> dict[str, Any]:
    told: dict[str, Any] = {"routeware.error.category": snapshot.category.value, "error.type": error_type}
    if snapshot.status is not None:
        told["http.response.status_code"] = snapshot.status
    if snapshot.retry_after_ms is not None:
        told["routeware.retry_after_s"] = snapshot.retry_after_ms / 1000
    return told


def usage_attributes(usage: Usage | None, response_model: str | None) -> dict[str, Any]:
    """Tokens and the model that answered, by the conventions for generative AI."""
    told: dict[str, Any] = {}
    if usage is not None and usage.input_tokens is not None:
        told["gen_ai.usage.input_tokens"] = usage.input_tokens
    if usage is not None and usage.output_tokens is not None:
        told["gen_ai.usage.output_tokens"] = usage.output_tokens
    if response_model is not None:
        told["gen_ai.response.model"] = response_model
    return told


def detach(token: Token[Context]) -> None:
    """Undo :meth:`CallTrace.attach`."""
    context_api.detach(token)
