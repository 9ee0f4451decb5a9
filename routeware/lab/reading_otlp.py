"""Reads spans from OTLP JSON.

OTLP JSON is protobuf's JSON mapping with hexadecimal ids (OpenTelemetry Protocol Specification, "JSON Protobuf
Encoding"). Protobuf's own mapping writes base64 ids, and with preserved field names snake_case: both are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from routeware.lab.reading_values import (
    MalformedError,
    elements,
    field,
    identifier,
    listed,
    mapping,
    parent,
    whole,
    words,
)
from routeware.lab.spans import Plain, Span, SpanEvent, SpanKind, SpanStatus

__all__ = ["otlp_span"]

_KINDS: dict[object, SpanKind] = {
    2: "server",
    3: "client",
    4: "producer",
    5: "consumer",
    "SPAN_KIND_SERVER": "server",
    "SPAN_KIND_CLIENT": "client",
    "SPAN_KIND_PRODUCER": "producer",
    "SPAN_KIND_CONSUMER": "consumer",
}
_STATUSES: dict[object, SpanStatus] = {1: "ok", 2: "error", "STATUS_CODE_OK": "ok", "STATUS_CODE_ERROR": "error"}


def otlp_span(raw: object) -> Span:
    """Return one span of a ``scopeSpans`` entry.

    Raises:
        MalformedError: it is not one; says what is wrong with it.
    """
    span = mapping(raw, "a span")
    status = mapping(span.get("status") or {}, "status")
    return Span(
        trace_id=identifier(field(span, "traceId"), "traceId", 32),
        span_id=identifier(field(span, "spanId"), "spanId", 16),
        parent_id=parent(field(span, "parentSpanId"), "parentSpanId"),
        name=words(span.get("name", ""), "name"),
        start_ns=whole(field(span, "startTimeUnixNano"), "startTimeUnixNano"),
        end_ns=whole(field(span, "endTimeUnixNano"), "endTimeUnixNano"),
        kind=_KINDS.get(_code(span.get("kind")), "internal"),
        status=_STATUSES.get(_code(status.get("code")), "unset"),
        status_message=words(status["message"], "status.message") if status.get("message") else None,
        attributes=_attributes(span),
        events=tuple(_event(event) for event in elements(span, "events")),
    )


def _event(event: dict[str, object]) -> SpanEvent:
    return SpanEvent(
        name=words(event.get("name", ""), "an event's name"),
        time_ns=whole(field(event, "timeUnixNano"), "timeUnixNano"),
        attributes=_attributes(event),
    )


def _code(value: object) -> object:
    """Return an enum's value, a number or its name; anything else counts as not given."""
    return value if isinstance(value, int | str) else None


def _attributes(owner: dict[str, object], key: str = "attributes") -> Mapping[str, Plain]:
    return {words(pair.get("key"), "an attribute's key"): _plain(pair.get("value")) for pair in elements(owner, key)}


def _plain(value: object) -> Plain:
    """Return an ``AnyValue``: an object with one member whose name is the type, or none for null."""
    for kind, content in mapping(value or {}, "an attribute's value").items():
        known = _SNAKE.get(kind, kind)
        if known in _VALUES:
            return _VALUES[known](content, known)
    return None


def _double(content: object, what: str) -> float:
    """Return a float; protobuf writes NaN and the infinities as strings."""
    if isinstance(content, bool) or not isinstance(content, int | float | str):
        raise MalformedError(f"{what} is not a number")
    return float(content)


def _array(content: object, what: str) -> Plain:
    return [_plain(item) for item in listed(mapping(content, what).get("values"), "values")]


_VALUES: dict[str, Callable[[object, str], Plain]] = {
    "stringValue": words,
    "boolValue": lambda content, _: content in (True, "true"),
    "intValue": whole,
    "doubleValue": _double,
    "bytesValue": words,
    "arrayValue": _array,
    "kvlistValue": lambda content, what: _attributes(mapping(content, what), "values"),
}
_SNAKE = {"".join(f"_{char.lower()}" if char.isupper() else char for char in name): name for name in _VALUES}
