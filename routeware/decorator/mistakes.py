"""Mistakes that are seen while decorating, so that they don't wait for the outage that needs the function."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from routeware.decorator.signatures import without_evaluation
from routeware.errors import PolicyError
from routeware.policy import Link, nearest
from routeware.text import bounded

__all__ = ["check_accepts", "check_hook", "check_providers"]

logger = logging.getLogger("routeware")

_KINDS = inspect.Parameter
_BY_PLACE = (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD)
_RESTS = (_KINDS.VAR_POSITIONAL, _KINDS.VAR_KEYWORD)
_BY_NAME = (_KINDS.POSITIONAL_OR_KEYWORD, _KINDS.KEYWORD_ONLY)

# Between names of fewer letters, one edit is a large part: "a" and "b" are two providers.
_SHORTEST_TYPO = 4


def check_providers(ask: str, names: Sequence[str], chain: Sequence[Link]) -> None:
    """Look for names of providers that no link of a policy has.

    Such a name is only logged, for a view under another policy may have it.

    Raises:
        PolicyError: a name is one edit away from a link's.
    """
    known = dict.fromkeys(link.provider for link in chain)
    for name in names:
        if name in known:
            continue
        typo = next((one for one in known if _is_typo(name, one)), None)
        if typo is not None:
            raise PolicyError(f"no link has the provider {bounded(name)!r}: did you mean {typo!r}?", key="provider")
        close = nearest(name, known)
        logger.warning(
            "%s: a function is registered for the provider %r, and no link of the policy has it: %s",
            ask,
            bounded(name),
            f"did you mean {close!r}?" if close else f"its providers are {', '.join(known)}",
        )


def _is_typo(name: str, known: str) -> bool:
    """Say whether the names differ by one letter that is changed, missing or too much, or by two that are swapped."""
    if min(len(name), len(known)) < _SHORTEST_TYPO or abs(len(name) - len(known)) > 1:
        return False
    start = next((at for at, (one, other) in enumerate(zip(name, known, strict=False)) if one != other), None)
    if start is None:
        return not (name + known)[-1].isdigit() and not max(name, known, key=len)[-1].isdigit()
    mine, theirs = name[start:], known[start:]
    if mine[0].isdigit() or theirs[0].isdigit():
        return False  # numbered accounts or regions: azure-1 and azure-2
    swapped = mine[:2] == theirs[1::-1] and mine[2:] == theirs[2:]
    return swapped or mine[1:] == theirs[1:] or mine[1:] == theirs or mine == theirs[1:]


def check_hook(kind: str, hook: Callable[..., Any], ask: str, passed: Sequence[_KINDS]) -> None:
    """Refuse a hook that no call can satisfy: neither one with all arguments nor one with the required ones.

    Raises:
        TypeError: names what it is called with, and what it takes.
    """
    try:
        taken = without_evaluation(hook)
    except ValueError:  # a function of C may keep its signature to itself
        return
    required = [one for one in passed if one.default is _KINDS.empty]
    if not _takes(taken, passed) and not _takes(taken, required):
        name = getattr(hook, "__name__", type(hook).__name__)
        raise TypeError(
            f"the {kind} hook of {ask} is called with {_shown(passed)}, and {name} takes"
            f" {_shown(list(taken.parameters.values()))}"
        )


def _takes(signature: inspect.Signature, passed: Sequence[_KINDS]) -> bool:
    try:
        signature.bind(
            *[None for one in passed if one.kind in _BY_PLACE],
            **{one.name: None for one in passed if one.kind is _KINDS.KEYWORD_ONLY},
        )
    except TypeError:
        return False
    return True


def _shown(parameters: Sequence[_KINDS]) -> str:
    return f"({', '.join(str(one.replace(annotation=_KINDS.empty)) for one in parameters)})"


def check_accepts(name: str, taken: Sequence[_KINDS], ask: str, passed: Sequence[_KINDS]) -> None:
    """Refuse a function that cannot be called as a routed function is.

    Args:
        name: what it is called.
        taken: what it takes, without its attempt.
        ask: the name of the routed function.
        passed: what callers of that may pass.

    Raises:
        TypeError: names the first difference.
    """
    difference = next(_differences(taken, passed), None)
    if difference is not None:
        raise TypeError(f"{name} cannot be called as {ask} is: {difference}")


def _differences(taken: Sequence[_KINDS], passed: Sequence[_KINDS]) -> Iterator[str]:
    rests = {one.kind for one in taken if one.kind in _RESTS}
    places = [one for one in taken if one.kind in _BY_PLACE]
    names = {one.name: one for one in taken if one.kind in _BY_NAME}
    met: set[str] = set()
    for place, one in enumerate(passed):
        if one.kind in _RESTS:
            if one.kind not in rests:
                yield f"it has no {one}"
            return  # further arguments cannot be checked
        by_place = places[place] if one.kind in _BY_PLACE and place < len(places) else None
        by_name = names.get(one.name) if one.kind in _BY_NAME else None
        yield from _missing(one, by_place, by_name, rests)
        met |= {found.name for found in (by_place, by_name) if found is not None}
        for found in (by_place, by_name):
            if found is not None and found.default is _KINDS.empty and one.default is not _KINDS.empty:
                yield f"it requires {found.name!r}, which callers may leave out"
    for one in taken:
        if one.name not in met and one.kind not in _RESTS and one.default is _KINDS.empty:
            yield f"it requires {one.name!r}, which callers don't pass"


def _missing(one: _KINDS, by_place: _KINDS | None, by_name: _KINDS | None, rests: AbstractSet[object]) -> Iterator[str]:
    """Say why an argument finds no parameter: passed by its place, passed by its name, or the two differ."""
    if one.kind in _BY_NAME and by_name is None and _KINDS.VAR_KEYWORD not in rests:
        yield f"it has no parameter {one.name!r}"
    if one.kind in _BY_PLACE and by_place is None and _KINDS.VAR_POSITIONAL not in rests:
        yield f"its {one.name!r} cannot be passed by its place"
    if by_name is not None and by_place is not None and by_name is not by_place:
        yield f"its parameter {one.name!r} is in another place"
