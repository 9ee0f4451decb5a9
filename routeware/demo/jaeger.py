"""One trace as the JSON file that Jaeger's page opens from disk.

Spans become Jaeger's as OpenTelemetry lays it down ("OpenTelemetry to Jaeger Transformation"): attributes are tags,
events are logs, links are references, and status and kind are tags with names of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, StatusCode
from opentelemetry.util.types import AttributeValue

__all__ = ["jaeger_json"]

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
