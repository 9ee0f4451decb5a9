"""Turns rows into observations: which column is what, and what a cell means. Refusals show the place and the value."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TypeVar

import attrs
import numpy as np

from routeware.lab.spans import TraceError
from routeware.lab.table_csv import Rows
from routeware.lab.table_words import UNITS, is_missing, kind_of_error, kind_of_status, number, unit_of
from routeware.lab.tune_samples import ANSWERED, FAILED, Observed, Sample, mean_tokens
from routeware.text import visible

__all__ = ["Mapping", "is_known_column", "table_of"]

_LATENCIES = (
    *("latency_ms", "latency_s", "latency_us", "latency_ns", "elapsed_ms", "elapsed_s", "duration_ms", "duration_s"),
    *("response_time_ms", "response_time_s", "end_to_end_latency_ms", "end_to_end_latency_s", "e2e_latency_ms"),
    *("e2e_latency_s", "total_latency_ms", "total_latency_s", "request_latency_ms", "request_latency_s", "time_ms"),
)
_STATUSES = ("status", "outcome", "result")
_FALSE_OR_TRUE = ("success", "succeeded", "ok")
_ERRORS = ("error", "error_code", "exception", "failure")
_LINKS = ("link", "provider", "model")
_LONGEST_SHOWN = 40
_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Mapping:
    """The columns that are meant, where the names do not say; several with commas between them make a link.

    Rows with equal values of ``pair_by`` are a pair, ``order_by`` says in which order rows were made, and ``unit`` is
    ``ms``, ``s``, ``us`` or ``ns``.
    """

    latency: str | None = None
    link: str | None = None
    status: str | None = None
    unit: str | None = None
    pair_by: str | None = None
    order_by: str | None = None
    size: str | None = None

    @property
    def needs_columns(self) -> bool:
        """Return True if it names a column, which spans do not have."""
        return any((self.latency, self.link, self.status, self.pair_by, self.order_by, self.size))


def is_known_column(name: str) -> bool:
    """Return True for a name that a header of latencies is expected to have."""
    return name in _LATENCIES or name in _STATUSES or name in _LINKS


def table_of(rows: Rows, source: str, mapping: Mapping) -> Observed:
    """Return the observations in a table; a ``TraceError`` says which column or cell is wrong, and what is there."""
    reader = _Reader(rows, source, mapping)
    by_link: dict[str, _Column] = {}
    left_out = malformed = 0
    for place, cells in rows.rows:
        if cells is None:
            malformed += 1
            continue
        reader.place, reader.cells = place, cells
        if rows.only is not None and str(reader.cell(reader.at[rows.only[0]])).strip() != rows.only[1]:
            continue
        label, found = reader.label(), reader.observed()
        if found is None:
            left_out += 1
            continue
        if label not in by_link:
            by_link[label] = _Column()
        by_link[label].add(*found, reader)
    return Observed(
        samples={label: column.sample(label, ordered=reader.order is not None) for label, column in by_link.items()},
        latency=rows.columns[reader.latency],
        unit=reader.unit,
        unit_given=mapping.unit is not None or "unit" in rows.defaults,
        left_out=left_out,
        malformed=malformed,
    )


class _Reader:
    """The columns of a table by their roles, ``None`` for those that are missing; and what one row says in them."""

    def __init__(self, rows: Rows, source: str, mapping: Mapping) -> None:
        self.rows = rows
        self.place: object = ""
        self.cells: Sequence[object] = ()
        self.at = {name: place for place, name in reversed(list(enumerate(rows.columns)))}
        self._source = source
        self.latency = self._latency(mapping)
        self.status = self._first(mapping.status, "status", (*_STATUSES, *_FALSE_OR_TRUE), "--status")
        self._true_or_false = self.status is not None and rows.columns[self.status] in _FALSE_OR_TRUE
        self._links = self._link(mapping)
        self._fixed_link = rows.link if mapping.link is None else None
        self.unit = mapping.unit or rows.defaults.get("unit") or unit_of(rows.columns[self.latency]) or "ms"
        self.error = self._first(None, "error", _ERRORS if self.status is None else ())
        self._words = self._first(None, "words", ())
        self.key = self._asked(mapping.pair_by, "--pair-by")
        self.order = self._first(mapping.order_by, "order", (), "--order-by")
        self.size = self._asked(mapping.size, "--by")
        tokens = [self._first(None, name, (f"{name}_tokens", f"number_{name}_tokens")) for name in ("input", "output")]
        self.tokens = [place for place in tokens if place is not None] if None not in tokens else None

    def _asked(self, name: str | None, option: str) -> int | None:
        """Return the column that an option names; ``None`` if the option was not given."""
        if name is None:
            return None
        if name not in self.at:
            raise self._missing(repr(name), f"({option})")
        return self.at[name]

    def _first(self, name: str | None, role: str, names: Sequence[str], option: str = "") -> int | None:
        """Return the column that is asked for, else the one of the file's format, else the first that exists."""
        if name is not None:
            return self._asked(name, option)
        default = self.rows.defaults.get(role)
        return next((self.at[each] for each in (default, *names) if each is not None and each in self.at), None)

    def _latency(self, mapping: Mapping) -> int:
        found = self._first(mapping.latency, "latency", _LATENCIES, "--latency")
        if found is None:
            raise self._missing("'latency_ms'", "name yours with --latency COLUMN and --unit ms|s|us|ns")
        return found

    def _link(self, mapping: Mapping) -> tuple[int, ...]:
        if mapping.link is not None:
            parts = [mapping.link] if mapping.link in self.at else [part.strip() for part in mapping.link.split(",")]
            return tuple(place for part in parts if (place := self._asked(part, "--link")) is not None)
        if self.rows.link is not None:
            return ()
        for names in ((self.rows.defaults.get("link"),), ("link",), ("provider", "model")):
            if names[0] in self.at:
                return tuple(self.at[name] for name in names if name in self.at)
        raise TraceError(
            self._source,
            "no column 'link' or 'provider' that says whose latency it is: name yours with --link COLUMN; "
            f"there are {self._all()}",
        )

    def _missing(self, name: str, remedy: str) -> TraceError:
        return TraceError(self._source, f"no column {name}; there are {self._all()}; {remedy}".removesuffix("; "))

    def _all(self) -> str:
        return visible(", ".join(map(str, self.rows.columns[:_LONGEST_SHOWN]))) or "none"

    def cell(self, column: int) -> object:
        if column >= len(self.cells):
            raise TraceError(self._source, f"a row with too few columns ({len(self.cells)})", place=str(self.place))
        return self.cells[column]

    def label(self) -> str:
        if self._fixed_link is not None:
            return self._fixed_link
        return visible(":".join(str(self.cell(column)).strip() for column in self._links))

    def observed(self) -> tuple[float, int] | None:
        """Return how long the attempt lasted and how it ended; ``None`` for an answer without a latency."""
        kind = self._kind()
        cell = self.cell(self.latency)
        if is_missing(cell):
            if kind == ANSWERED and (self.status is not None or self.error is not None):
                return None
            return 0.0, FAILED
        try:
            elapsed = number(cell, decimal_comma=self.rows.decimal_comma)
        except ValueError as error:
            raise self._refused(self.latency, cell, str(error)) from None
        if elapsed < 0:
            raise self._refused(self.latency, cell, "negative")
        return elapsed * UNITS[self.unit], kind

    def _kind(self) -> int:
        if self.status is not None:
            kind = self._status(self.status, self.cell(self.status))
            if kind == ANSWERED or self._words is None:
                return kind
            # JMeter says that a sample failed in one column, and why in another.
            return kind if kind_of_error(self.cell(self._words)) != 1 else 1
        return ANSWERED if self.error is None else kind_of_error(self.cell(self.error))

    def _status(self, column: int, cell: object) -> int:
        if self._true_or_false and str(cell).strip() in ("0", "1"):
            return ANSWERED if str(cell).strip() == "1" else FAILED
        if self.error is not None and str(cell).strip() == "0":
            return max(kind_of_error(self.cell(self.error)), 1)
        kind = kind_of_status(cell)
        if kind is None:
            remedy = "spell it ok, failed or timeout, or name another column with --status"
            raise self._refused(column, cell, f"no known status: {remedy}")
        return kind

    def _refused(self, column: int, cell: object, why: str) -> TraceError:
        shown = visible(repr(cell) if isinstance(cell, str) else str(cell))
        shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 3]}..."
        name = visible(str(self.rows.columns[column]))
        return TraceError(self._source, f"{shown} is {why}", place=f"{self.place}, column {name}")


class _Column:
    """One link's observations, as they are gathered: ten bytes a row, and what it is paired, ordered and sized by."""

    def __init__(self) -> None:
        self._elapsed = array("d")
        self._kinds = array("B")
        self._keys: list[str] = []
        self._order: list[tuple[float, str]] = []
        self._sizes: list[float | str | None] = []
        self._tokens: list[tuple[float | None, float | None]] = []

    def add(self, elapsed_ms: float, kind: int, row: _Reader) -> None:
        self._elapsed.append(elapsed_ms)
        self._kinds.append(kind)
        if row.key is not None:
            self._keys.append(str(row.cell(row.key)).strip())
        if row.order is not None:
            self._order.append(_sortable(row.cell(row.order)))
        if row.size is not None:
            self._sizes.append(_size(row.cell(row.size), decimal_comma=row.rows.decimal_comma))
        if row.tokens is not None and kind == ANSWERED:
            sent, received = (_amount(row.cell(column)) for column in row.tokens)
            self._tokens.append((sent, received))

    def sample(self, label: str, *, ordered: bool) -> Sample:
        elapsed_ms, kinds = np.array(self._elapsed, dtype=np.float64), np.array(self._kinds, dtype=np.uint8)
        places = sorted(range(len(elapsed_ms)), key=self._order.__getitem__) if ordered else None
        if places is not None:
            elapsed_ms, kinds = elapsed_ms[places], kinds[places]
        return Sample(
            label,
            elapsed_ms,
            kinds,
            _ordered(self._keys, places),
            ordered,
            _ordered(self._sizes, places),
            tokens=mean_tokens(self._tokens),
        )


def _ordered(values: Sequence[_T], places: Sequence[int] | None) -> tuple[_T, ...]:
    return tuple(values) if places is None else tuple(values[place] for place in places if values)


def _sortable(cell: object) -> tuple[float, str]:
    text = str(cell).strip()
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text


def _amount(cell: object) -> float | None:
    """Return a count; ``None`` for anything else: prices need it, thresholds do not."""
    size = _size(cell, decimal_comma=False)
    return size if isinstance(size, float) else None


def _size(cell: object, *, decimal_comma: bool) -> float | str | None:
    if is_missing(cell):
        return None
    try:
        return number(cell, decimal_comma=decimal_comma)
    except ValueError:
        return str(cell).strip()
