"""``Retry-After`` in its spellings: seconds, milliseconds, a date (RFC 9110), an attribute, Google's RetryInfo."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import attrs

from routeware.classify.codes import Body, details_of
from routeware.classify.reading import Pattern, View, as_text, attempt, entry, is_mapping, is_sequence

__all__ = ["retry_after_ms"]

_NUMBER = Pattern(r"\s*([+-]?\d{1,16}(?:\.\d{0,16})?)\s*s?\s*", flags=re.ASCII)
_MOST_HEADERS = 256
_NAMES = (
    ("retry_after_ms", 1),
    ("retry_after", 1_000),
    ("retry_after_seconds", 1_000),
    ("retry_after_s", 1_000),
    ("retryAfter", 1_000),
)


@attrs.frozen
class Header:
    """A header in the two spellings that mappings with regard to case use."""

    name: str
    title: str

    def get_from(self, headers: Any) -> object:
        """Read its value from a mapping. Whatever that raises is for the caller to catch."""
        found = headers.get(self.name)
        return headers.get(self.title) if found is None else found


_RETRY_AFTER_MS = Header("retry-after-ms", "Retry-After-Ms")
_AZURES = Header("x-ms-retry-after-ms", "X-Ms-Retry-After-Ms")
_RETRY_AFTER = Header("retry-after", "Retry-After")
_DATE = Header("date", "Date")


def retry_after_ms(error: View, body: Body, *, further: Sequence[object] = ()) -> float | None:
    """Read how long the provider asks to be left alone, in milliseconds; ``None`` if it does not say.

    Never negative.

    Args:
        error: what carries it.
        body: the body that the error keeps.
        further: more headers to look at.
    """
    for headers in (*_headers_of(error), *further):
        if headers is not None and (found := _from_headers(headers)) is not None:
            return found
    found = _from_names(error.get)
    if found is None:
        found = next((wait for part in body.mappings if (wait := _from_names(partial(entry, part))) is not None), None)
    return _from_details(details_of(error, body)) if found is None else found


def _from_names(get: Callable[[str], object]) -> float | None:
    for name, factor in _NAMES:
        if (found := _milliseconds(get(name), factor)) is not None:
            return found
    return None


def _headers_of(error: View) -> list[object]:
    get = error.get
    found = [get("headers")]
    for response in (get("response"), get("raw_response")):
        if response is not None:
            mapping = is_mapping(response)
            found.append(
                entry(response, "ResponseMetadata", "HTTPHeaders") if mapping else View(response).get("headers")
            )
    return found


def _from_headers(headers: object) -> float | None:
    for header in (_RETRY_AFTER_MS, _AZURES):
        if (found := _milliseconds(_header(headers, header), 1)) is not None:
            return found
    value = _header(headers, _RETRY_AFTER)
    if value is None:
        return None
    found = _milliseconds(value, 1_000)
    return _until(value, headers) if found is None else found


def _until(value: object, headers: object) -> float | None:
    """Turn a date into a duration, by the provider's own clock if it sends its time."""
    then = _seconds_of_date(value)
    if then is None:
        return None
    now = _seconds_of_date(_header(headers, _DATE))
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
    kind = type(value)
    if type(value) is timedelta:
        value, kind = value.total_seconds(), float
    if kind is not bool and issubclass(kind, int | float):
        number = attempt(_to_float, value)
    else:
        found = _NUMBER.compiled.fullmatch(as_text(value) or "")
        number = float(found[1]) if found else None
    if not isinstance(number, float) or not math.isfinite(number * factor):
        return None
    return max(0.0, number * factor)


def _to_float(value: Any) -> float:
    return float(value)


def _header(headers: object, header: Header) -> object:
    """Find one header in a mapping, with or without regard to case, or in pairs, also of bytes."""
    if is_mapping(headers):
        found = attempt(header.get_from, headers)
        if found is not None or type(headers) is not dict:
            # Other mappings of headers are taken to disregard case by themselves.
            return _decoded(found)
        headers = list(headers.items())
    return _in_pairs(headers if is_sequence(headers) else attempt(_items_of, headers), header.name)


def _items_of(headers: Any) -> object:
    return list(type(headers).items(headers))


def _in_pairs(pairs: object, name: str) -> object:
    if not is_sequence(pairs):
        return None
    for pair in pairs[:_MOST_HEADERS]:
        if is_sequence(pair) and len(pair) == 2:
            key = as_text(_decoded(pair[0]))
            if key is not None and key.lower() == name:
                return _decoded(pair[1])
    return None


def _decoded(value: object) -> object:
    return value.decode("latin-1") if type(value) is bytes else value
