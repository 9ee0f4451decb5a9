"""A span as a file or a tracing backend gives it back: only what is needed to see calls and attempts in it.

All formats are read into this one, so whoever looks at spans need not know where they came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

__all__ = ["Plain", "Span", "SpanEvent", "SpanKind", "SpanStatus", "TraceError"]

Plain = str | bool | int | float | None | Sequence["Plain"] | Mapping[str, "Plain"]
"""What an attribute can be."""

SpanKind = Literal["internal", "server", "client", "producer", "consumer"]
SpanStatus = Literal["unset", "ok", "error"]


class TraceError(ValueError):
    """A trace cannot be read.

    Attributes:
        source: the file or the address.
        problem: what is wrong with it.
        place: where in it, as far as that can be said (``line 3, column 17``).
    """

    def __init__(self, source: str, problem: str, *, place: str | None = None) -> None:
        super().__init__(source, problem, place)
        self.source = source
        self.problem = problem
        self.place = place

    def __str__(self) -> str:
        return f"{self.source}, {self.place}: {self.problem}" if self.place else f"{self.source}: {self.problem}"


@attrs.frozen(kw_only=True)
class SpanEvent:
    """Something that happened in a span, at ``time_ns`` (nanoseconds since 1970)."""

    name: str
    time_ns: int
    attributes: Mapping[str, Plain]


@attrs.frozen(kw_only=True)
class Span:
    """One span, after it has ended.

    Attributes:
        trace_id: 32 hexadecimal digits, lower case.
        span_id: 16 hexadecimal digits, lower case.
        parent_id: likewise; ``None`` for a root.
        name: what it is called.
        start_ns: nanoseconds since 1970.
        end_ns: nanoseconds since 1970.
        kind: its side of a conversation.
        status: ``error`` is what viewers paint red.
        status_message: why it is an error, where that was said.
        attributes: plain values by their names.
        events: what happened in it, in the order of the file.
    """

    trace_id: str
    span_id: str
    parent_id: str | None = None
    name: str
    start_ns: int
    end_ns: int
    kind: SpanKind = "internal"
    status: SpanStatus = "unset"
    status_message: str | None = None
    attributes: Mapping[str, Plain]
    events: tuple[SpanEvent, ...] = ()

    def text(self, key: str) -> str | None:
        """The attribute ``key`` if it is a string, else ``None``."""
        value = self.attributes.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float | None:
        """The attribute ``key`` if it is a number, else ``None``: a boolean is none."""
        value = self.attributes.get(key)
        return None if isinstance(value, bool) or not isinstance(value, int | float) else value
