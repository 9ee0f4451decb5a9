"""Spans out of a file: Jaeger's JSON, OTLP JSON, or one such document after another, compressed or not.

What a file is, its content says: names lie, and people save traces under any. Spans come one at a time, so a million of
them need no more memory than one.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import attrs

from routeware.lab.reading_jaeger import jaeger_span
from routeware.lab.reading_json import EACH, JsonStream
from routeware.lab.reading_otlp import otlp_span
from routeware.lab.spans import Span, TraceError

__all__ = ["read_file", "read_stream"]

_GZIP = b"\x1f\x8b"
_OTHER_SIGNALS = frozenset(("resourceMetrics", "resourceLogs"))


@attrs.frozen
class _Format:
    """Where the spans lie under a top-level key, and what reads one."""

    path: tuple[str, ...]
    span: Callable[[object], Span]


_FORMATS = {
    "data": _Format((EACH, "spans", EACH), jaeger_span),
    "spans": _Format((EACH,), jaeger_span),
    "resourceSpans": _Format((EACH, "scopeSpans", EACH, "spans", EACH), otlp_span),
    "result": _Format(("resourceSpans", EACH, "scopeSpans", EACH, "spans", EACH), otlp_span),
}
"""By the key that gives a format away: Jaeger's query API, one trace of it, OTLP, and OTLP by Jaeger's query API."""


def read_file(path: str | Path) -> Iterator[Span]:
    """The spans in the file at ``path``, in its order, as they are read.

    Raises:
        TraceError: it cannot be opened, is not JSON, is neither Jaeger's nor OTLP's, or holds what is no span.
    """
    source = str(path)
    try:
        with Path(path).open("rb") as file:
            compressed = file.peek(len(_GZIP)).startswith(_GZIP)
            yield from read_stream(gzip.GzipFile(fileobj=file) if compressed else file, source)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TraceError(source, f"broken gzip data: {error}") from None
    except OSError as error:
        raise TraceError(source, error.strerror or str(error)) from None


def read_stream(file: IO[bytes] | gzip.GzipFile, source: str) -> Iterator[Span]:
    """The spans in ``file``, which is open, not compressed, and closed afterwards; ``source`` names it in errors.

    Raises:
        TraceError: as :func:`read_file` does.
    """
    with io.TextIOWrapper(file, encoding="utf-8-sig") as text:
        yield from _documents(JsonStream(text, source))


def _documents(stream: JsonStream) -> Iterator[Span]:
    if not stream.more():
        raise stream.error("empty")
    while stream.more():
        if not stream.at_object():
            raise stream.error("neither Jaeger JSON nor OTLP JSON: not an object")
        yield from _document(stream)


def _document(stream: JsonStream) -> Iterator[Span]:
    """The spans in one document. Other signals of OpenTelemetry are passed over: one file may hold all of them."""
    keys = set[str]()
    for key in stream.members():
        keys.add(key)
        if key in _FORMATS:
            yield from _spans(stream, _FORMATS[key])
        else:
            stream.value()
    if keys.isdisjoint(_FORMATS) and keys.isdisjoint(_OTHER_SIGNALS):
        raise stream.error(
            f"neither Jaeger JSON nor OTLP JSON: no {' or '.join(map(repr, _FORMATS))} in the object that ends here"
        )


def _spans(stream: JsonStream, form: _Format) -> Iterator[Span]:
    for raw in stream.at_path(*form.path):
        try:
            span = form.span(raw)
        except ValueError as error:
            raise stream.error(f"in the span that ends here, {error}") from None
        yield span
