"""From an error to a decision: whether the next link is tried, and what the caller's hook may say about it.

Most errors that a chain fails over on carry a status that decides by itself, whatever code or text comes with it. Then
nothing else need be read before the next link starts (the fast path); the full classification is made when a record or
a span wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TypeAlias

import attrs

from routeware.classify.meanings import status_of
from routeware.classify.names import error_type, kind_of
from routeware.classify.reading import View, cause_of, context_of, hides_context, remembered
from routeware.classify.snapshot import ErrorSnapshot, describe, text_of
from routeware.classify.structural import classify
from routeware.errors import CATEGORY_ALIASES, ErrorCategory
from routeware.policy import FailoverRules

__all__ = ["ClassifyHook", "eligible", "failed_over_by_status", "snapshot_from_hook", "statuses_taken"]

ClassifyHook: TypeAlias = Callable[[BaseException], ErrorCategory | str | ErrorSnapshot | None]
"""The caller's own classification: a category (or its name), a whole snapshot, or ``None`` for "you do it"."""

_DEFAULT_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 529})
_ALL_STATUSES = frozenset(range(100, 600))
_DEFAULT_CATEGORIES = frozenset(
    {
        *(ErrorCategory.RATE_LIMIT, ErrorCategory.QUOTA, ErrorCategory.OVERLOADED, ErrorCategory.SERVER_ERROR),
        *(ErrorCategory.TRANSIENT_NETWORK, ErrorCategory.CANCELLED, ErrorCategory.CIRCUIT_OPEN),
    }
)


def eligible(snapshot: ErrorSnapshot, rules: FailoverRules, *, by_hook: bool = False) -> bool:
    """Tell whether the next link is tried after such an error.

    Where the caller's own hook gave the category (``by_hook``), it decides by itself, whatever the status.
    """
    statuses, kinds = rules.on_status, rules.on_error_kinds
    if kinds is None:
        kinds = ("default",) if statuses is None else ()
    return (
        (statuses is not None and snapshot.status in statuses)
        or snapshot.category in (ErrorCategory.TIMEOUT, ErrorCategory.REJECTED)
        or "any" in kinds
        or snapshot.category.value in kinds
        or ("default" in kinds and _by_default(snapshot, by_hook=by_hook))
    )


def statuses_taken(rules: FailoverRules) -> frozenset[int]:
    """List the statuses that are failed over on, whatever else an error says."""
    kinds = rules.on_error_kinds
    if kinds is not None and "any" in kinds:
        return _ALL_STATUSES
    given = frozenset(rules.on_status or ())
    default = "default" in kinds if kinds is not None else rules.on_status is None
    return given | _DEFAULT_STATUSES if default else given


def _by_default(snapshot: ErrorSnapshot, *, by_hook: bool) -> bool:
    return snapshot.category in _DEFAULT_CATEGORIES or (not by_hook and snapshot.status in _DEFAULT_STATUSES)


def snapshot_from_hook(
    answer: ErrorCategory | str | ErrorSnapshot | None,
    error: BaseException,
    *,
    with_text: bool = False,
    reported: ErrorSnapshot | None = None,
) -> ErrorSnapshot:
    """Turn the answer of the caller's hook into a snapshot. A category replaces that of the structural classification.

    Raises:
        TypeError: the answer is none of what a hook may give.
        ValueError: it names no category.
    """
    if isinstance(answer, ErrorSnapshot):
        return answer
    found = classify(error, with_text=with_text, reported=reported)
    if answer is None:
        return found
    category = _category(answer)
    message = (text_of(error) if with_text else None) or describe(category, found.status, found.code, error_type(error))
    return attrs.evolve(found, category=category, message=message)


def _category(answer: object) -> ErrorCategory:
    """Find the category of a name. An unknown name is not quoted: it may be the provider's text."""
    if not isinstance(answer, str):
        raise TypeError(f"a classify hook gives a category, a snapshot or None, not a {type(answer).__name__}")
    name = answer.strip().lower()
    if name in CATEGORY_ALIASES:
        return CATEGORY_ALIASES[name]
    try:
        return ErrorCategory(name)
    except ValueError:
        raise ValueError(f"a classify hook named no category; there are {', '.join(ErrorCategory)}") from None


# Their classes say that there was no answer: a status next to them may be the SDK's own, and money may have been spent.
_UNSURE = frozenset(
    {
        *(ErrorCategory.TIMEOUT, ErrorCategory.TRANSIENT_NETWORK),
        *(ErrorCategory.SCHEMA_VALIDATION, ErrorCategory.EGRESS_BLOCKED),
    }
)
_READ_BY_CLASS = ("response", "__dict__", "__getattribute__")


def failed_over_by_status(error: BaseException, taken: AbstractSet[int]) -> bool:
    """Tell whether a provider answered with a status of at least 400 that is failed over on in any case.

    ``True`` is certain: the full classification agrees that the error fails over, and that it cost nothing. ``False``
    says only that the status does not decide, and the error has to be classified. ``taken`` is from ``statuses_taken``.
    """
    is_sure, is_plain, is_bare = _type_of(type(error))
    # An error behind may know better: the answer that was lost behind a wrapper's status.
    if not is_sure or cause_of(error) is not None or (context_of(error) is not None and not hides_context(error)):
        return False
    if is_plain:
        # The commonest places, where the class has nothing to add: a fifth of the time that the careful way takes.
        own = error.__dict__
        status = own.get("status_code")
        if status is None and is_bare:
            status = own.get("status")
        if type(status) is int and status in taken:
            return status >= 400 and not isinstance(own.get("response"), BaseException)
    view = View(error)
    found = status_of(view) or 0
    # Google's older clients keep the gRPC error there, which knows better, too.
    return found in taken and found >= 400 and not isinstance(view.get("response"), BaseException)


@remembered
def _type_of(kind: type) -> tuple[bool, bool, bool]:
    """Say whether such an error's status is the provider's, and whether the class leaves response and status alone."""
    known = kind_of(kind)
    unsure = known.proxy or (known.meaning is not None and known.meaning.category in _UNSURE)
    is_sure = not unsure and not issubclass(kind, BaseExceptionGroup)
    names = {name for base in kind.__mro__ if base.__module__ != "builtins" for name in vars(base)}
    return is_sure, names.isdisjoint(_READ_BY_CLASS), "status_code" not in names
