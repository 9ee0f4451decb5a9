"""Turns the JSON of one span into a :class:`Span`: OTLP's, Jaeger's, and that of OpenTelemetry's console exporter.

OTLP JSON is protobuf's JSON mapping with hexadecimal ids (OpenTelemetry Protocol Specification, "JSON Protobuf
Encoding"). Protobuf's own mapping writes base64 ids, and with preserved field names snake_case: both are read.

Jaeger has tags where OpenTelemetry has attributes, status and kind, and logs where it has events. OpenTelemetry
specifies how the one becomes the other ("OpenTelemetry to Jaeger Transformation"); this module goes the way back.

A value of the wrong shape raises a ``ValueError`` that shows it; the reader of the file adds the place.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from routeware.lab.spans import Plain, Span, SpanEvent, SpanKind, SpanStatus
from routeware.text import visible

__all__ = ["FIRST_KEYS", "console_span", "jaeger_span", "otlp_span"]

FIRST_KEYS = ("name", "attributes")
"""The first key of a console exporter's span as it is written, and of one whose keys a tool has sorted."""

_DIGITS = frozenset("0123456789abcdef")
_NO_ID = frozenset("0")
_LARGEST = 1 << 64
_NS_PER_US = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED_KINDS: tuple[SpanKind, ...] = ("server", "client", "producer", "consumer")
_KINDS: dict[object, SpanKind] = {kind: kind for kind in _NAMED_KINDS}
_OTLP_KINDS: dict[object, SpanKind] = {
    key: kind for number, kind in enumerate(_NAMED_KINDS, 2) for key in (number, f"SPAN_KIND_{kind.upper()}")
}
_STATUSES: dict[object, SpanStatus] = {"OK": "ok", "ERROR": "error"}
_OTLP_STATUSES: dict[object, SpanStatus] = {1: "ok", 2: "error", "STATUS_CODE_OK": "ok", "STATUS_CODE_ERROR": "error"}


def otlp_span(raw: object) -> Span:
    """Return one span of a ``scopeSpans`` entry."""
    span = _mapping(raw, "a span")
    status = _mapping(span.get("status") or {}, "status")
    return Span(
        trace_id=_identifier(_field(span, "traceId"), "traceId", 32),
        span_id=_identifier(_field(span, "spanId"), "spanId", 16),
        parent_id=_parent(_field(span, "parentSpanId"), "parentSpanId"),
        name=_words(span.get("name", ""), "name"),
        start_ns=_whole(_field(span, "startTimeUnixNano"), "startTimeUnixNano"),
        end_ns=_whole(_field(span, "endTimeUnixNano"), "endTimeUnixNano"),
        kind=_OTLP_KINDS.get(_code(span.get("kind")), "internal"),
        status=_OTLP_STATUSES.get(_code(status.get("code")), "unset"),
        status_message=_words(status["message"], "status.message") if status.get("message") else None,
        attributes=_otlp_attributes(span),
        events=tuple(_otlp_event(event) for event in _elements(span, "events")),
    )


def _otlp_event(event: dict[str, object]) -> SpanEvent:
    return SpanEvent(
        name=_words(event.get("name", ""), "an event's name"),
        time_ns=_whole(_field(event, "timeUnixNano"), "timeUnixNano"),
        attributes=_otlp_attributes(event),
    )


def _code(value: object) -> object:
    """Return an enum's value, a number or its name; anything else counts as not given."""
    return value if isinstance(value, int | str) else None


def _otlp_attributes(owner: dict[str, object], key: str = "attributes") -> Mapping[str, Plain]:
    pairs = _elements(owner, key)
    return {_words(pair.get("key"), "an attribute's key"): _otlp_value(pair.get("value")) for pair in pairs}


def _otlp_value(value: object) -> Plain:
    """Return an ``AnyValue``: an object with one member whose name is the type, or none for null."""
    for kind, content in _mapping(value or {}, "an attribute's value").items():
        known = _SNAKE.get(kind, kind)
        if known in _VALUES:
            return _VALUES[known](content, known)
    return None


def _double(content: object, what: str) -> float:
    """Return a float; protobuf writes NaN and the infinities as strings."""
    if isinstance(content, bool) or not isinstance(content, int | float | str):
        raise ValueError(f"{what} is not a number")  # noqa: TRY004  one kind of error for what a file may hold
    return float(content)


def _array(content: object, what: str) -> Plain:
    return [_otlp_value(item) for item in _listed(_mapping(content, what).get("values"), "values")]


def jaeger_span(raw: object) -> Span:
    """Return one span of a trace. Jaeger's times are whole microseconds."""
    span = _mapping(raw, "a span")
    tags = _tags(span, "tags")
    trace_id = _identifier(span.get("traceID"), "traceID", 32)
    start_ns = _whole(span.get("startTime"), "startTime") * _NS_PER_US
    kind, message = tags.get("span.kind"), tags.get("otel.status_description")
    failed = tags.get("otel.status_code") == "ERROR" or tags.get("error") in (True, "true")
    return Span(
        trace_id=trace_id,
        span_id=_identifier(span.get("spanID"), "spanID", 16),
        parent_id=_jaeger_parent(span, trace_id),
        name=_words(span.get("operationName", ""), "operationName"),
        start_ns=start_ns,
        end_ns=start_ns + _whole(span.get("duration"), "duration") * _NS_PER_US,
        kind=_KINDS.get(kind.lower(), "internal") if isinstance(kind, str) else "internal",
        status="error" if failed else "ok" if tags.get("otel.status_code") == "OK" else "unset",
        status_message=message if isinstance(message, str) else None,
        attributes=tags,
        events=tuple(_jaeger_event(log) for log in _elements(span, "logs")),
    )


def _jaeger_parent(span: dict[str, object], trace_id: str) -> str | None:
    """Return the parent's id. Other references are links, and may lead to other traces."""
    for reference in _elements(span, "references"):
        of_this_trace = _identifier(reference.get("traceID"), "a reference's traceID", 32) == trace_id
        if reference.get("refType") == "CHILD_OF" and of_this_trace:
            return _identifier(reference.get("spanID"), "a reference's spanID", 16)
    legacy = span.get("parentSpanID")
    return _identifier(legacy, "parentSpanID", 16) if legacy else None


def _jaeger_event(log: dict[str, object]) -> SpanEvent:
    """Return a log as an event; its field ``event`` is the event's name."""
    fields = _tags(log, "fields")
    name = fields.pop("event", "")
    return SpanEvent(
        name=name if isinstance(name, str) else "",
        time_ns=_whole(log.get("timestamp"), "a log's timestamp") * _NS_PER_US,
        attributes=fields,
    )


def _tags(parent: dict[str, object], key: str) -> dict[str, Plain]:
    return {_words(pair.get("key"), f"a key in {key}"): _tag_value(pair) for pair in _elements(parent, key)}


def _tag_value(pair: dict[str, object]) -> Plain:
    """Return a tag's value. Some storages return numbers and booleans as strings; the type says what they were."""
    value = pair.get("value")
    if not isinstance(value, str):
        return value if isinstance(value, bool | int | float) else None
    match pair.get("type"):
        case "bool":
            return value == "true"
        case "int64":
            return _whole(value, "a tag's value")
        case "float64":
            return float(value)
        case _:
            return value


def console_span(raw: object) -> Span:
    """Return one span of the console exporter: people redirect its output before they have a backend."""
    span = _mapping(raw, "a span")
    context = _mapping(span.get("context"), "context")
    status = _mapping(span.get("status") or {}, "status")
    code, message = status.get("status_code"), status.get("description")
    return Span(
        trace_id=_identifier(context.get("trace_id"), "trace_id", 32),
        span_id=_identifier(context.get("span_id"), "span_id", 16),
        parent_id=_parent(span.get("parent_id"), "parent_id"),
        name=_words(span.get("name", ""), "name"),
        start_ns=_nanoseconds(span.get("start_time"), "start_time"),
        end_ns=_nanoseconds(span.get("end_time"), "end_time"),
        kind=_KINDS.get(str(span.get("kind")).rpartition(".")[2].lower(), "internal"),
        status=_STATUSES.get(code if isinstance(code, str) else None, "unset"),
        status_message=message if isinstance(message, str) else None,
        attributes=_console_attributes(span),
        events=tuple(_console_event(event) for event in _elements(span, "events")),
    )


def _console_event(event: dict[str, object]) -> SpanEvent:
    return SpanEvent(
        name=_words(event.get("name", ""), "an event's name"),
        time_ns=_nanoseconds(event.get("timestamp"), "an event's timestamp"),
        attributes=_console_attributes(event),
    )


def _console_attributes(owner: dict[str, object]) -> dict[str, Plain]:
    return {key: _console_value(value) for key, value in _mapping(owner.get("attributes") or {}, "attributes").items()}


def _console_value(value: object) -> Plain:
    if isinstance(value, list):
        return [_console_value(item) for item in value]
    return value if isinstance(value, str | bool | int | float) else None


def _nanoseconds(value: object, what: str) -> int:
    """Return a time in ISO 8601 as nanoseconds since 1970; the exporter writes microseconds."""
    try:
        moment = datetime.fromisoformat(_words(value, what))
    except ValueError:
        raise ValueError(f"{what} is not a time in ISO 8601: {value!r:.40}") from None
    since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def _mapping(value: object, what: str) -> dict[str, object]:
    """Return ``value`` if it is an object; ``what`` names it in the error."""
    if not isinstance(value, dict):
        raise _mistaken(what, "an object", value)
    return value


def _mistaken(what: str, expected: str, value: object) -> ValueError:
    return ValueError(f"{what} is not {expected} but {_shown(value)}")


def _listed(value: object, what: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _mistaken(what, "an array", value)
    return value


def _elements(parent: dict[str, object], key: str) -> Iterator[dict[str, object]]:
    """Yield the objects in the array ``parent[key]``, which may be absent."""
    return (_mapping(item, f"an item of {key}") for item in _listed(parent.get(key), key))


def _words(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _mistaken(what, "a string", value)
    return value


def _whole(value: object, what: str) -> int:
    """Return a whole number of at most 64 bits, written as a number or as a string of digits.

    JSON writers use strings because not every reader's numbers hold 64 bits.
    """
    if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 40:
        number = int(value)
    elif isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise _mistaken(what, "a whole number", value)
    else:
        number = int(value)
    if abs(number) >= _LARGEST:
        raise ValueError(f"{what} is out of range: {_shown(value)}")
    return number


def _identifier(value: object, what: str, digits: int) -> str:
    """Return an id as ``digits`` lower-case hexadecimal digits.

    Older Jaegers leave out leading zeros, plain protobuf JSON writes base64 where OTLP asks for hexadecimal, and the
    console exporter writes ``0x`` in front.
    """
    text = _words(value, what)
    number = _from_base64(text, digits) if text.endswith("=") else text.lower().removeprefix("0x")
    if len(number) > digits or not set(number) <= _DIGITS or set(number) <= _NO_ID:
        raise ValueError(f"{what} {_shown(value)} is not a hexadecimal id")
    return number.zfill(digits)


def _parent(value: object, what: str) -> str | None:
    """Return the id of a parent span; ``None`` if it is absent, empty or all zeros, which mean a root."""
    if not value or (isinstance(value, str) and set(value.removeprefix("0x")) <= _NO_ID):
        return None
    return _identifier(value, what, 16)


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _field(fields: dict[str, object], name: str) -> object:
    """Return the field ``name`` in camelCase, or its spelling in snake_case, which protobuf's JSON may have, too."""
    return fields[name] if name in fields else fields.get(_snake(name))


def _from_base64(text: str, digits: int) -> str:
    """Decode an id; empty if it has another length. Eight and sixteen bytes both end in padding, hexadecimal never."""
    try:
        number = base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return ""
    return number if len(number) == digits else ""


def _shown(value: object) -> str:
    """Return a value as an error shows it: cut short, without control characters."""
    if value is None:
        return "missing"
    try:
        shown = visible(repr(value))
    except ValueError:  # an integer of more digits than Python prints
        shown = "a very large number"
    return shown if len(shown) <= 40 else shown[:37] + "..."


_VALUES: dict[str, Callable[[object, str], Plain]] = {
    "stringValue": _words,
    "boolValue": lambda content, _: content in (True, "true"),
    "intValue": _whole,
    "doubleValue": _double,
    "bytesValue": _words,
    "arrayValue": _array,
    "kvlistValue": lambda content, what: _otlp_attributes(_mapping(content, what), "values"),
}
_SNAKE = {_snake(name): name for name in _VALUES}
