"""The words in the cells of a table: status words of many tools, missing values, numbers with a comma, units in names.

A word that is not known is an error, not a failure: guessing would turn a file of answers into one of failures.
"""

from __future__ import annotations

import math
import re
import sys

from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED

__all__ = ["MISSING", "UNITS", "is_missing", "kind_of_error", "kind_of_status", "number", "unit_of"]

MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "<na>"))
"""Spellings of a missing value."""

UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1000.0}
"""Milliseconds per unit."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


_ANSWERED = _words(
    "|answered|cached|complete|completed|done|end_turn|finished|http ok|ok|okay|pass|passed|stop|succeeded|"
    "success|successful|true|yes"
)
_CENSORED = _words(
    "abort|aborted|cancel|canceled|cancelled|cancellederror|censored|cut off|cut_off|interrupted|killed|lost|"
    "lost the race|race lost|race_lost"
)
_FAILED = _words(
    "auth|bad request|bad_request|broken|content_filter|content_policy|context_length|crashed|denied|"
    "disconnected|dropped|err|error|errors|exception|fail|failed|failure|false|forbidden|invalid|ko|no|not found|"
    "not_found|overloaded|quota|quota_exceeded|rate limit|rate limited|rate_limit|rate_limited|ratelimited|"
    "refused|rejected|reset|server_error|throttled|too many requests|transient_network|unauthorized|unavailable"
)
_LATE = re.compile(r"time[\s_-]*d?[\s_-]*out|deadline[\s_-]*exceeded")
_HTTP = re.compile(r"(?:http[\s/\d.]*\s)?([1-5]\d\d)(?:\.0)?(?:$|[\s:;,_-])")
_FAILING_END = re.compile(r"(?:error|exception|failure|failed|refused|reset)$")
_UNIT_END = re.compile(r"[\s_(\[.-](ns|nanos\w*|us|µs|micros\w*|ms|msec\w*|millis\w*|s|sec|secs|seconds?)[)\]]?$")
_INFIX = re.compile(r"^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$")


def is_missing(cell: object) -> bool:
    """Return True for a cell that holds no value."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def kind_of_status(cell: object) -> int | None:
    """Return how an attempt with this status ended; ``None`` for a word that is not known."""
    if isinstance(cell, bool):
        return ANSWERED if cell else FAILED
    if isinstance(cell, float):
        cell = f"{cell:g}"
    word = "" if is_missing(cell) else str(cell).strip().lower()
    if word in _ANSWERED:
        return ANSWERED
    if word in _CENSORED:
        return CENSORED
    if found := _HTTP.match(word):
        # A gateway's time-out is an answer of the gateway: the attempt failed, and was not cut off by us.
        return ANSWERED if found[1].startswith("2") else FAILED
    if _LATE.search(word):
        return CENSORED
    return FAILED if word in _FAILED or _FAILING_END.search(word) else None


def kind_of_error(cell: object) -> int:
    """Return how an attempt ended whose column holds an error, or nothing where there was none."""
    if is_missing(cell) or cell is False or cell == 0 or (isinstance(cell, str) and cell.strip() == "0"):
        return ANSWERED
    return CENSORED if _LATE.search(str(cell).lower()) else FAILED


def number(cell: object, *, decimal_comma: bool) -> float:
    """Return a cell as a finite number.

    Separators of thousands are refused with a ``ValueError``, as what is no number: they could be decimals elsewhere.
    """
    if isinstance(cell, bool) or not isinstance(cell, int | float | str):
        raise ValueError("not a number")  # noqa: TRY004  one kind of error for what a cell may hold
    if not isinstance(cell, str):
        return _finite(float(cell) if abs(cell) <= sys.float_info.max else math.inf)
    text = cell.strip().replace("\u00a0", "")
    if "," in text:
        if not decimal_comma or "." in text or text.count(",") > 1:
            raise ValueError("not a plain number (a comma in it)")
        text = text.replace(",", ".")
    if not _INFIX.match(text):
        raise ValueError("not a number")
    return _finite(float(text))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def unit_of(column: str) -> str | None:
    """Return the unit that a column's name ends with: ``latency_s`` is in seconds; ``None`` if it names none."""
    found = _UNIT_END.search(column.strip().lower())
    if found is None:
        return None
    unit = found[1]
    if unit.startswith(("ns", "nano")):
        return "ns"
    if unit.startswith(("us", "µs", "micro")):
        return "us"
    return "ms" if unit.startswith(("ms", "milli")) else "s"
