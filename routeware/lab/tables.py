"""Turns rows into observations: which column is what, and what a cell means. Refusals show the place and the value."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TypeVar

import attrs
import numpy as np

from routeware.lab.spans import TraceError
from routeware.lab.table_csv import Rows
from routeware.lab.table_words import UNITS, is_missing, kind_of_error, kind_of_status, number, unit_of
from routeware.lab.tune_samples import ANSWERED, FAILED, Sample, mean_tokens
from routeware.text import visible

__all__ = ["Mapping", "Table", "is_known_column", "table_of"]

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
    """Which columns are meant, where the names do not say.

    Attributes:
        latency: the column of latencies.
        link: the column of the link, or several with commas between them.
        status: the column that says how an attempt ended.
        unit: the unit of the latencies: ``ms``, ``s``, ``us`` or ``ns``.
        pair_by: the column whose equal values make two rows one pair.
        order_by: the column whose numbers or texts say in which order rows were made.
        size: the column of sizes.
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


@attrs.frozen(kw_only=True)
class Table:
    """The contents of a table.

    Attributes:
        samples: the observations by label, in the order of their first appearance.
        left_out: how many answered rows had no latency.
        latency: the column of latencies.
        unit: their unit.
        unit_given: whether the user said so, and is to be believed.
    """

    samples: dict[str, Sample]
    left_out: int = 0
    latency: str = "latency_ms"
    unit: str = "ms"
    unit_given: bool = False


def is_known_column(name: str) -> bool:
    """Return True for a name that a header of latencies is expected to have."""
    return name in _LATENCIES or name in _STATUSES or name in _LINKS


def table_of(rows: Rows, source: str, mapping: Mapping) -> Table:
    """Return the observations in a table.

    Raises:
        TraceError: a column is missing, or a cell cannot be understood; says which, where, and what stands there.
    """
    columns = _Columns.of(rows, source, mapping)
    by_link: dict[str, _Column] = {}
    left_out = 0
    for place, cells in rows.rows:
        row = _Row(place, cells, source, rows)
        if columns.only is not None and str(row.cell(columns.only[0])).strip() != columns.only[1]:
            continue
        label = row.label(columns)
        found = row.observed(columns)
        if found is None:
            left_out += 1
            continue
        if label not in by_link:
            by_link[label] = _Column()
        by_link[label].add(*found, row, columns)
    samples = {label: column.sample(label, columns) for label, column in by_link.items()}
    return Table(
        samples=samples,
        left_out=left_out,
        latency=rows.columns[columns.latency],
        unit=columns.unit,
        unit_given=mapping.unit is not None or "unit" in rows.defaults,
    )


@attrs.frozen
class _Columns:
    """The places of things in a row; ``None`` for those that are missing."""

    link: tuple[int, ...]
    fixed_link: str | None
    latency: int
    unit: str
    status: int | None
    true_or_false: bool
    error: int | None
    words: int | None
    key: int | None
    order: int | None
    size: int | None
    tokens: tuple[int, int] | None
    only: tuple[int, str] | None

    @classmethod
    def of(cls, rows: Rows, source: str, mapping: Mapping) -> _Columns:
        at = {name: place for place, name in reversed(list(enumerate(rows.columns)))}
        named = _Named(at, rows, source)
        latency = named.latency(mapping)
        status = named.first(mapping.status, "status", (*_STATUSES, *_FALSE_OR_TRUE), "--status")
        name = None if status is None else rows.columns[status]
        return cls(
            link=named.link(mapping),
            fixed_link=rows.link if mapping.link is None else None,
            latency=latency,
            unit=mapping.unit or rows.defaults.get("unit") or unit_of(rows.columns[latency]) or "ms",
            status=status,
            true_or_false=name in _FALSE_OR_TRUE,
            error=named.first(None, "error", _ERRORS if status is None else (), ""),
            words=named.first(None, "words", (), ""),
            key=named.asked(mapping.pair_by, "--pair-by"),
            order=named.first(mapping.order_by, "order", (), "--order-by"),
            size=named.asked(mapping.size, "--by"),
            tokens=named.tokens(),
            only=None if rows.only is None else (at[rows.only[0]], rows.only[1]),
        )


@attrs.frozen
class _Named:
    """Columns by their names."""

    at: dict[str, int]
    rows: Rows
    source: str

    def asked(self, name: str | None, option: str) -> int | None:
        """Return the column that an option names; ``None`` if the option was not given."""
        if name is None:
            return None
        if name not in self.at:
            raise self._missing(repr(name), f"({option})")
        return self.at[name]

    def first(self, name: str | None, role: str, names: Sequence[str], option: str) -> int | None:
        """Return the column that is asked for, else the one of the file's format, else the first that exists."""
        if name is not None:
            return self.asked(name, option)
        default = self.rows.defaults.get(role)
        return next((self.at[each] for each in (default, *names) if each is not None and each in self.at), None)

    def tokens(self) -> tuple[int, int] | None:
        """Return the columns of input and output tokens; ``None`` unless both are there."""
        found = [
            self.first(None, name, (f"{name}_tokens", f"number_{name}_tokens"), "") for name in ("input", "output")
        ]
        return None if found[0] is None or found[1] is None else (found[0], found[1])

    def latency(self, mapping: Mapping) -> int:
        found = self.first(mapping.latency, "latency", _LATENCIES, "--latency")
        if found is None:
            raise self._missing("'latency_ms'", "name yours with --latency COLUMN and --unit ms|s|us|ns")
        return found

    def link(self, mapping: Mapping) -> tuple[int, ...]:
        if mapping.link is not None:
            parts = [mapping.link] if mapping.link in self.at else [part.strip() for part in mapping.link.split(",")]
            return tuple(place for part in parts if (place := self.asked(part, "--link")) is not None)
        if self.rows.link is not None:
            return ()
        default = self.rows.defaults.get("link")
        for names in ((default,), ("link",), ("provider", "model")):
            if names[0] in self.at:
                return tuple(self.at[name] for name in names if name in self.at)
        raise TraceError(
            self.source,
            "no column 'link' or 'provider' that says whose latency it is: name yours with --link COLUMN; "
            f"there are {self._all()}",
        )

    def _missing(self, name: str, remedy: str) -> TraceError:
        return TraceError(self.source, f"no column {name}; there are {self._all()}; {remedy}".removesuffix("; "))

    def _all(self) -> str:
        return visible(", ".join(map(str, self.rows.columns[:_LONGEST_SHOWN]))) or "none"


@attrs.frozen
class _Row:
    """One row, with what is needed to refuse it."""

    place: object
    cells: Sequence[object]
    source: str
    rows: Rows

    def cell(self, column: int) -> object:
        if column >= len(self.cells):
            raise TraceError(self.source, f"a row with too few columns ({len(self.cells)})", place=str(self.place))
        return self.cells[column]

    def label(self, columns: _Columns) -> str:
        if columns.fixed_link is not None:
            return columns.fixed_link
        return visible(":".join(str(self.cell(column)).strip() for column in columns.link))

    def observed(self, columns: _Columns) -> tuple[float, int] | None:
        """Return how long the attempt lasted and how it ended; ``None`` for an answer without a latency."""
        kind = self._kind(columns)
        cell = self.cell(columns.latency)
        if is_missing(cell):
            if kind == ANSWERED and (columns.status is not None or columns.error is not None):
                return None
            return 0.0, FAILED
        try:
            elapsed = number(cell, decimal_comma=self.rows.decimal_comma)
        except ValueError as error:
            raise self._refused(columns.latency, cell, str(error)) from None
        if elapsed < 0:
            raise self._refused(columns.latency, cell, "negative")
        return elapsed * UNITS[columns.unit], kind

    def _kind(self, columns: _Columns) -> int:
        if columns.status is not None:
            kind = self._status(columns, self.cell(columns.status))
            if kind == ANSWERED or columns.words is None:
                return kind
            # JMeter says that a sample failed in one column, and why in another.
            return kind if kind_of_error(self.cell(columns.words)) != 1 else 1
        if columns.error is not None:
            return kind_of_error(self.cell(columns.error))
        return ANSWERED

    def _status(self, columns: _Columns, cell: object) -> int:
        if columns.true_or_false and str(cell).strip() in ("0", "1"):
            return ANSWERED if str(cell).strip() == "1" else FAILED
        if columns.error is not None and str(cell).strip() == "0":
            return max(kind_of_error(self.cell(columns.error)), 1)
        kind = kind_of_status(cell)
        if kind is None:
            remedy = "spell it ok, failed or timeout, or name another column with --status"
            raise self._refused(columns.status or 0, cell, f"no known status: {remedy}")
        return kind

    def _refused(self, column: int, cell: object, why: str) -> TraceError:
        shown = visible(repr(cell) if isinstance(cell, str) else str(cell))
        shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN - 3]}..."
        name = visible(str(self.rows.columns[column]))
        return TraceError(self.source, f"{shown} is {why}", place=f"{self.place}, column {name}")


class _Column:
    """One link's observations, as they are gathered: ten bytes a row, and what it is paired, ordered and sized by."""

    def __init__(self) -> None:
        self._elapsed = array("d")
        self._kinds = array("B")
        self._keys: list[str] = []
        self._order: list[tuple[float, str]] = []
        self._sizes: list[float | str | None] = []
        self._tokens: list[tuple[float | None, float | None]] = []

    def add(self, elapsed_ms: float, kind: int, row: _Row, columns: _Columns) -> None:
        self._elapsed.append(elapsed_ms)
        self._kinds.append(kind)
        if columns.key is not None:
            self._keys.append(str(row.cell(columns.key)).strip())
        if columns.order is not None:
            self._order.append(_sortable(row.cell(columns.order)))
        if columns.size is not None:
            self._sizes.append(_size(row.cell(columns.size), decimal_comma=row.rows.decimal_comma))
        if columns.tokens is not None and kind == ANSWERED:
            sent, received = (_amount(row.cell(column)) for column in columns.tokens)
            self._tokens.append((sent, received))

    def sample(self, label: str, columns: _Columns) -> Sample:
        order = np.arange(len(self._elapsed))
        if columns.order is not None:
            order = np.array(sorted(order.tolist(), key=self._order.__getitem__), dtype=np.int64)
        return Sample(
            label,
            np.array(self._elapsed, dtype=np.float64)[order],
            np.array(self._kinds, dtype=np.uint8)[order],
            _ordered(self._keys, order.tolist()),
            columns.order is not None,
            _ordered(self._sizes, order.tolist()),
            tokens=mean_tokens(self._tokens),
        )


def _ordered(values: Sequence[_T], order: Iterable[int]) -> tuple[_T, ...]:
    return tuple(values[place] for place in order) if values else ()


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
