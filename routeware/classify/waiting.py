"""``Retry-After`` in its spellings: seconds, milliseconds, a date (RFC 9110), an attribute, Google's RetryInfo."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from routeware.classify.codes import Body, details_of
from routeware.classify.reading import Pattern, View, as_text, attempt, entry, is_mapping, is_sequence

__all__ = ["retry_after_ms"]

_NUMBER = Pattern(r"\s*([+-]?\d{1,16}(?:\.\d{0,16})?)\s*s?\s*", flags=re.ASCII)
_MOST_HEADERS = 256
_TITLES = {name: name.title() for name in ("retry-after-ms", "x-ms-retry-after-ms", "retry-after", "date")}
_NAMES = {"retry_after_ms": 1} | dict.fromkeys(
    ("retry_after", "retry_after_seconds", "retry_after_s", "retryAfter"), 1_000
)


def retry_after_ms(error: View, body: Body, *, further: Sequence[object] = ()) -> float | None:
    """Read how long the provider asks to be left alone, in milliseconds; ``None`` if it does not say.

    Never negative. ``further`` are more headers to look at.
    """
    for headers in (*_headers_of(error), *further):
        if headers is not None and (found := _from_headers(headers)) is not None:
            return found
    found = _from_names(error.get)
    if found is None:
        found = next((wait for part in body.mappings if (wait := _from_names(partial(entry, part))) is not None), None)
    return _from_details(details_of(error, body)) if found is None else found


def _from_names(get: Callable[[str], object]) -> float | None:
    for name, factor in _NAMES.items():
        if (held := get(name)) is not None and (found := _milliseconds(held, factor)) is not None:
            return found
    return None


def _headers_of(error: View) -> list[object]:
    found = [error.get("headers")]
    for response in (error.get("response"), error.get("raw_response")):
        if is_mapping(response):
            found.append(entry(response, "ResponseMetadata", "HTTPHeaders"))
        elif response is not None:
            found.append(View(response).get("headers"))
    return found


def _from_headers(headers: object) -> float | None:
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (found := _milliseconds(_header(headers, name), 1)) is not None:
            return found
    value = _header(headers, "retry-after")
    found = _milliseconds(value, 1_000)
    if found is not None or (then := _seconds_of_date(value)) is None:
        return found
    # A date is a moment of the provider's own clock, if it sends its time.
    now = _seconds_of_date(_header(headers, "date"))
    return max(0.0, then - (time.time() if now is None else now)) * 1_000


def _seconds_of_date(value: object) -> float | None:
    text = as_text(value)
    if text is None:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  # takes 5 ms, and few servers send a date

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError, OSError, IndexError):
        return None


def _from_details(details: list[object]) -> float | None:
    for detail in details:
        found = _milliseconds(entry(detail, "retryDelay"), 1_000)
        if found is None and type(detail).__name__ == "RetryInfo":
            found = _milliseconds(attempt(_seconds_of_duration, detail), 1_000)
        if found is not None:
            return found
    return None


def _seconds_of_duration(info: Any) -> object:
    """Read the protobuf message that Google's older clients unpack: ``RetryInfo.retry_delay``."""
    return info.retry_delay.seconds + info.retry_delay.nanos / 1e9


def _milliseconds(value: object, factor: int) -> float | None:
    """Read a number, or the text of one, as milliseconds."""
    if value is None:
        return None
    if type(value) is timedelta:
        value = value.total_seconds()
    if issubclass(type(value), int | float) and type(value) is not bool:
        number = attempt(float, value)
    else:
        found = _NUMBER.compiled.fullmatch(as_text(value) or "")
        number = float(found[1]) if found else None
    if not isinstance(number, float) or not math.isfinite(number * factor):
        return None
    return max(0.0, number * factor)


def _header(headers: object, name: str) -> object:
    """Find one header in a mapping, with or without regard to case, or in pairs, also of bytes."""
    if is_mapping(headers):
        found = attempt(partial(_in_mapping, name), headers)
        if found is not None or type(headers) is not dict:
            # Other mappings of headers are taken to disregard case by themselves.
            return _decoded(found)
        headers = list(headers.items())
    pairs = headers if is_sequence(headers) else attempt(_items_of, headers)
    for pair in pairs[:_MOST_HEADERS] if is_sequence(pairs) else ():
        if is_sequence(pair) and len(pair) == 2:
            key = as_text(_decoded(pair[0]))
            if key is not None and key.lower() == name:
                return _decoded(pair[1])
    return None


def _in_mapping(name: str, headers: Any) -> object:
    found = headers.get(name)
    return headers.get(_TITLES[name]) if found is None else found


def _items_of(headers: Any) -> object:
    return list(type(headers).items(headers))


def _decoded(value: object) -> object:
    return value.decode("latin-1") if type(value) is bytes else value
