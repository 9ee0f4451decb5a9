"""Reads spans from a file: Jaeger's JSON, OTLP JSON in its spellings, Tempo's, or the console exporter's.

The content decides the format, because file names lie. One document may follow another, and all of it may be
gzipped. Spans are yielded one at a time, so a million of them need no more memory than one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from routeware.lab.reading_bytes import Bytes, as_utf8, opened
from routeware.lab.reading_json import EACH, Found, JsonValues
from routeware.lab.reading_json import Path as Keys
from routeware.lab.reading_spans import FIRST_KEYS, console_span, jaeger_span, otlp_span
from routeware.lab.spans import Span

__all__ = ["SPAN_KEYS", "read_file", "read_stream"]

_OTHER_SIGNALS = frozenset(("resourceMetrics", "resourceLogs", "resource_metrics", "resource_logs"))
_RESOURCES = ("resourceSpans", "resource_spans", "batches")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
_WRAPPERS = ((), ("trace",), ("result",))


def _formats() -> dict[Keys, Callable[[object], Span]]:
    """Return what reads a span, by the path at which it lies.

    Jaeger's newer API wraps OTLP as ``result``, Tempo's newer one as ``trace``; Tempo's older API says ``batches``.
    """
    otlp = itertools.product(_WRAPPERS, _RESOURCES, _SCOPES)
    formats: dict[Keys, Callable[[object], Span]] = {
        (*wrapper, resources, EACH, scopes, EACH, "spans", EACH): otlp_span for wrapper, resources, scopes in otlp
    }
    return formats | {("data", EACH, "spans", EACH): jaeger_span, ("spans", EACH): jaeger_span, (): console_span}


_FORMATS = _formats()
SPAN_KEYS = frozenset(path[0] for path in _FORMATS if path) | _OTHER_SIGNALS
"""Keys at the top of a document that give it away as one of spans, or of other signals."""

_NAMED = "'data' or 'spans' or 'resourceSpans' or 'batches' or 'trace' or 'result'"


def read_file(path: str | Path) -> Iterator[Span]:
    """Yield the spans in the file at ``path``, in its order, while it is read; a ``TraceError`` where it is wrong."""
    source = str(path)
    with opened(path) as file:
        yield from read_stream(file, source)


def read_stream(file: Bytes, source: str) -> Iterator[Span]:
    """Yield the spans in ``file``, which is seekable and not compressed; ``source`` names it in errors."""
    values = JsonValues(as_utf8(file), source, _FORMATS, FIRST_KEYS)
    for found in values:
        if found.at_end:
            if SPAN_KEYS.isdisjoint(found.value):
                raise values.error(f"neither Jaeger JSON nor OTLP JSON: {_missing(found)}")
            continue
        try:
            span = _FORMATS[found.path](found.value)
        except (ValueError, OverflowError) as error:
            raise values.error(f"in the span that ends here, {error}") from None
        yield span


def _missing(found: Found) -> str:
    return f"no {_NAMED} in the object that ends here" if found.value else "not an object"
