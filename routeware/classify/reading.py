"""Other people's objects, read without trusting them: attributes, mappings, the errors behind an error, texts.

An error may answer to every name, warn when it is looked at, raise from a property or lie about its class. So the
instance's own attributes come first, then what its class defines under a few known names; nothing here calls
``__getattr__``, tests a value for truth, or lets anything out that reading raised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
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
    "defines",
    "entry",
    "errno_of",
    "has_more_behind",
    "hops",
    "ignoring_case",
    "is_mapping",
    "is_sequence",
    "leaves_of",
    "remembered",
]


class Pattern:
    """A regular expression: one, or several alternatives."""

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


T = TypeVar("T")

Reader = Callable[[object], object]

_MOST_TYPES = 512
_NAMES = (
    "status_code",
    "status",
    "http_status",
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
    "reason",
    "error",
    "detail",
)
_CACHED = frozenset({"reify", "under_cached_property", "cached_property"})
"""Properties that aiohttp computes once, by the names of their types in its releases."""
_CONSTANTS = ("code", "grpc_status_code")


def remembered(make: Callable[[type], T]) -> Callable[[type], T]:
    """Keep what ``make`` gives for a type: most errors are of few types.

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


def defines(kind: type, *names: str) -> bool:
    """Tell whether a class or one of its bases defines one of ``names``; Python's own classes do not count."""
    return any(name in vars(base) for base in kind.__mro__ if base.__module__ != "builtins" for name in names)


class View:
    """The attributes of one object: its own ones first, then those of its class.

    Attributes:
        own: the instance's own ``__dict__``; empty where it has none that can be read.
        get: gives the value of one of the known names; ``None`` if there is none, or reading it failed.
    """

    __slots__ = ("_kind", "get", "own")

    def __init__(self, of: object) -> None:
        self._kind = type(of)
        self.own = _own_attributes(of)
        readers = _readers_of(type(of))
        self.get: Callable[[str], object] = partial(_get, of, self.own, readers) if readers else self.own.get

    def constant(self, name: str) -> object:
        """Return a value that is in the class itself, as ``google.api_core`` keeps its statuses.

        A property of that name is not asked: ``code`` is mostly a deprecated alias.
        """
        return _constants_of(self._kind).get(name)


def attempt(reader: Reader, of: object) -> object:
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
    """Find out how to read the known names that a class defines. Python's own classes mean other things by them."""
    readers: dict[str, Reader] = {}
    for name in _NAMES:
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        reader = None if owner is None or owner.__module__ == "builtins" else _reader_of(vars(owner)[name])
        if reader is not None:
            readers[name] = reader
    return MappingProxyType(readers)


@remembered
def _constants_of(kind: type) -> Mapping[str, object]:
    found: dict[str, object] = {}
    for name in _CONSTANTS:
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        if owner is not None and not hasattr(type(vars(owner)[name]), "__get__"):
            found[name] = vars(owner)[name]
    return MappingProxyType(found)


def _reader_of(attribute: object) -> Reader | None:
    if isinstance(attribute, property):
        return None if attribute.fget is None or _is_deprecated(attribute.fget) else attribute.__get__
    if isinstance(attribute, cached_property):
        return None if _is_deprecated(attribute.func) else attribute.__get__
    if isinstance(attribute, MemberDescriptorType):
        return attribute.__get__
    if type(attribute).__name__ in _CACHED:
        return partial(_get_cached, attribute)
    return None if hasattr(type(attribute), "__get__") else partial(_constant, attribute)


def _get_cached(attribute: Any, of: object) -> object:
    """Read a property that is written in C, and asks for the class, too."""
    return attribute.__get__(of, type(of))


def _constant(value: object, _of: object) -> object:
    return value


def _is_deprecated(function: Any) -> bool:
    """Tell from its code whether a property warns when it is read: reading it to find out would be too late."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    return hasattr(function, "__deprecated__") or any("warn" in name or "deprecat" in name for name in names)


_MOST = 128

# Read through the base class: a subclass may hide them behind a property of its own.
_CAUSE = vars(BaseException)["__cause__"].__get__
_CONTEXT = vars(BaseException)["__context__"].__get__
_SUPPRESSED = vars(BaseException)["__suppress_context__"].__get__
_ARGUMENTS = vars(BaseException)["args"].__get__
_ERRNO = vars(OSError)["errno"].__get__
_LEAVES = vars(BaseExceptionGroup)["exceptions"].__get__


def hops(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """Walk from an error to its causes, outermost first. ``seen`` stops circles, also those through groups."""
    hop: BaseException | None = error
    while hop is not None and id(hop) not in seen and len(seen) < _MOST:
        seen.add(id(hop))
        yield hop
        hop = _next(hop)


def has_more_behind(error: BaseException) -> bool:
    """Tell whether an error has a cause, or was raised while another one was being handled."""
    if _CAUSE(error) is not None:
        return True
    return _CONTEXT(error) is not None and not _SUPPRESSED(error)


def cause_of(error: BaseException) -> BaseException | None:
    """Read the error that it was explicitly raised from."""
    found: BaseException | None = _CAUSE(error)
    return found


def context_of(error: BaseException) -> BaseException | None:
    """Read the error that was being handled when it was raised, even if ``from None`` says that it does not matter."""
    found: BaseException | None = _CONTEXT(error)
    return found


def arguments_of(error: BaseException) -> tuple[object, ...]:
    """Read the arguments that it was made with."""
    found: tuple[object, ...] = _ARGUMENTS(error)
    return found


def errno_of(error: BaseException) -> object:
    """Read the operating system's number of an ``OSError``; ``None`` for other errors."""
    found: object = _ERRNO(error) if issubclass(type(error), OSError) else None
    return found


def leaves_of(error: BaseException) -> tuple[BaseException, ...] | None:
    """List the errors directly inside a group; ``None`` if its class is no group."""
    found: tuple[BaseException, ...] | None = _LEAVES(error) if issubclass(type(error), BaseExceptionGroup) else None
    return found


def _next(error: BaseException) -> BaseException | None:
    found = cause_of(error)
    if found is None and not _SUPPRESSED(error):
        found = context_of(error)
    return found
