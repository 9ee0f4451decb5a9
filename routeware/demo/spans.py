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
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from logging.handlers import BufferingHandler
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

_NS_PER_US = 1_000
_PROCESS = "p1"
_TYPES = {bool: "bool", int: "int64", float: "float64", str: "string"}

_BATCH = 512
_REACH_S = 3.0
_PORTS = {"http": 80, "https": 443}


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


def jaeger_json(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """Return the document for the spans of one trace, at least one, which come from one process."""
    ordered = [_jaeger(span) for span in sorted(spans, key=lambda span: span.start_time or 0)]
    resource = dict(spans[0].resource.attributes)
    service = str(resource.pop("service.name", "unknown_service"))
    trace = {
        "traceID": ordered[0]["traceID"],
        "spans": ordered,
        "processes": {_PROCESS: {"serviceName": service, "tags": _tags(resource)}},
        "warnings": None,
    }
    return {"data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": None}


def _jaeger(span: ReadableSpan) -> dict[str, Any]:
    context: SpanContext | None = span.get_span_context()
    assert context is not None
    start_ns, end_ns = span.start_time or 0, span.end_time or 0
    # Pages hang a span under its first reference: the parent comes before what the links lead to.
    references = [("CHILD_OF", span.parent)] if span.parent else []
    references += [("FOLLOWS_FROM", link.context) for link in span.links]
    return {
        **_ids(context),
        "operationName": span.name,
        "references": [{"refType": kind, **_ids(other)} for kind, other in references],
        "startTime": start_ns // _NS_PER_US,
        "duration": max(0, end_ns - start_ns) // _NS_PER_US,
        "tags": _tags({**(span.attributes or {}), **_status_and_kind(span)}),
        "logs": [
            {"timestamp": at.timestamp // _NS_PER_US, "fields": _tags({"event": at.name, **(at.attributes or {})})}
            for at in span.events
        ],
        "processID": _PROCESS,
        "warnings": None,
    }


def _ids(context: SpanContext) -> dict[str, str]:
    return {"traceID": f"{context.trace_id:032x}", "spanID": f"{context.span_id:016x}"}


def _status_and_kind(span: ReadableSpan) -> dict[str, AttributeValue]:
    tags: dict[str, AttributeValue] = {"span.kind": span.kind.name.lower()}
    if span.instrumentation_scope is not None:
        tags["otel.scope.name"] = span.instrumentation_scope.name
    if span.status.status_code is not StatusCode.UNSET:
        tags["otel.status_code"] = span.status.status_code.name
    if span.status.status_code is StatusCode.ERROR:
        tags["error"] = True
    if span.status.description:
        tags["otel.status_description"] = span.status.description
    return tags


def _tags(attributes: Mapping[str, AttributeValue]) -> list[dict[str, Any]]:
    """Return attributes with their types; what has none of Jaeger's is a string of JSON."""
    return [
        {"key": key, "type": _TYPES[type(value)], "value": value}
        if type(value) in _TYPES
        else {"key": key, "type": "string", "value": json.dumps(value, separators=(",", ":"))}
        for key, value in attributes.items()
    ]


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
    with _complaints() as heard:
        for start in range(0, len(spans), _BATCH):
            if exporter.export(spans[start : start + _BATCH]) is not SpanExportResult.SUCCESS:
                why = heard[-1].getMessage().splitlines()[0] if heard else "it does not say why"
                raise DemoError(f"{url} did not take the spans: {why}")
    exporter.shutdown()  # type: ignore[no-untyped-call]  # the exporter's own signature lacks types


@contextmanager
def _complaints() -> Generator[list[logging.LogRecord]]:
    """Yield what the exporter logs, and keep it off the terminal: that gets one line of it, not ten."""
    handler = BufferingHandler(capacity=sys.maxsize)
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger("opentelemetry")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield handler.buffer
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
