"""Projections: the most tokens that an attempt is expected to take, judged by the arguments of the call.

A projection is set aside before the attempt starts, so it must not be too low, and what is set aside cannot be spent by
anybody else, so it should not be much too high. It also runs in front of every capped call, so it must be quick.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TypeAlias

__all__ = ["MINIMUM_OUTPUT_TOKENS", "OutputArgument", "output_argument", "text_tokens"]

MINIMUM_OUTPUT_TOKENS = 1024
"""The output that is projected where neither the call nor the link limits it and none larger has been seen."""

OutputArgument: TypeAlias = Callable[[tuple[object, ...], Mapping[str, object]], int | None]
"""From a call's arguments, positional and by name, to the output limit among them; ``None`` without one."""

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_DEPTH = 50


def text_tokens(args: tuple[object, ...], kwargs: Mapping[str, object]) -> int:
    """Input tokens, estimated from the text in the arguments of a call."""
    walk = _Walk()
    return sum(walk.tokens(value, _DEPTH) for value in args) + sum(
        walk.tokens(value, _DEPTH) for value in kwargs.values()
    )


class _Walk:
    def __init__(self) -> None:
        self.known: dict[int, int] = {}

    def tokens(self, value: object, depth: int) -> int:
        if isinstance(value, str):
            return 0 if value[:5].lower() == "data:" else len(value.encode("utf-8", "surrogatepass")) // 2 + 4
        if depth == 0 or id(value) in self.known:
            return self.known.get(id(value), 0)
        if isinstance(value, Mapping):
            self.known[id(value)] = 0
            self.known[id(value)] = sum(self.tokens(part, depth - 1) for item in value.items() for part in item)
        elif isinstance(value, list | tuple):
            self.known[id(value)] = 0
            self.known[id(value)] = sum(self.tokens(part, depth - 1) for part in value)
        return self.known.get(id(value), 0)


def output_argument(signature: inspect.Signature) -> OutputArgument:
    """How to find the output limit among the arguments of a call: worked out once, when the function is decorated.

    Takes ``max_tokens``, ``max_completion_tokens`` and ``max_output_tokens``, in this order: given by name, by place,
    or by the signature's default. Only a whole number above 0 counts.

    Args:
        signature: the caller's, without the attempt and ``self``.
    """
    parameters = signature.parameters.values()
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    finders = [_finder(signature, name) for name in _LIMITS if name in signature.parameters or takes_any]
    if not finders:
        return _no_limit

    def limit(args: tuple[object, ...], kwargs: Mapping[str, object]) -> int | None:
        for find in finders:
            value = find(args, kwargs)
            if type(value) is int and value > 0:
                return value
        return None

    return limit


def _no_limit(_args: tuple[object, ...], _kwargs: Mapping[str, object]) -> int | None:
    return None


def _finder(signature: inspect.Signature, name: str) -> Callable[[tuple[object, ...], Mapping[str, object]], object]:
    parameter = signature.parameters.get(name)
    positional = [
        each.name
        for each in signature.parameters.values()
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    place = positional.index(name) if name in positional else None
    default: object = None if parameter is None else parameter.default

    def find(args: tuple[object, ...], kwargs: Mapping[str, object]) -> object:
        if place is not None and place < len(args):
            return args[place]
        return kwargs.get(name, default)

    return find
