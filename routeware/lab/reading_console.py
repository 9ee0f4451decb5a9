"""Reads spans from the output of OpenTelemetry's console exporter: one JSON object per span.

People redirect that output into a file before they have a backend.
"""

from __future__ import annotations

from datetime import UTC, datetime

from routeware.lab.reading_values import MalformedError, elements, identifier, mapping, parent, words
from routeware.lab.spans import Plain, Span, SpanEvent, SpanKind, SpanStatus

__all__ = ["FIRST_KEYS", "console_span"]

FIRST_KEYS = ("name", "attributes")
"""The first key of a span as it is written, and of one whose keys a tool has sorted."""

_KINDS: dict[str, SpanKind] = {"server": "server", "client": "client", "producer": "producer", "consumer": "consumer"}
_STATUSES: dict[object, SpanStatus] = {"OK": "ok", "ERROR": "error"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def console_span(raw: object) -> Span:
    """Return one span of the console exporter.

    Raises:
        MalformedError: it is not one; says what is wrong with it.
    """
    span = mapping(raw, "a span")
    context = mapping(span.get("context"), "context")
    status = mapping(span.get("status") or {}, "status")
    message = status.get("description")
    return Span(
        trace_id=identifier(context.get("trace_id"), "trace_id", 32),
        span_id=identifier(context.get("span_id"), "span_id", 16),
        parent_id=parent(span.get("parent_id"), "parent_id"),
        name=words(span.get("name", ""), "name"),
        start_ns=_nanoseconds(span.get("start_time"), "start_time"),
        end_ns=_nanoseconds(span.get("end_time"), "end_time"),
        kind=_KINDS.get(str(span.get("kind")).rpartition(".")[2].lower(), "internal"),
        status=_STATUSES.get(
            status.get("status_code") if isinstance(status.get("status_code"), str) else None, "unset"
        ),
        status_message=message if isinstance(message, str) else None,
        attributes=_attributes(span),
        events=tuple(_event(event) for event in elements(span, "events")),
    )


def _event(event: dict[str, object]) -> SpanEvent:
    return SpanEvent(
        name=words(event.get("name", ""), "an event's name"),
        time_ns=_nanoseconds(event.get("timestamp"), "an event's timestamp"),
        attributes=_attributes(event),
    )


def _attributes(owner: dict[str, object]) -> dict[str, Plain]:
    return {key: _plain(value) for key, value in mapping(owner.get("attributes") or {}, "attributes").items()}


def _plain(value: object) -> Plain:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | bool | int | float) else None


def _nanoseconds(value: object, what: str) -> int:
    """Return a time in ISO 8601 as nanoseconds since 1970; the exporter writes microseconds."""
    try:
        moment = datetime.fromisoformat(words(value, what))
    except ValueError:
        raise MalformedError(f"{what} is not a time in ISO 8601: {value!r:.40}") from None
    since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
