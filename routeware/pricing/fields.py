"""The plain fields of a foreign object, read without running any of its code.

Fields are what a mapping holds, or what an instance keeps in its own ``__dict__`` or slots. Properties and
``__getattr__`` are left alone: a deprecated one warns, a lazy one does work, and a mock's answers to everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, MemberDescriptorType
from typing import Any

__all__ = ["NO_FIELDS", "fields", "given_fields"]

NO_FIELDS: Mapping[str, Any] = MappingProxyType({})

_PLAIN = (str, bytes, int, float, list, tuple)


def fields(value: object) -> Mapping[str, Any]:
    """Return all fields of a mapping or object, defaults among them; none for anything else."""
    if isinstance(value, dict):
        return value
    if value is None or isinstance(value, _PLAIN):
        return NO_FIELDS
    if _is_pydantic(value):
        return _with_extra(value)
    return _other_fields(value)


def given_fields(value: object) -> Mapping[str, Any]:
    """Return the fields without those of a pydantic model that hold a default because no value was given.

    A default is not a report: the counts of Mistral's SDK are 0 until they are set.
    """
    if not _is_pydantic(value):
        return fields(value)
    own = _with_extra(value)
    given = _given_names(value)
    return own if len(own) == len(given) else {name: own[name] for name in own if name in given}


def _is_pydantic(value: object) -> bool:
    return isinstance(getattr(type(value), "__pydantic_fields_set__", None), MemberDescriptorType)


def _with_extra(model: Any) -> Mapping[str, Any]:
    own: dict[str, Any] = model.__dict__
    extra: dict[str, Any] | None = model.__pydantic_extra__
    return own | extra if extra else own


def _given_names(model: Any) -> set[str]:
    names: set[str] = model.__pydantic_fields_set__
    extra: dict[str, Any] | None = model.__pydantic_extra__
    return names | extra.keys() if extra else names


def _other_fields(value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    own = getattr(value, "__dict__", None)
    return own if isinstance(own, dict) else _slots(value)


def _slots(value: object) -> Mapping[str, Any]:
    """Return what an object without a ``__dict__`` keeps in its slots."""
    kind = type(value)
    names = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    held = [name for name in names if isinstance(getattr(kind, name, None), MemberDescriptorType)]
    return {name: getattr(value, name) for name in held if hasattr(value, name)}
