"""Checks values from decoded JSON: a value of the wrong shape raises an error that shows it.

The reader of the file adds the place.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from routeware.text import visible

__all__ = ["MalformedError", "elements", "field", "identifier", "listed", "mapping", "parent", "whole", "words"]

_DIGITS = frozenset("0123456789abcdef")
_NO_ID = frozenset("0")
_LARGEST = 1 << 64


class MalformedError(ValueError):
    """A value of a span has the wrong shape."""


def mapping(value: object, what: str) -> dict[str, object]:
    """Return ``value`` if it is an object; ``what`` names it in the error."""
    if not isinstance(value, dict):
        raise MalformedError(f"{what} is not an object but {_shown(value)}")
    return value


def listed(value: object, what: str) -> list[object]:
    """Return ``value`` if it is an array, and an empty list if it is absent."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedError(f"{what} is not an array but {_shown(value)}")
    return value


def elements(parent: dict[str, object], key: str) -> Iterator[dict[str, object]]:
    """Yield the objects in the array ``parent[key]``, which may be absent."""
    return (mapping(item, f"an item of {key}") for item in listed(parent.get(key), key))


def words(value: object, what: str) -> str:
    """Return ``value`` if it is a string."""
    if not isinstance(value, str):
        raise MalformedError(f"{what} is not a string but {_shown(value)}")
    return value


def whole(value: object, what: str) -> int:
    """Return a whole number of at most 64 bits, written as a number or as a string of digits.

    JSON writers use strings because not every reader's numbers hold 64 bits.
    """
    if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 40:
        number = int(value)
    elif isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise MalformedError(f"{what} is not a whole number but {_shown(value)}")
    else:
        number = int(value)
    if abs(number) >= _LARGEST:
        raise MalformedError(f"{what} is out of range: {_shown(value)}")
    return number


def identifier(value: object, what: str, digits: int) -> str:
    """Return an id as ``digits`` lower-case hexadecimal digits.

    Older Jaegers leave out leading zeros, plain protobuf JSON writes base64 where OTLP asks for hexadecimal, and the
    console exporter writes ``0x`` in front.
    """
    text = words(value, what)
    number = _from_base64(text, digits) if text.endswith("=") else text.lower().removeprefix("0x")
    if len(number) > digits or not set(number) <= _DIGITS or set(number) <= _NO_ID:
        raise MalformedError(f"{what} {_shown(value)} is not a hexadecimal id")
    return number.zfill(digits)


def parent(value: object, what: str) -> str | None:
    """Return the id of a parent span; ``None`` if it is absent, empty or all zeros, which mean a root."""
    if not value or (isinstance(value, str) and set(value.removeprefix("0x")) <= _NO_ID):
        return None
    return identifier(value, what, 16)


def field(fields: dict[str, object], name: str) -> object:
    """Return the field ``name`` in camelCase, or its spelling in snake_case, which protobuf's JSON may have, too."""
    if name in fields:
        return fields[name]
    return fields.get("".join(f"_{char.lower()}" if char.isupper() else char for char in name))


def _from_base64(text: str, digits: int) -> str:
    """Decode an id; empty if it has another length. Eight and sixteen bytes both end in padding, hexadecimal never."""
    try:
        number = base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return ""
    return number if len(number) == digits else ""


def _shown(value: object) -> str:
    """Return a value as an error shows it: cut short, without control characters."""
    if value is None:
        return "missing"
    try:
        shown = visible(repr(value))
    except ValueError:  # an integer of more digits than Python prints
        shown = "a very large number"
    return shown if len(shown) <= 40 else shown[:37] + "..."
