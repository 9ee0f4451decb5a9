"""What was observed of each link, whatever it comes from: a table of latencies, or the spans of calls.

An observation is an answer, a failure, or an attempt that was cut off: of the last it is known only that it would have
taken longer. Those are the slow ones, so they are kept and told apart, not left out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from routeware.lab.spans import TraceError
from routeware.lab.tree import AttemptBar, CallTree
from routeware.records import AttemptStatus

__all__ = ["ANSWERED", "CENSORED", "FAILED", "Sample", "samples_from_calls", "samples_from_csv"]

Floats = npt.NDArray[np.float64]
Kinds = npt.NDArray[np.uint8]

ANSWERED, CENSORED, FAILED = 0, 1, 2

_ANSWERED_WORDS = frozenset(("", "ok", "success", "succeeded", "answered"))
_CENSORED_WORDS = frozenset(
    ("censored", "timeout", "timed_out", "cancelled", "canceled", "race_lost", "lost", "deadline_exceeded")
)


@attrs.frozen(eq=False)
class Sample:
    """What was observed of one link.

    Attributes:
        label: the link's label.
        elapsed_ms: how long each attempt lasted; 0 for a failure whose time was not recorded.
        kinds: for each ``ANSWERED``, ``CENSORED`` or ``FAILED``.
        keys: for each what it is paired by; empty where nothing is.
        ordered: whether the observations are in the order in which they were made.
    """

    label: str
    elapsed_ms: Floats
    kinds: Kinds
    keys: tuple[str, ...] = ()
    ordered: bool = False

    def __len__(self) -> int:
        return len(self.elapsed_ms)


def samples_from_csv(path: str | Path, *, pair_by: str | None = None, order_by: str | None = None) -> dict[str, Sample]:
    """Observations per link from a CSV file with a header, in the order of their first appearance.

    Columns: ``link``, or ``provider`` and where there is one ``model``; ``latency_ms``; and where there is one
    ``status``: ``ok`` (or empty, ``success``, ``succeeded``, ``answered``, a status from 200 to 299) is an answer,
    ``timeout``, ``cancelled``, ``race_lost`` or ``censored`` was cut off at its latency, anything else is a failure.
    A row without a latency is a failure. All other columns are passed over.

    Args:
        path: the file.
        pair_by: the column whose equal values make two rows one pair.
        order_by: the column whose numbers or texts say in which order rows were made.

    Raises:
        TraceError: the file cannot be read, lacks a column, or has a latency that is no number of milliseconds.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = [name.strip() for name in next(rows, [])]
            columns = _Columns.of(header, str(path), pair_by, order_by)
            return _gathered(rows, columns, str(path))
    except OSError as error:
        raise TraceError(str(path), error.strerror or str(error)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise TraceError(str(path), f"not a CSV file: {error}") from None


@attrs.frozen
class _Columns:
    """Where in a row things stand; ``None`` where they do not."""

    link: tuple[int, ...]
    latency: int
    status: int | None
    key: int | None
    order: int | None

    @classmethod
    def of(cls, header: Sequence[str], source: str, pair_by: str | None, order_by: str | None) -> _Columns:
        places = {name: place for place, name in enumerate(header)}
        for wanted in ("latency_ms", *filter(None, (pair_by, order_by))):
            if wanted not in places:
                raise TraceError(source, f"no column {wanted!r}; there are {', '.join(header) or 'none'}")
        named = ("link",) if "link" in places else ("provider", "model")
        link = tuple(places[name] for name in named if name in places)
        if not link or (named[0] not in places):
            raise TraceError(source, "no column 'link' or 'provider' that says whose latency it is")
        return cls(
            link,
            places["latency_ms"],
            places.get("status"),
            places[pair_by] if pair_by else None,
            places[order_by] if order_by else None,
        )


def _gathered(rows: Iterator[list[str]], columns: _Columns, source: str) -> dict[str, Sample]:
    by_link: dict[tuple[str, ...], list[list[str]]] = {}
    width = max(place for place in (*columns.link, columns.latency, columns.status or 0) if place is not None)
    for row in rows:
        if not row:
            continue
        if len(row) <= width:
            raise TraceError(source, "a row with too few columns", place=f"line {getattr(rows, 'line_num', '?')}")
        by_link.setdefault(tuple(row[place] for place in columns.link), []).append(row)
    samples = (_sample(":".join(link), its, columns, source) for link, its in by_link.items())
    return {sample.label: sample for sample in samples}


def _sample(label: str, rows: list[list[str]], columns: _Columns, source: str) -> Sample:
    if columns.order is not None:
        place = columns.order
        rows = sorted(rows, key=lambda row: _sortable(row[place]))
    latencies = [row[columns.latency].strip() for row in rows]
    words = [row[columns.status] for row in rows] if columns.status is not None else [""] * len(rows)
    meaning = {word: _kind(word) for word in set(words)}
    kinds = np.array([meaning[word] for word in words], dtype=np.uint8)
    empty = np.array([not latency for latency in latencies])
    kinds[empty] = FAILED
    try:
        elapsed = np.array([latency or "0" for latency in latencies]).astype(np.float64)
    except ValueError as error:
        raise TraceError(source, f"a latency_ms of {label} is no number: {error}") from None
    if not np.isfinite(elapsed).all() or (elapsed < 0).any():
        raise TraceError(source, f"a latency_ms of {label} is negative, infinite or no number")
    keys = tuple(row[columns.key] for row in rows) if columns.key is not None else ()
    return Sample(label, elapsed, kinds, keys, columns.order is not None)


def _sortable(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text


def _kind(word: str) -> int:
    word = word.strip().lower()
    if word in _ANSWERED_WORDS or (word.isdecimal() and 200 <= int(word) < 300):
        return ANSWERED
    return CENSORED if word in _CENSORED_WORDS else FAILED


def samples_from_calls(calls: Iterable[CallTree]) -> dict[str, Sample]:
    """Observations per link from the attempts of calls, in the order of the calls.

    A lost race, a time-out and a cancellation were cut off; an answered error and a rejected answer are failures. They
    cannot be paired: of the two attempts of a race, one was always cut off.
    """
    seen: dict[str, list[_Observed]] = {}
    for call in calls:
        for attempt in call.attempts:
            kind = _kind_of(attempt)
            if kind is not None:
                began_ms = None if call.started_at_ms is None else call.started_at_ms + attempt.started_ms
                seen.setdefault(attempt.label, []).append(_Observed(began_ms, attempt.duration_ms, kind))
    return {label: _in_order(label, observed) for label, observed in seen.items()}


@attrs.frozen
class _Observed:
    """One attempt, and when it began, where that is known."""

    began_ms: float | None
    elapsed_ms: float
    kind: int


def _in_order(label: str, observed: list[_Observed]) -> Sample:
    dated = all(each.began_ms is not None for each in observed)
    if dated:
        observed = sorted(observed, key=lambda each: each.began_ms or 0.0)
    elapsed = np.array([each.elapsed_ms for each in observed])
    return Sample(label, elapsed, np.array([each.kind for each in observed], dtype=np.uint8), ordered=dated)


_KINDS: Mapping[AttemptStatus, int] = {
    AttemptStatus.SUCCEEDED: ANSWERED,
    AttemptStatus.FAILED: FAILED,
    AttemptStatus.REJECTED: FAILED,
    AttemptStatus.RACE_LOST: CENSORED,
    AttemptStatus.CANCELLED: CENSORED,
}


def _kind_of(attempt: AttemptBar) -> int | None:
    """What an attempt says about its link; ``None`` for a skipped one, and one whose end is not known.

    A time-out that the provider answered (408) is its failure; one of our own cut it off.
    """
    if attempt.status is AttemptStatus.FAILED and attempt.error_category == "timeout" and attempt.error_status is None:
        return CENSORED
    return None if attempt.status is None else _KINDS.get(attempt.status)
