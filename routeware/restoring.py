"""Frozen facts restored from their plain form, by the types of their fields.

A record that was stored as JSON comes back as the object that it was. The types and names are the only description: a
new field of a record needs nothing here.
"""

from __future__ import annotations

import math
import types
from collections.abc import Hashable, Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

__all__ = ["restored"]

T = TypeVar("T")


def restored(cls: type[T], plain: object, where: str = "") -> T:
    """Return an instance of an attrs class from a mapping of its fields.

    Args:
        cls: the class, whose fields are plain values, enums, tuples, and classes like it.
        plain: the mapping; keys that are no field are passed over.
        where: the place of the mapping in errors.

    Raises:
        ValueError: it is no mapping, or a field is missing or of the wrong type; says which.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(f"{where or cls.__name__} is not an object but {type(plain).__name__}")  # noqa: TRY004  what was stored is wrong, not the caller's code
    values = {}
    described: Any = cls
    for name, (wanted, required) in _fields(described).items():
        place = f"{where}.{name}" if where else name
        if name in plain:
            values[name] = _value(wanted, plain[name], place)
        elif required:
            raise ValueError(f"{place} is missing")
    return cls(**values)


@cache
def _fields(cls: Hashable) -> Mapping[str, tuple[Any, bool]]:
    """Return the type of each field, and whether it is required."""
    assert isinstance(cls, type)
    hints = get_type_hints(cls)
    return {each.name: (hints[each.name], each.default is attrs.NOTHING) for each in attrs.fields(cls)}


def _value(wanted: Any, plain: Any, place: str) -> Any:
    """Return a value of the type ``wanted``.

    Raises:
        ValueError: ``plain`` is no value of it.
    """
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(wanted), plain, place)
    if origin is Literal:
        return _checked(plain, plain in get_args(wanted), place)
    if origin is tuple:
        _checked(plain, isinstance(plain, list | tuple), place)
        return tuple(_value(get_args(wanted)[0], item, f"{place}[{at}]") for at, item in enumerate(plain))
    if attrs.has(wanted):
        return restored(wanted, plain, place)
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        _checked(plain, plain in [member.value for member in wanted], place)
        return wanted(plain)
    return _plain(wanted, plain, place)


def _one_of(wanted: tuple[Any, ...], plain: Any, place: str) -> Any:
    if plain is None:
        return _checked(plain, type(None) in wanted, place)
    others = [each for each in wanted if each is not type(None)]
    return _value(others[0], plain, place)


def _plain(wanted: Any, plain: Any, place: str) -> Any:
    """Return a text, a number or a boolean; JSON writes whole floats as integers. A time in ``_ms`` is 0 or more."""
    if wanted is float and isinstance(plain, int | float) and not isinstance(plain, bool):
        try:
            number = float(plain)
        except OverflowError:
            number = math.nan
        is_time = place.endswith("_ms")
        right = 0.0 <= number < math.inf if is_time else isinstance(plain, float) or math.isfinite(number)
        _checked(plain, right, place)
        return number
    is_boolean = isinstance(plain, bool)
    return _checked(plain, isinstance(plain, wanted) and is_boolean is (wanted is bool), place)


def _checked(plain: Any, right: bool, place: str) -> Any:
    if not right:
        try:
            shown = repr(plain)
        except ValueError:  # an integer of more digits than Python prints
            shown = "a very large number"
        raise ValueError(f"{place} cannot be {shown if len(shown) <= 60 else shown[:57] + '...'}")
    return plain
