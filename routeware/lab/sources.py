"""Opens whatever ``tune`` and ``replay`` are given: tables, records, spans, a Jaeger. The content says which it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from routeware.lab.calls import calls
from routeware.lab.reading import SPAN_KEYS, read_file, read_stream
from routeware.lab.reading_bytes import Bytes, as_utf8, opened
from routeware.lab.reading_json import JsonValues
from routeware.lab.reading_query import QueryAddress
from routeware.lab.spans import TraceError
from routeware.lab.table_csv import csv_rows
from routeware.lab.table_json import json_rows, top_keys
from routeware.lab.tables import Mapping, Table, is_known_column, table_of
from routeware.lab.tree import CallTree
from routeware.lab.tune_samples import Observed, RacedCalls, Sample, observed_calls
from routeware.records import CallRecord

__all__ = ["Source", "past_calls_of", "read_source", "read_sources"]

_RECORD_KEYS = frozenset(("label", "outcome", "attempts"))
_CONSOLE_KEYS = frozenset(("context", "parent_id", "start_time"))


@attrs.frozen(kw_only=True)
class Source:
    """The contents of one file or address.

    Attributes:
        samples: the observations by label.
        raced: the calls that raced, by the labels of primary and backup; spans only.
        table: how the table was read; ``None`` for spans.
    """

    samples: dict[str, Sample]
    raced: dict[tuple[str, str], RacedCalls] = attrs.field(factory=dict)
    table: Table | None = None


def read_sources(
    sources: Sequence[str], mapping: Mapping, *, service: str | None = None, limit: int = 1_500
) -> list[Source]:
    """Return what each of ``sources`` says. Files that are about one link each are the links of one race.

    Raises:
        TraceError: one cannot be read, or two of several files are about the same link.
    """
    read = [read_source(source, mapping, service=service, limit=limit) for source in sources]
    seen: dict[str, str] = {}
    for source, found in zip(sources, read, strict=True):
        for label in found.samples:
            if label in seen:
                raise TraceError(source, f"{label} is in {seen[label]}, too: put its rows into one file")
            seen[label] = source
    return read


def read_source(source: str, mapping: Mapping, *, service: str | None = None, limit: int = 1_500) -> Source:
    """Return what a file or an address says.

    Raises:
        TraceError: it cannot be read.
    """
    if "://" in source:
        return _of_spans(observed_calls(_asked(source, service, limit)))
    with opened(source) as file:
        if not _is_json(file):
            table = table_of(csv_rows(file, source, is_known_column), source, mapping)
        elif _is_of_spans(file):
            return _of_spans(observed_calls(calls(read_stream(file, source))))
        else:
            table = table_of(json_rows(file, source), source, mapping)
    return Source(samples=table.samples, table=table)


def past_calls_of(
    source: str, *, service: str | None = None, limit: int = 1_500
) -> Iterator[CallRecord] | Iterator[CallTree]:
    """Yield the calls in ``source``: records if its objects are such, else calls from spans.

    Raises:
        TraceError: it cannot be read, or holds what is no record.
    """
    if "://" in source:
        return _asked(source, service, limit)
    with opened(source) as file:
        keys = top_keys(file)
    return _records(source) if keys >= _RECORD_KEYS and SPAN_KEYS.isdisjoint(keys) else calls(read_file(source))


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


def _asked(source: str, service: str | None, limit: int) -> Iterator[CallTree]:
    """Return the latest calls that a Jaeger has, of one service or of all."""
    address = QueryAddress.parse(source)
    names = address.services() if service is None else [service]
    return calls(span for name in names for span in address.recent(name, limit))


def _of_spans(observed: Observed) -> Source:
    return Source(samples=observed.samples, raced=observed.raced)


def _is_json(file: Bytes) -> bool:
    start = file.read(4096)
    file.seek(0)
    text = start.replace(b"\x00", b"").removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    return text.lstrip().startswith((b"{", b"["))


def _is_of_spans(file: Bytes) -> bool:
    keys = top_keys(file)
    return not SPAN_KEYS.isdisjoint(keys) or keys >= _CONSOLE_KEYS
