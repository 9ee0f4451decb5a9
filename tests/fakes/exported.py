"""Traces for tests: spans as the OpenTelemetry SDK ends and exports them, in the forms that people save them in."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

from routeware.lab.calls import CallTree

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000


class Traced:
    """Calls whose spans are written by hand, at times of the test's choosing; the SDK makes them what is exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("routeware")

    def spans(self) -> Sequence[ReadableSpan]:
        """What has ended, in that order."""
        return self._exporter.get_finished_spans()

    def call(self, name: str = "ask", *, at_ms: float = 0.0) -> TracedCall:
        """A call that starts ``at_ms`` after the beginning of time."""
        return TracedCall(self._tracer, name, START_NS + round(at_ms * MS))

    def other(self, name: str = "GET /") -> None:
        """A span that is none of routeware's."""
        self._tracer.start_span(name, start_time=START_NS).end(START_NS + MS)


class TracedCall:
    """One call's spans, being written."""

    def __init__(self, tracer: Any, name: str, start_ns: int) -> None:
        self._tracer = tracer
        self._start_ns = start_ns
        self._attempts = 0
        self.span: Span = tracer.start_span(
            f"routeware.call {name}",
            start_time=start_ns,
            attributes={"routeware.call.name": name, "routeware.policy.label": "chat"},
        )

    def attempt(
        self, label: str, begin_ms: float, end_ms: float, status: str = "succeeded", **attributes: Any
    ) -> TracedCall:
        """An attempt between two moments of the call. Attributes are written with ``__`` for a dot."""
        self._attempts += 1
        provider, _, model = label.partition(":")
        span = self._tracer.start_span(
            f"chat {model}",
            context=set_span_in_context(self.span),
            kind=SpanKind.CLIENT,
            start_time=self._start_ns + round(begin_ms * MS),
            attributes={
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": model,
                "routeware.link.label": label,
                "routeware.attempt.number": self._attempts,
                "routeware.attempt.trigger": "initial" if self._attempts == 1 else "failover",
                "routeware.attempt.status": status,
                **dotted(attributes),
            },
        )
        if status == "failed":
            span.set_status(Status(StatusCode.ERROR, "rate_limit 429"))
            span.add_event("exception", {"exception.type": "x"}, timestamp=self._start_ns + round(end_ms * MS))
        span.end(self._start_ns + round(end_ms * MS))
        return self

    def event(self, name: str, at_ms: float, **fields: Any) -> TracedCall:
        """An event of the call."""
        self.span.add_event(f"llm.routing.{name}", fields, timestamp=self._start_ns + round(at_ms * MS))
        return self

    def end(self, at_ms: float, outcome: str = "succeeded", **attributes: Any) -> None:
        """End the call's span, stating how many attempts there were unless ``attributes`` do."""
        self.span.set_attributes(
            {"routeware.call.outcome": outcome, "routeware.call.attempts": self._attempts, **dotted(attributes)}
        )
        self.span.end(self._start_ns + round(at_ms * MS))


def dotted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments as attribute names."""
    return {key.replace("__", "."): value for key, value in attributes.items()}


def otlp(spans: Iterable[ReadableSpan], *, hexadecimal: bool = True) -> dict[str, Any]:
    """OTLP JSON, from the encoder that exporters use; its ids are base64 before they are made hexadecimal."""
    document: dict[str, Any] = MessageToDict(encode_spans(list(spans)))
    if hexadecimal:
        for span in _otlp_spans(document):
            for key in ("traceId", "spanId", "parentSpanId"):
                if key in span:
                    span[key] = base64.b64decode(span[key]).hex()
    return document


def _otlp_spans(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        span for resource in document["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"]
    ]


def jaeger(spans: Iterable[ReadableSpan]) -> dict[str, Any]:
    """Jaeger's JSON of the same spans, as its query API writes it."""
    traces: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        one = _jaeger_span(span)
        traces.setdefault(one["traceID"], []).append(one)
    return {
        "data": [
            {"traceID": trace_id, "spans": found, "processes": {"p1": {"serviceName": "test", "tags": []}}}
            for trace_id, found in traces.items()
        ],
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": None,
    }


def _jaeger_span(span: ReadableSpan) -> dict[str, Any]:
    trace_id = f"{span.context.trace_id:032x}"
    parent = [
        {"refType": "CHILD_OF", "traceID": trace_id, "spanID": f"{parent.span_id:016x}"}
        for parent in [span.parent]
        if parent is not None
    ]
    start_us, end_us = (span.start_time or 0) // 1000, (span.end_time or 0) // 1000
    return {
        "traceID": trace_id,
        "spanID": f"{span.context.span_id:016x}",
        "operationName": span.name,
        "references": parent,
        "startTime": start_us,
        "duration": end_us - start_us,
        "tags": _tags({**(span.attributes or {}), **_told_by_tags(span)}),
        "logs": [
            {"timestamp": event.timestamp // 1000, "fields": _tags({"event": event.name, **(event.attributes or {})})}
            for event in span.events
        ],
        "processID": "p1",
        "warnings": None,
    }


def _told_by_tags(span: ReadableSpan) -> dict[str, Any]:
    told: dict[str, Any] = {"span.kind": span.kind.name.lower()}
    if span.status.status_code is StatusCode.ERROR:
        told |= {"error": True, "otel.status_code": "ERROR", "otel.status_description": span.status.description or ""}
    return told


def _tags(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds = {bool: "bool", int: "int64", float: "float64"}
    return [{"key": key, "type": kinds.get(type(value), "string"), "value": value} for key, value in values.items()]


def comparable(call: CallTree) -> CallTree:
    """A tree without its times, which spans and records take from different clocks, and without what one side lacks."""
    bars = [
        attrs.evolve(
            bar,
            started_ms=0,
            duration_ms=0,
            first_item_ms=None if bar.first_item_ms is None else 0,
            error_type=None,
            provider=None,
            model=None,
        )
        for bar in call.attempts
    ]
    return attrs.evolve(call, duration_ms=0, started_at_ms=None, attempts=tuple(bars), events=())
