"""A span as a file or a tracing backend returns it, reduced to what is needed to see calls and attempts in it.

All formats are read into this one class, so code that looks at spans need not know where they came from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

from routeware.text import visible

__all__ = ["NothingFoundError", "Plain", "Span", "SpanEvent", "SpanKind", "SpanStatus", "TraceError"]

Plain = str | bool | int | float | None | Sequence["Plain"] | Mapping[str, "Plain"]
"""What an attribute can be."""

SpanKind = Literal["internal", "server", "client", "producer", "consumer"]
SpanStatus = Literal["unset", "ok", "error"]


class TraceError(ValueError):
    """A trace or a table cannot be read. Its text is one printable line.

    Attributes:
        source: the file or the address, without a user name or a password.
        problem: what is wrong with it.
        place: where in it, if that is known (``line 3, column 17``).
    """

    def __init__(self, source: str, problem: str, *, place: str | None = None) -> None:
        super().__init__(source, problem, place)
        self.source = source
        self.problem = problem
        self.place = place

    def __str__(self) -> str:
        where = f"{self.source}, {self.place}" if self.place else self.source
        return visible(" ".join(f"{where}: {self.problem}".split()))


class NothingFoundError(TraceError):
    """A trace can be read, but holds nothing of what was asked for."""


@attrs.frozen(kw_only=True)
class SpanEvent:
    """Something that happened in a span, at ``time_ns`` (nanoseconds since 1970)."""

    name: str
    time_ns: int
    attributes: Mapping[str, Plain]


@attrs.frozen(kw_only=True)
class Span:
    """A span that has ended. Ids are lower-case hexadecimal, times nanoseconds since 1970. A root has no parent."""

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
        """Return the attribute ``key`` if it is a string, else ``None``."""
        value = self.attributes.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float | None:
        """Return the attribute ``key`` if it is a finite number and no boolean, else ``None``."""
        value = self.attributes.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if math.isfinite(value) else None
