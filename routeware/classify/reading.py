"""Other people's objects, read without trusting them.

An error may answer to every name, warn when it is looked at, raise from a property or lie about its class. So the
instance's own attributes come first, then what its class defines under a few known names; nothing here calls
``__getattr__``, tests a value for truth, or lets anything out that reading raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from types import MappingProxyType, MemberDescriptorType
from typing import Any, TypeGuard, TypeVar

__all__ = ["View", "as_int", "as_text", "attempt", "entry", "is_mapping", "is_sequence", "remembered"]

T = TypeVar("T")

Reader = Callable[[object], object]

_MOST_TYPES = 512
_NAMES = (
    "status_code",
    "status",
    "response",
    "raw_response",
    "code",
    "error_code",
    "type",
    "body",
    "details",
    "headers",
    "retry_after",
    "retry_after_ms",
    "message",
)


def remembered(make: Callable[[type], T]) -> Callable[[type], T]:
    """``make``, asked once per type: most errors are of few types.

    Bounded, because some libraries make types as they go.
    """
    known: dict[type, T] = {}

    def of(kind: type) -> T:
        found = known.get(kind)
        if found is None:
            if len(known) >= _MOST_TYPES:
                known.clear()
            found = known[kind] = make(kind)
        return found

    return of


class View:
    """The attributes of one object: its own ones first, then those of its class.

    Attributes:
        own: the instance's own ``__dict__``; empty where it has none that can be read.
        get: gives the value of one of the known names; ``None`` where there is none, or reading it failed.
    """

    __slots__ = ("get", "own")

    def __init__(self, of: object) -> None:
        self.own = _own_attributes(of)
        readers = _readers_of(type(of))
        self.get: Callable[[str], object] = partial(_get, of, self.own, readers) if readers else self.own.get


def attempt(reader: Reader, of: object) -> object:
    """What ``reader`` gives; ``None`` where it raises, whatever that is: what a property says is only evidence."""
    try:
        return reader(of)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001  a foreign property may raise anything, also what is no Exception
        return None


def as_int(value: object) -> int | None:
    """A plain int (of a status enum, say); booleans are none. The class is asked, for an instance can lie about it."""
    return int.__int__(value) if _is_a(value, int) and type(value) is not bool else None


def as_text(value: object) -> str | None:
    """A plain str, also of a subclass with ideas of its own."""
    return str.__str__(value) if _is_a(value, str) else None


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Whether it is a mapping by its class, not merely by its own account."""
    return type(value) is dict or _is_mapping_type(type(value))


def is_sequence(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Whether it is a list or a tuple, and no kind of one that has ideas of its own."""
    return type(value) is list or type(value) is tuple


def entry(value: object, *path: str) -> object:
    """What lies at ``path`` in nested mappings; ``None`` where it leads nowhere."""
    for key in path:
        if not is_mapping(value):
            return None
        value = value.get(key) if type(value) is dict else attempt(partial(_get_item, key), value)
    return value


def _get_item(key: str, of: Any) -> object:
    return of.get(key)


def _get(of: object, own: Mapping[str, object], readers: Mapping[str, Reader], name: str) -> object:
    if name in own:
        return own[name]
    reader = readers.get(name)
    return None if reader is None else attempt(reader, of)


def _is_a(value: object, kind: type[int | str]) -> TypeGuard[Any]:
    return issubclass(type(value), kind)


@remembered
def _is_mapping_type(kind: type) -> bool:
    return issubclass(kind, Mapping)


def _own_attributes(of: object) -> dict[str, object]:
    found = attempt(_read_dict, of)
    return found if type(found) is dict else {}


def _read_dict(of: object) -> object:
    return object.__getattribute__(of, "__dict__")


@remembered
def _readers_of(kind: type) -> Mapping[str, Reader]:
    """How to read the known names that the class itself defines. Python's own classes mean other things by them."""
    readers: dict[str, Reader] = {}
    for name in _NAMES:
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        reader = None if owner is None or owner.__module__ == "builtins" else _reader_of(vars(owner)[name])
        if reader is not None:
            readers[name] = reader
    return MappingProxyType(readers)


def _reader_of(attribute: object) -> Reader | None:
    if isinstance(attribute, property):
        return None if attribute.fget is None or _is_deprecated(attribute.fget) else attribute.__get__
    if isinstance(attribute, cached_property):
        return None if _is_deprecated(attribute.func) else attribute.__get__
    if isinstance(attribute, MemberDescriptorType):
        return attribute.__get__
    return None if hasattr(type(attribute), "__get__") else partial(_constant, attribute)


def _constant(value: object, _of: object) -> object:
    return value


def _is_deprecated(function: Any) -> bool:
    """Whether a property warns when it is read: seen from its code, for reading it to find out would be too late."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    return hasattr(function, "__deprecated__") or any("warn" in name or "deprecat" in name for name in names)
