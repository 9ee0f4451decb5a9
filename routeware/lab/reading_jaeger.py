"""Reads spans from Jaeger's JSON, as its query API returns it and its page saves it.

Jaeger has tags where OpenTelemetry has attributes, status and kind, and logs where it has events. OpenTelemetry
specifies how the one becomes the other ("OpenTelemetry to Jaeger Transformation"); this module goes the way back.
"""

from __future__ import annotations

from collections.abc import Mapping

from routeware.lab.reading_values import elements, identifier, mapping, whole, words
from routeware.lab.spans import Plain, Span, SpanEvent, SpanKind, SpanStatus

__all__ = ["jaeger_span"]

_NS_PER_US = 1_000
_KINDS: dict[Plain, SpanKind] = {"server": "server", "client": "client", "producer": "producer", "consumer": "consumer"}


def jaeger_span(raw: object) -> Span:
    """Return one span of a trace. Jaeger's times are whole microseconds.

    Raises:
        ValueError: it is not one; says what is wrong with it.
    """
    span = mapping(raw, "a span")
    tags = _values(span, "tags")
    trace_id = identifier(span.get("traceID"), "traceID", 32)
    start_ns = whole(span.get("startTime"), "startTime") * _NS_PER_US
    message = tags.get("otel.status_description")
    return Span(
        trace_id=trace_id,
        span_id=identifier(span.get("spanID"), "spanID", 16),
        parent_id=_parent(span, trace_id),
        name=words(span.get("operationName", ""), "operationName"),
        start_ns=start_ns,
        end_ns=start_ns + whole(span.get("duration"), "duration") * _NS_PER_US,
        kind=_kind(tags),
        status=_status(tags),
        status_message=message if isinstance(message, str) else None,
        attributes=tags,
        events=tuple(_event(log) for log in elements(span, "logs")),
    )


def _parent(span: dict[str, object], trace_id: str) -> str | None:
    """Return the parent's id. Other references are links, and may lead to other traces."""
    for reference in elements(span, "references"):
        of_this_trace = identifier(reference.get("traceID"), "a reference's traceID", 32) == trace_id
        if reference.get("refType") == "CHILD_OF" and of_this_trace:
            return identifier(reference.get("spanID"), "a reference's spanID", 16)
    legacy = span.get("parentSpanID")
    return identifier(legacy, "parentSpanID", 16) if legacy else None


def _event(log: dict[str, object]) -> SpanEvent:
    """Return a log as an event; its field ``event`` is the event's name."""
    fields = _values(log, "fields")
    name = fields.pop("event", "")
    return SpanEvent(
        name=name if isinstance(name, str) else "",
        time_ns=whole(log.get("timestamp"), "a log's timestamp") * _NS_PER_US,
        attributes=fields,
    )


def _kind(tags: Mapping[str, Plain]) -> SpanKind:
    kind = tags.get("span.kind")
    return _KINDS.get(kind.lower(), "internal") if isinstance(kind, str) else "internal"


def _status(tags: Mapping[str, Plain]) -> SpanStatus:
    if tags.get("otel.status_code") == "ERROR" or tags.get("error") in (True, "true"):
        return "error"
    return "ok" if tags.get("otel.status_code") == "OK" else "unset"


def _values(parent: dict[str, object], key: str) -> dict[str, Plain]:
    return {words(pair.get("key"), f"a key in {key}"): _plain(pair) for pair in elements(parent, key)}


def _plain(pair: dict[str, object]) -> Plain:
    """Return a tag's value. Some storages return numbers and booleans as strings; the type says what they were."""
    value = pair.get("value")
    if isinstance(value, str):
        return _as_typed(value, pair.get("type"))
    return value if isinstance(value, bool | int | float) else None


def _as_typed(value: str, kind: object) -> Plain:
    match kind:
        case "bool":
            return value == "true"
        case "int64":
            return whole(value, "a tag's value")
        case "float64":
            return float(value)
        case _:
            return value
