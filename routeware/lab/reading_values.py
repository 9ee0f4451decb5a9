"""Values out of decoded JSON that nobody has checked: what is of the wrong shape is an error that says so.

Whoever reads the file adds where it was.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

__all__ = ["MalformedError", "elements", "identifier", "listed", "mapping", "whole", "words"]

_DIGITS = frozenset("0123456789abcdef")
_NO_ID = frozenset("0")


class MalformedError(ValueError):
    """A value is not what stands at its place in a span."""


def mapping(value: object, what: str) -> dict[str, object]:
    """``value``, which is to be an object; ``what`` names it in the error."""
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not an object but {_shown(value)}")
    return value


def listed(value: object, what: str) -> list[object]:
    """``value``, which is to be an array, or absent."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedError(f"{what} is not an array but {_shown(value)}")
    return value


def elements(parent: dict[str, object], key: str) -> Iterator[dict[str, object]]:
    """The objects in the array ``parent[key]``; none where it is absent."""
    return (mapping(item, f"an item of {key}") for item in listed(parent.get(key), key))


def words(value: object, what: str) -> str:
    """``value``, which is to be a string."""
    if not isinstance(value, str):
        raise MalformedError(f"{what} is not a string but {_shown(value)}")
    return value


def whole(value: object, what: str) -> int:
    """A whole number, written as a number or, for 64 bits do not fit into every reader's numbers, as a string."""
    if isinstance(value, str) and value.lstrip("-").isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise MalformedError(f"{what} is not a whole number but {_shown(value)}")
    return int(value)


def identifier(value: object, what: str, digits: int) -> str:
    """An id as ``digits`` lower-case hexadecimal digits.

    Older Jaegers leave out leading zeros, and plain protobuf JSON writes base64 where OTLP asks for hexadecimal.
    """
    text = words(value, what)
    number = _from_base64(text, digits) if text.endswith("=") else text.lower()
    if len(number) > digits or not set(number) <= _DIGITS or set(number) <= _NO_ID:
        raise MalformedError(f"{what} {_shown(value)} is not a hexadecimal id")
    return number.zfill(digits)


def _from_base64(text: str, digits: int) -> str:
    """Eight and sixteen bytes both end in padding, which no hexadecimal id does; empty for what is not that long."""
    try:
        number = base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return ""
    return number if len(number) == digits else ""


def _shown(value: object) -> str:
    """A value in an error: what it is, cut short, and never with control characters in it."""
    if value is None:
        return "missing"
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
