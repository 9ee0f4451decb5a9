"""The public names as text, one signature a line, so that a change of the API is a line in a diff.

``python -m tests.structure.public_api`` writes ``tests/public_api.txt`` anew; ``test_public_api.py`` compares.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import FunctionType
from typing import Any, Generic, Protocol, get_overloads

import attrs

import routeware
import routeware.testing

TEXT = Path(__file__).parent.parent / "public_api.txt"

SPOKEN = {"__aenter__", "__aexit__", "__call__", "__get__"}
"""Methods without a public name that users reach by syntax."""


def describe() -> str:
    """Every public name with its signature, its members, and theirs; then those for tests."""
    named = [(name, getattr(routeware, name)) for name in sorted(routeware.__all__)]
    named += [(f"testing.{name}", getattr(routeware.testing, name)) for name in sorted(routeware.testing.__all__)]
    return "\n".join(line for name, value in named for line in _describe_name(name, value)) + "\n"


def public_members(owner: type) -> dict[str, Any]:
    """What a class offers, by name, in alphabetical order; members of public bases are listed there, and not again."""
    found: dict[str, Any] = {}
    for kind in reversed(owner.__mro__):
        if kind is owner or _is_private_base(kind):
            found |= vars(kind)
    return {name: member for name, member in sorted(found.items()) if not name.startswith("_") or name in SPOKEN}


def _is_private_base(kind: type) -> bool:
    """Whether a class is ours and no public name, so that its members are public through its subclasses only."""
    ours = kind.__module__.partition(".")[0] == routeware.__name__
    return ours and kind.__name__ not in {*routeware.__all__, *routeware.testing.__all__}


def _describe_name(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, type):
        yield from _describe_class(name, value)
    elif isinstance(value, FunctionType):
        yield from _describe_function(name, value)
    else:
        yield f"{name}: {type(value).__name__}"


def _describe_class(name: str, value: type) -> Iterator[str]:
    bases = [base.__name__ for base in value.__bases__ if base not in {object, Generic}]
    yield f"class {name}({', '.join(bases)})" if bases else f"class {name}"
    if issubclass(value, Enum):
        yield from (f"    {member.name} = {member.value!r}" for member in value)
        return
    given = set()
    if _builds_itself(value):
        given = set(inspect.signature(value).parameters)
        yield f"    {_signature(value.__init__, 'def __init__')}"
    for member_name, member in public_members(value).items():
        if member_name not in given:
            yield from (f"    {line}" for line in _describe_member(value, member_name, member))


def _describe_member(owner: type, name: str, member: Any) -> Iterator[str]:
    if isinstance(member, property):
        yield f"{name}: {_annotation(inspect.signature(member.fget).return_annotation) if member.fget else '?'}"
    elif isinstance(member, classmethod | staticmethod):
        yield from (f"@{type(member).__name__} {line}" for line in _describe_function(name, member.__func__))
    elif isinstance(member, FunctionType):
        yield from _describe_function(name, member)
    else:
        yield f"{name}: {_annotation(inspect.get_annotations(owner).get(name, '?'))}"


def _describe_function(name: str, function: Any) -> Iterator[str]:
    prefix = "async def" if inspect.iscoroutinefunction(function) else "def"
    yield from (_signature(each, f"{prefix} {name}") for each in get_overloads(function) or [function])


def _builds_itself(value: type) -> bool:
    """Whether a class has a constructor of ours: protocols and plain exceptions have Python's."""
    ours = [kind for kind in value.__mro__ if kind.__module__.partition(".")[0] == routeware.__name__]
    return Protocol not in value.__bases__ and any("__init__" in vars(kind) for kind in ours)


def _signature(function: Any, start: str) -> str:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    shown = [_parameter(parameter) for parameter in parameters]
    if "/" not in shown and (last := sum(each.kind is each.POSITIONAL_ONLY for each in parameters)):
        shown.insert(last, "/")
    first = next((at for at, each in enumerate(parameters) if each.kind is each.KEYWORD_ONLY), None)
    if first is not None and not any(each.kind is each.VAR_POSITIONAL for each in parameters):
        shown.insert(first + ("/" in shown), "*")
    result = signature.return_annotation
    arrow = "" if result is inspect.Signature.empty else f" -> {_annotation(result)}"
    return f"{start}({', '.join(shown)}){arrow}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(parameter.kind.name, "")
    untyped = parameter.annotation is parameter.empty
    kind = "" if untyped else f": {_annotation(parameter.annotation)}"
    equals = "=" if untyped else " = "
    default = "" if parameter.default is parameter.empty else f"{equals}{_value(parameter.default)}"
    return f"{stars}{parameter.name}{kind}{default}"


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _value(value: Any) -> str:
    """A default as it would be written; ``...`` where it is worked out each time."""
    if value is attrs.NOTHING:
        return "..."
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    # Some objects show their address, which is another one each time.
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


if __name__ == "__main__":
    TEXT.write_text(describe(), encoding="utf-8")
