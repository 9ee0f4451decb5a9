"""Reads past calls for a replay: records as JSON lines, exported spans, or a Jaeger."""

from __future__ import annotations

from collections.abc import Iterator

from routeware.lab.calls import calls
from routeware.lab.reading import SPAN_KEYS, read_stream
from routeware.lab.reading_bytes import as_utf8, opened
from routeware.lab.reading_json import JsonValues
from routeware.lab.reading_query import QueryAddress
from routeware.lab.spans import TraceError
from routeware.lab.table_json import top_keys
from routeware.lab.tree import CallTree
from routeware.records import CallRecord

__all__ = ["past_calls_of"]

_RECORD_KEYS = frozenset(("label", "outcome", "attempts"))


def past_calls_of(
    source: str, *, service: str | None = None, limit: int = 1_500
) -> Iterator[CallRecord] | Iterator[CallTree]:
    """Yield the calls in ``source``: records if its objects are such, else calls from spans.

    Raises:
        TraceError: it cannot be read, or holds what is no record.
    """
    if "://" in source:
        address = QueryAddress.parse(source)
        names = address.services() if service is None else [service]
        return calls(span for name in names for span in address.recent(name, limit))
    with opened(source) as file:
        keys = top_keys(file)
    return _records(source) if keys >= _RECORD_KEYS and SPAN_KEYS.isdisjoint(keys) else _trees(source)


def _records(source: str) -> Iterator[CallRecord]:
    with opened(source) as file:
        values = JsonValues(as_utf8(file), source, (), None)
        for found in values:
            if found.at_end:
                continue
            try:
                record = CallRecord.from_dict(found.value)
            except ValueError as error:
                raise TraceError(source, str(error), place=values.error("").place) from None
            yield record


def _trees(source: str) -> Iterator[CallTree]:
    with opened(source) as file:
        yield from calls(read_stream(file, source))
