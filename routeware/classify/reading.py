"""Other people's objects, read without trusting them: attributes, mappings, the errors behind an error, texts.

An error may answer to every name, warn when it is looked at, raise from a property or lie about its class. So the
instance's own attributes come first, then what its class defines under a few known names; nothing here calls
``__getattr__``, tests a value for truth, or lets anything out that reading raised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from operator import methodcaller
from types import MappingProxyType, MemberDescriptorType
from typing import Any, TypeGuard, TypeVar

__all__ = [
    "Pattern",
    "View",
    "arguments_of",
    "as_int",
    "as_text",
    "attempt",
    "cause_of",
    "context_of",
    "entry",
    "errno_of",
    "hides_context",
    "hops",
    "ignoring_case",
    "is_mapping",
    "is_sequence",
    "leaves_of",
    "remembered",
]

T = TypeVar("T")

Reader = Callable[[object], object]

_MOST_TYPES = 512
_MOST_HOPS = 128
_NAMES = (
    *("status_code", "status", "http_status", "response", "raw_response", "code", "error_code", "type", "body"),
    *("details", "headers", "retry_after", "retry_after_ms", "message", "reason", "error", "detail"),
)
_CACHED = frozenset({"reify", "under_cached_property", "cached_property"})
"""Properties that aiohttp computes once, by the names of their types in its releases."""
_CONSTANTS = ("code", "grpc_status_code")

# Read through the base class: a subclass may hide them behind a property of its own.
cause_of: Callable[[BaseException], BaseException | None] = vars(BaseException)["__cause__"].__get__
"""Read the error that an error was explicitly raised from."""
context_of: Callable[[BaseException], BaseException | None] = vars(BaseException)["__context__"].__get__
"""Read the error that was being handled when it was raised, even if ``from None`` says that it does not matter."""
hides_context: Callable[[BaseException], bool] = vars(BaseException)["__suppress_context__"].__get__
"""Tell whether ``from None`` says that the context does not matter."""
arguments_of: Callable[[BaseException], tuple[object, ...]] = vars(BaseException)["args"].__get__
"""Read the arguments that an error was made with."""
_ERRNO = vars(OSError)["errno"].__get__
_LEAVES = vars(BaseExceptionGroup)["exceptions"].__get__


class Pattern:
    """A regular expression, or several alternatives, compiled at its first use.

    Compiling all of them takes as long as the rest of the package takes to import, and most processes never meet the
    errors that most of them describe.
    """

    def __init__(self, *alternatives: str, flags: int = 0) -> None:
        self._alternatives = alternatives
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The expression, compiled."""
        return re.compile("|".join(self._alternatives), self._flags)

    def search(self, text: str) -> re.Match[str] | None:
        """Find the first place in ``text`` that matches."""
        return self.compiled.search(text)


def ignoring_case(*alternatives: str) -> Pattern:
    """Make a pattern to which the case of letters is all the same."""
    return Pattern(*alternatives, flags=re.IGNORECASE)


class _Known(dict[type, T]):
    def __init__(self, make: Callable[[type], T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, kind: type) -> T:
        if len(self) >= _MOST_TYPES:
            self.clear()
        found = self[kind] = self._make(kind)
        return found


def remembered(make: Callable[[type], T]) -> Callable[[type], T]:
    """Keep what ``make`` gives for a type: most errors are of few types, and a type that is known costs no frame.

    Bounded, because some libraries make types as they go.
    """
    return _Known(make).__getitem__


class View:
    """The attributes of one object: its own ones first, then those of its class.

    Attributes:
        own: the instance's own ``__dict__``; empty where it has none that can be read.
        get: gives the value of one of the known names; ``None`` if there is none, or reading it failed.
    """

    __slots__ = ("_kind", "get", "own")

    def __init__(self, of: object) -> None:
        self._kind = type(of)
        own = attempt(_read_dict, of)
        self.own: dict[str, object] = own if type(own) is dict else {}
        readers = _readers_of(self._kind)
        self.get: Callable[[str], object] = partial(_get, of, self.own, readers) if readers else self.own.get

    def constant(self, name: str) -> object:
        """Return a value that is in the class itself, as ``google.api_core`` keeps its statuses.

        A property of that name is not asked: ``code`` is mostly a deprecated alias.
        """
        return _constants_of(self._kind).get(name)


def attempt(reader: Callable[[Any], object], of: object) -> object:
    """Call ``reader``; ``None`` if it raises, whatever that is: what a property says is only evidence."""
    try:
        return reader(of)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001  a foreign property may raise anything, also what is no Exception
        return None


def as_int(value: object) -> int | None:
    """Take a plain int, also of a status enum; booleans are none. An instance can lie about its class."""
    return int.__int__(value) if _is_a(value, int) and type(value) is not bool else None


def as_text(value: object) -> str | None:
    """Take a plain str, also from a subclass with methods of its own."""
    return str.__str__(value) if _is_a(value, str) else None


def is_mapping(value: object) -> TypeGuard[Mapping[object, object]]:
    """Tell whether a value is a mapping by its class, not merely by its own account."""
    return type(value) is dict or _is_mapping_type(type(value))


def is_sequence(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Tell whether a value is a list or a tuple, and no subclass with methods of its own."""
    return type(value) is list or type(value) is tuple


def entry(value: object, *path: str) -> object:
    """Follow ``path`` into nested mappings; ``None`` if it leads nowhere."""
    for key in path:
        if not is_mapping(value):
            return None
        value = value.get(key) if type(value) is dict else attempt(methodcaller("get", key), value)
    return value


def hops(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """Walk from an error to its causes, outermost first. ``seen`` stops circles, also those through groups."""
    hop: BaseException | None = error
    while hop is not None and id(hop) not in seen and len(seen) < _MOST_HOPS:
        seen.add(id(hop))
        yield hop
        behind = cause_of(hop)
        hop = context_of(hop) if behind is None and not hides_context(hop) else behind


def errno_of(error: BaseException) -> object:
    """Read the operating system's number of an ``OSError``; ``None`` for other errors."""
    found: object = _ERRNO(error) if issubclass(type(error), OSError) else None
    return found


def leaves_of(error: BaseException) -> tuple[BaseException, ...] | None:
    """List the errors directly inside a group; ``None`` if its class is no group."""
    found: tuple[BaseException, ...] | None = _LEAVES(error) if issubclass(type(error), BaseExceptionGroup) else None
    return found


def _read_dict(of: object) -> object:
    return object.__getattribute__(of, "__dict__")


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


def _owner(kind: type, name: str) -> type | None:
    return next((base for base in kind.__mro__ if name in vars(base)), None)


@remembered
def _readers_of(kind: type) -> Mapping[str, Reader]:
    """Find out how to read the known names that a class defines. Python's own classes mean other things by them."""
    readers: dict[str, Reader] = {}
    for name in _NAMES:
        owner = _owner(kind, name)
        reader = None if owner is None or owner.__module__ == "builtins" else _reader_of(vars(owner)[name])
        if reader is not None:
            readers[name] = reader
    return MappingProxyType(readers)


@remembered
def _constants_of(kind: type) -> Mapping[str, object]:
    found = {name: vars(owner)[name] for name in _CONSTANTS if (owner := _owner(kind, name)) is not None}
    return MappingProxyType({name: value for name, value in found.items() if not hasattr(type(value), "__get__")})


def _reader_of(attribute: Any) -> Reader | None:
    if isinstance(attribute, property | cached_property):
        function = attribute.fget if isinstance(attribute, property) else attribute.func
        return None if function is None or _is_deprecated(function) else attribute.__get__
    if isinstance(attribute, MemberDescriptorType):
        return attribute.__get__
    if type(attribute).__name__ in _CACHED:
        # Written in C, they ask for the class, too.
        return lambda of: attribute.__get__(of, type(of))
    return None if hasattr(type(attribute), "__get__") else lambda _of: attribute


def _is_deprecated(function: Any) -> bool:
    """Tell from its code whether a property warns when it is read: reading it to find out would be too late."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    return hasattr(function, "__deprecated__") or any("warn" in name or "deprecat" in name for name in names)
