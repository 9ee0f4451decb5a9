"""The spans of a run: recorded, put into the providers' own time, saved for Jaeger's page, and sent to a collector.

The demo runs faster than the providers did. What is drawn, saved and exported has to agree with the table, so times are
stretched: away from the end of the run, for a backend may turn down what lies in the future.

Spans become Jaeger's as OpenTelemetry lays it down ("OpenTelemetry to Jaeger Transformation"): attributes are tags,
events are logs, links are references, and status and kind are tags with names of their own.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanContext, StatusCode
from opentelemetry.util.types import AttributeValue

from routeware.demo import DemoError

__all__ = ["Recorder", "collector_url", "export", "in_own_time", "jaeger_json", "of_trace", "reach"]

# What routeware measured or was set to. What a provider said (`routeware.retry_after_s`) is in its own time already.
_MEASURED_S = frozenset(
    {
        "gen_ai.response.time_to_first_chunk",
        "routeware.attempt.cleanup_s",
        "routeware.attempt.timeout_s",
        "routeware.race.after_s",
    }
)


class Recorder:
    """A tracer provider that keeps its spans in memory."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        resource = Resource.create({"service.name": "routeware-demo"})
        self.tracer_provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._kept))

    def spans(self) -> tuple[ReadableSpan, ...]:
        """Return all that have ended, in that order."""
        return self._kept.get_finished_spans()


def in_own_time(spans: Sequence[ReadableSpan], speed_up: float) -> tuple[ReadableSpan, ...]:
    """Return the same spans as if nothing had been sped up; the last one ends when it ended."""
    end = max((span.end_time or 0 for span in spans), default=0)
    return tuple(_stretched(span, end, speed_up) for span in spans)


def of_trace(spans: Sequence[ReadableSpan], trace_id: str) -> tuple[ReadableSpan, ...]:
    """Return those of one trace (its id in hexadecimal)."""
    wanted = int(trace_id, 16)
    return tuple(span for span in spans if span.context is not None and span.context.trace_id == wanted)


def _stretched(span: ReadableSpan, end: int, speed_up: float) -> ReadableSpan:
    def moved(time_ns: int) -> int:
        return end - round((end - time_ns) * speed_up)

    events = [Event(event.name, event.attributes, moved(event.timestamp)) for event in span.events]
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={key: _value(key, value, speed_up) for key, value in (span.attributes or {}).items()},
        events=events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=None if span.start_time is None else moved(span.start_time),
        end_time=None if span.end_time is None else moved(span.end_time),
        instrumentation_scope=span.instrumentation_scope,
    )


def _value(key: str, value: AttributeValue, speed_up: float) -> AttributeValue:
    return value * speed_up if key in _MEASURED_S and isinstance(value, float) else value


_NS_PER_US = 1_000
_PROCESS = "p1"


def jaeger_json(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """Return the document for the spans of one trace, which come from one process.

    Raises:
        ValueError: there are no spans.
    """
    if not spans:
        raise ValueError("a trace has at least one span")
    ordered = sorted(spans, key=lambda span: span.start_time or 0)
    resource = dict(ordered[0].resource.attributes)
    service = str(resource.pop("service.name", "unknown_service"))
    process = {"serviceName": service, "tags": _tags(resource)}
    trace = {
        "traceID": f"{_context(ordered[0]).trace_id:032x}",
        "spans": [_span(span) for span in ordered],
        "processes": {_PROCESS: process},
        "warnings": None,
    }
    return {"data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": None}


def _span(span: ReadableSpan) -> dict[str, Any]:
    context = _context(span)
    start_ns, end_ns = span.start_time or 0, span.end_time or 0
    return {
        "traceID": f"{context.trace_id:032x}",
        "spanID": f"{context.span_id:016x}",
        "operationName": span.name,
        "references": _references(span),
        "startTime": start_ns // _NS_PER_US,
        "duration": max(0, end_ns - start_ns) // _NS_PER_US,
        "tags": [*_tags(span.attributes or {}), *_status_and_kind(span)],
        "logs": [_log(event.name, event.timestamp, event.attributes or {}) for event in span.events],
        "processID": _PROCESS,
        "warnings": None,
    }


def _context(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.get_span_context()
    if context is None:
        raise ValueError(f"the span {span.name!r} has no context")
    return context


def _references(span: ReadableSpan) -> list[dict[str, str]]:
    """Return the parent first, because pages hang a span under its first reference, then what its links lead to."""
    parents = [] if span.parent is None else [_reference("CHILD_OF", span.parent)]
    return [*parents, *(_reference("FOLLOWS_FROM", link.context) for link in span.links)]


def _reference(kind: str, other: SpanContext) -> dict[str, str]:
    return {"refType": kind, "traceID": f"{other.trace_id:032x}", "spanID": f"{other.span_id:016x}"}


def _status_and_kind(span: ReadableSpan) -> list[dict[str, Any]]:
    tags: dict[str, AttributeValue] = {"span.kind": span.kind.name.lower()}
    if span.instrumentation_scope is not None:
        tags["otel.scope.name"] = span.instrumentation_scope.name
    if span.status.status_code is not StatusCode.UNSET:
        tags["otel.status_code"] = span.status.status_code.name
    if span.status.status_code is StatusCode.ERROR:
        tags["error"] = True
    if span.status.description:
        tags["otel.status_description"] = span.status.description
    return _tags(tags)


def _log(name: str, time_ns: int, attributes: Mapping[str, AttributeValue]) -> dict[str, Any]:
    return {"timestamp": time_ns // _NS_PER_US, "fields": _tags({"event": name, **attributes})}


def _tags(attributes: Mapping[str, AttributeValue]) -> list[dict[str, Any]]:
    return [_tag(key, value) for key, value in attributes.items()]


def _tag(key: str, value: AttributeValue) -> dict[str, Any]:
    match value:
        case bool():
            return {"key": key, "type": "bool", "value": value}
        case int():
            return {"key": key, "type": "int64", "value": value}
        case float():
            return {"key": key, "type": "float64", "value": value}
        case str():
            return {"key": key, "type": "string", "value": value}
        case _:
            return {"key": key, "type": "string", "value": json.dumps(value, separators=(",", ":"))}


_BATCH = 512
_REACH_S = 3.0
_PORTS = {"http": 80, "https": 443}


def collector_url(given: str) -> str:
    """Return the whole address, from what people give: ``http://localhost:4318`` stands for its ``/v1/traces``.

    Raises:
        DemoError: it is not an HTTP address.
    """
    problem = DemoError(f"{given!r} is not an address like http://localhost:4318")
    try:
        parts = urlsplit(given)
        valid = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise problem from None
    if not valid:
        raise problem
    return given if parts.path.strip("/") else parts._replace(path="/v1/traces").geturl()


def reach(url: str) -> None:
    """Check that something listens at ``url``, before the run.

    Raises:
        DemoError: nothing does.
    """
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or _PORTS[parts.scheme]), _REACH_S).close()
    except OSError as error:
        raise DemoError(f"nothing listens at {url}: {error.strerror or error}") from None


def export(spans: Sequence[ReadableSpan], url: str) -> None:
    """Send ``spans`` to the collector at ``url``, in batches.

    Raises:
        DemoError: it did not take them all.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    exporter = OTLPSpanExporter(endpoint=url)
    with _complaints() as complaints:
        for start in range(0, len(spans), _BATCH):
            if exporter.export(spans[start : start + _BATCH]) is not SpanExportResult.SUCCESS:
                raise DemoError(
                    f"{url} did not take the spans: {complaints[-1] if complaints else 'it does not say why'}"
                )
    exporter.shutdown()  # type: ignore[no-untyped-call]  # the exporter's own signature lacks types


@contextmanager
def _complaints() -> Generator[list[str]]:
    """Yield what the exporter logs, and keep it off the terminal: that gets one line of it, not ten."""
    heard = _Heard()
    logger = logging.getLogger("opentelemetry")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(heard)
    try:
        yield heard.lines
    finally:
        logger.removeHandler(heard)
        logger.propagate = propagate


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().splitlines()[0])
