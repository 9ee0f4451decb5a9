"""Rows of a CSV file as people have it: any delimiter, decimal commas, UTF-8 or UTF-16, a load tool's own columns.

Every source becomes the same thing, named columns and rows of cells with the place they came from, so that what a cell
means is decided in one place. Rows come one at a time: a million of them need no more memory than one.
"""

from __future__ import annotations

import bisect
import codecs
import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

from routeware.lab.reading_bytes import Bytes
from routeware.lab.spans import TraceError

__all__ = ["Row", "Rows", "csv_rows"]

Row = tuple[object, Sequence[object] | None]
"""The place of a row in its file (its text says it), and its cells; ``None`` where it is no object as it should be."""

_DELIMITERS = (",", ";", "\t", "|")
_NEVER_DELIMITERS = frozenset("_\"'.()[]/%- \r\n\x00")
_LONGEST_LINE = 1 << 20
_START = 1 << 16
_MOST_NUL_SHARE = 0.2
_MOST_LAID_OUT = 100_000
_NO_TEXT = "this is not text in UTF-8, UTF-16 or Windows-1252: give a table (CSV, JSON lines) or spans, saved as UTF-8"
_PERCENTILE = re.compile(r"^(\d+(?:\.\d+)?)%$")


@attrs.frozen
class Rows:
    """A table.

    Attributes:
        rows: to be read once.
        decimal_comma: whether a comma separates the decimals.
        link: the label of all rows, where the file is about one link and has no column for it.
        defaults: which columns are meant by default: ``latency``, ``link``, ``status``, ``error``, ``order``,
            ``words`` (the text of a failure), and ``unit``.
        only: the column and the value of the rows that count.
    """

    columns: Sequence[str]
    rows: Iterable[Row]
    decimal_comma: bool = False
    link: str | None = None
    defaults: Mapping[str, str] = attrs.field(factory=dict)
    only: tuple[str, str] | None = None


def csv_rows(file: Bytes, source: str, known: Callable[[str], bool]) -> Rows:
    """Return the rows of a CSV file with a header; ``known`` says which names a header is expected to have."""
    lines = _lines(file, source)
    header = next(lines, "")
    delimiter = _delimiter(header, known)
    reader = csv.reader(itertools.chain([header], lines), delimiter=delimiter, skipinitialspace=delimiter != "\t")

    def rows() -> Iterator[tuple[str, list[str]]]:
        try:
            for row in reader:
                # Its number of lines, not of rows: a quoted cell may hold several.
                yield f"line {reader.line_num}", row
        except csv.Error as error:
            raise TraceError(source, f"not a CSV file: {error}", place=f"line {reader.line_num}") from None

    found = rows()
    columns = [name.strip() for name in next(found, ("", []))[1]]
    filled = (row for row in found if any(cell.strip() for cell in row[1]))
    return _as_a_tool_writes_it(Rows(columns, filled, decimal_comma=delimiter != ","))


def _delimiter(header: str, known: Callable[[str], bool]) -> str:
    """Return the delimiter with which the header has the most names that are known, or the most columns.

    ``csv.Sniffer`` guesses from the characters alone, and takes a letter where a table has one column.
    """

    def worth(delimiter: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
        return sum(map(known, names)), len(names)

    others = sorted({char for char in header.strip() if not char.isalnum() and char not in _NEVER_DELIMITERS})
    usual = max(_DELIMITERS, key=worth)
    return max((usual, *others), key=lambda delimiter: worth(delimiter)[0])


def _lines(file: Bytes, source: str) -> Iterator[str]:
    """Yield the lines of a text. UTF-8 and UTF-16 are recognised; what is neither is read as Windows' Western text."""
    encoding = _encoding(file)
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace" if encoding == "utf-16" else "strict")
    rest, number, piece = "", 0, b" "
    while piece:
        piece = file.read(_START)
        try:
            lines = (rest + decoder.decode(piece, final=not piece)).splitlines(keepends=True)
        except UnicodeDecodeError:
            raise TraceError(source, _NO_TEXT) from None
        # The last line may go on in the next piece.
        rest = lines.pop() if piece and lines else ""
        for line in lines:
            number += 1
            if "\x00" in line:
                raise TraceError(source, "not a CSV file: a NUL byte", place=f"line {number}")
            yield line
        if len(rest) > _LONGEST_LINE:
            raise TraceError(source, "a line is longer than 1 MiB", place=f"line {number + 1}")


def _encoding(file: Bytes) -> str:
    """Return the encoding of a text, from its mark and from a first pass over it."""
    start = file.read(_START)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if start.count(0) > _MOST_NUL_SHARE * len(start):
            return "utf-16-le" if start[1::2].count(0) > start[::2].count(0) else "utf-16-be"
        while start:
            decoder.decode(start)
            start = file.read(_START)
        decoder.decode(b"", final=True)
        return "utf-8-sig"
    except UnicodeDecodeError:
        return "cp1252"
    finally:
        file.seek(0)


def _as_a_tool_writes_it(table: Rows) -> Rows:
    names = set(table.columns)
    if {"timeStamp", "elapsed", "label"} <= names:  # JMeter's JTL
        status = {"status": "success", "words": "responseMessage"} if "success" in names else {"status": "responseCode"}
        return attrs.evolve(
            table, defaults={"latency": "elapsed", "link": "label", "order": "timeStamp", "unit": "ms", **status}
        )
    if {"metric_name", "metric_value", "timestamp"} <= names:  # k6's --out csv
        found = {"latency": "metric_value", "link": "name", "status": "status", "error": "error", "order": "timestamp"}
        return attrs.evolve(table, defaults=found | {"unit": "ms"}, only=("metric_name", "http_req_duration"))
    if {"Name", "Request Count", "99%", "100%"} <= names:  # Locust's *_stats.csv
        defaults = {"latency": "latency_ms", "link": "link", "status": "status", "unit": "ms"}
        return Rows(("link", "latency_ms", "status"), _locust(table), defaults=defaults)
    return table


def _locust(table: Rows) -> Iterator[Row]:
    """Yield Locust's statistics as rows. It keeps percentiles of each name; rows are laid out along them."""
    marks = sorted((float(found[1]) / 100, name) for name in table.columns if (found := _PERCENTILE.match(name)))
    for place, cells in table.rows:
        row = dict(zip(table.columns, map(str, cells or ()), strict=False))
        name, count, failed = row.get("Name"), row.get("Request Count", ""), row.get("Failure Count", "0")
        if name == "Aggregated":
            continue
        if len(row) < len(set(table.columns)) or not count.isdecimal() or not failed.isdecimal():
            yield place, None
            continue
        values = [row[mark] for _, mark in marks]
        lowest = row.get("Min Response Time", values[0])
        yield from _laid_out(
            place, row["Name"], int(count), int(failed), [lowest, *values], [0.0, *(q for q, _ in marks)]
        )


def _laid_out(
    place: object, name: str, count: int, failed: int, values: Sequence[str], shares: Sequence[float]
) -> Iterator[Row]:
    """Yield rows along a quantile function, and the failures; none for a name whose percentiles are missing."""
    try:
        known = [float(value) for value in values]
    except ValueError:
        return
    answered = min(count - failed, _MOST_LAID_OUT)
    for number in range(answered):
        yield place, (name, _between(shares, known, (number + 0.5) / answered), "ok")
    for _ in range(min(failed, _MOST_LAID_OUT)):
        yield place, (name, None, "failed")


def _between(shares: Sequence[float], values: Sequence[float], share: float) -> float:
    place = max(1, min(bisect.bisect_left(shares, share), len(shares) - 1))
    low, high = shares[place - 1], shares[place]
    return values[place - 1] + (values[place] - values[place - 1]) * (share - low) / (high - low)
