"""Parts of a policy from mappings, and back: names are checked here, values by the parts themselves."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ParamSpec, TypeVar

import attrs

from routeware.errors import PolicyError
from routeware.policy.checks import nearest, refusal, shown, within
from routeware.text import bounded

__all__ = ["keywords_named", "named", "names_nearest", "part", "plain"]

_LONGEST_KEY = 100

P = ParamSpec("P")
T = TypeVar("T")
Part = TypeVar("Part", bound=attrs.AttrsInstance)


def keywords_named(call: Callable[P, T], elsewhere: Mapping[str, str] | None = None, where: str = "") -> Callable[P, T]:
    """Refuse a keyword argument that ``call`` does not take with the nearest one that it does.

    Where all arguments are keyword-only, one that is passed by its position is refused with their names.

    Args:
        call: a function, a method, or a class's ``__init__``.
        elsewhere: full paths of settings, by name, that a user may expect here.
        where: what such a path is a path in.
    """
    parameters = [one for one in inspect.signature(call).parameters.values() if one.name != "self"]
    known = [one.name for one in parameters]
    takes_names_only = all(one.kind is one.KEYWORD_ONLY for one in parameters)

    @functools.wraps(call)
    def named_call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except TypeError:
            wrong = next((name for name in kwargs if name not in known), None)
            if wrong is None:
                if takes_names_only and len(args) > 1:
                    what = call.__qualname__.removesuffix(".__init__")
                    required = [one.name for one in parameters if one.default is one.empty] or known[:1]
                    shown_call = f"{what}({', '.join(f'{name}=...' for name in required)})"
                    raise TypeError(f"{what} takes its settings by name: {shown_call}") from None
                raise
        paths = {**(elsewhere or {}), **{name: name for name in known}}
        close = nearest(wrong, paths)
        place = where if close and close not in known else ""
        advice = f"did you mean {paths[close]!r}{place}?" if close else f"known are {', '.join(known)}"
        raise TypeError(f"there is no setting {bounded(wrong, _LONGEST_KEY)!r}; {advice}")

    return named_call


def names_nearest(kind: type[T], elsewhere: Mapping[str, str] | None = None) -> type[T]:
    """Let a class refuse a keyword argument that it does not take with the nearest one that it does."""
    kind.__init__ = keywords_named(kind.__init__, elsewhere)  # type: ignore[method-assign]  # a class has no other place for it
    return kind


def part(kind: type[Part], value: object, key: str) -> Part:
    """Return a part of a policy that was given as itself or as a mapping.

    Raises:
        PolicyError: it is neither, a name or a value in it is wrong; the key begins with ``key``.
    """
    if isinstance(value, kind):
        return value
    with within(key):
        return kind(**named(kind, value))


def named(kind: type[attrs.AttrsInstance], value: object, elsewhere: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a mapping as keyword arguments for ``kind``: every name known, every required one there.

    Args:
        kind: the class whose settings these are.
        value: what was given.
        elsewhere: full paths of settings, by name, that a user may expect here.

    Raises:
        PolicyError: not a mapping, a name that is unknown or no text, a required one that is missing.
    """
    if not isinstance(value, Mapping):
        raise refusal(None, f"a mapping of settings or a {kind.__name__}", value)
    fields = attrs.fields(kind)
    paths = {**(elsewhere or {}), **{field.name: field.name for field in fields}}
    for name, setting in value.items():
        if not isinstance(name, str):
            raise PolicyError(f"settings are named by texts, not by {shown(name)}")
        if paths.get(name) != name:
            raise _unknown(name, setting, paths)
    for field in fields:
        if field.default is attrs.NOTHING and field.name not in value:
            raise PolicyError("is required and was not given", key=field.name)
    return dict(value)


def _unknown(name: str, setting: object, paths: Mapping[str, str]) -> PolicyError:
    close = nearest(name, paths)
    advice = f"did you mean {paths[close]!r}?" if close else f"known are {', '.join(paths.values())}"
    return PolicyError(f"there is no such setting (given {shown(setting)}); {advice}", key=bounded(name, _LONGEST_KEY))


def plain(whole: attrs.AttrsInstance) -> dict[str, Any]:
    """Return a part as plain JSON: what is required, and what differs from the default."""
    given = attrs.asdict(whole, recurse=False)
    required = {field.name for field in attrs.fields(type(whole)) if field.default is attrs.NOTHING}
    assumed = attrs.asdict(type(whole)(**{name: given[name] for name in required}), recurse=False)
    return {name: _json(value) for name, value in given.items() if name in required or value != assumed[name]}


def _json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_json(member) for member in value]
    return plain(value) if attrs.has(type(value)) else value
