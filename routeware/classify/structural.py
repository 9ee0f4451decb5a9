"""From an error to what it means: structure first, text last.

Each error along the cause chain is looked at by itself, outermost first: its status, its codes, its class. The first
that means something decides the category. What was spent is a second question with its own answer: an SDK's
``APIConnectionError`` says that the network failed, and only its cause whether a connection was ever made.
"""

from __future__ import annotations

import errno
from typing import NamedTuple, TypeVar

from routeware.classify.chain import arguments_of, cause_of, errno_of, hops, leaves_of
from routeware.classify.codes import telling_code
from routeware.classify.names import UNREACHED, Cost, Kind, Meaning, kind_of
from routeware.classify.reading import View, as_int, as_text
from routeware.classify.snapshot import ErrorSnapshot, describe, text_of
from routeware.classify.statuses import category_of_status, status_of
from routeware.classify.texts import LONGEST, category_in_text, refined_by_text, status_in_text, words_of
from routeware.classify.waiting import retry_after_ms
from routeware.errors import ErrorCategory

__all__ = ["classify"]

T = TypeVar("T")

_UNREACHABLE = frozenset(
    number
    for number, name in errno.errorcode.items()
    if name.removeprefix("WSA") in {"ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "EADDRNOTAVAIL"}
)
_HANDSHAKE = ("HANDSHAKE", "CERTIFICATE", "WRONG_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS", "UNKNOWN_CA")
_SETTLED = (Cost.NONE, Cost.POSSIBLE)
_FREE = (Cost.NONE, Cost.NONE_BY_ITSELF)


class Finding(NamedTuple):
    """What one error, or a chain of them, says."""

    category: ErrorCategory | None = None
    status: int | None = None
    code: str | None = None
    retry_after_ms: float | None = None
    cost: Cost | None = None


_NOTHING = Finding()


def classify(error: BaseException, *, with_text: bool = False) -> ErrorSnapshot:
    """What ``error`` means for routing, as plain values. Never raises, and keeps nothing of the error.

    Args:
        error: what a provider function raised, of any library.
        with_text: take the error's own text (cut at 256 characters) as the message, not a line that quotes nobody.
    """
    found = _judge(error, set())
    category = found.category or ErrorCategory.GENERIC
    message = text_of(error) if with_text else None
    return ErrorSnapshot(
        category=category,
        message=message or describe(category, found.status, found.code, kind_of(type(error)).name),
        status=found.status,
        code=found.code,
        retry_after_ms=found.retry_after_ms,
        may_have_cost=found.cost not in _FREE,
    )


def _judge(error: BaseException, seen: set[int]) -> Finding:
    """The chain's verdict: what the first telling error means, and what the most knowing one says about money."""
    verdict = _NOTHING
    for hop in hops(error, seen):
        leaves = leaves_of(hop)
        found = _look(hop) if leaves is None else _look_into(leaves, seen)
        verdict = found if verdict is _NOTHING else _merged(verdict, found)
        if verdict.category is not None and verdict.cost in _SETTLED:
            return verdict
    return _by_text(error, verdict) if verdict.category is None else verdict


def _merged(verdict: Finding, found: Finding) -> Finding:
    """What is known with one more error of the chain, further in."""
    cost = verdict.cost if verdict.cost in _SETTLED or found.cost is None else found.cost
    if verdict.category is not None:
        return verdict._replace(cost=cost)
    if found.category is not None:
        return found._replace(cost=cost, retry_after_ms=_first(verdict.retry_after_ms, found.retry_after_ms))
    return verdict._replace(cost=cost, status=_first(verdict.status, found.status))


def _look_into(leaves: tuple[BaseException, ...], seen: set[int]) -> Finding:
    """A group: of the category that its leaves agree on. It may have cost what any of them may have."""
    found = [_judge(leaf, seen) for leaf in leaves if id(leaf) not in seen]
    categories = {leaf.category or ErrorCategory.GENERIC for leaf in found}
    if len(categories) != 1:
        return Finding(ErrorCategory.GENERIC, cost=_together(found))
    statuses, codes = {leaf.status for leaf in found}, {leaf.code for leaf in found}
    return Finding(
        category=categories.pop(),
        status=statuses.pop() if len(statuses) == 1 else None,
        code=codes.pop() if len(codes) == 1 else None,
        retry_after_ms=max((leaf.retry_after_ms for leaf in found if leaf.retry_after_ms is not None), default=None),
        cost=_together(found),
    )


def _together(found: list[Finding]) -> Cost:
    return Cost.NONE if found and all(leaf.cost in _FREE for leaf in found) else Cost.POSSIBLE


def _look(error: BaseException) -> Finding:
    """What one error says, without what is behind it."""
    view, kind = View(error), kind_of(type(error))
    status = status_of(view)
    by_status = None if status is None else category_of_status(status)
    if status is not None and by_status is not None:
        return _answered(error, view, status, by_status)
    return _unanswered(error, view, kind, status)


def _answered(error: BaseException, view: View, status: int, by_status: ErrorCategory) -> Finding:
    """The provider answered with an error: its status, unless a code or, where there is none, a phrase says more."""
    code = telling_code(view)
    if code is not None and code.specific and code.category is not None:
        category = code.category
    else:
        category = refined_by_text(status, view, arguments_of(error)) or by_status
    return Finding(category, status, None if code is None else code.text, retry_after_ms(view), Cost.NONE)


def _unanswered(error: BaseException, view: View, kind: Kind, status: int | None) -> Finding:
    """No error status: a code that the provider sent all the same, or what the class of the error says."""
    meaning = (_of_system(error, view, kind.meaning) if kind.system else None) or kind.meaning
    # What was being parsed is an answer: a ``type`` in it is the answer's, and so is a status below 400.
    parsing = meaning is not None and meaning.category is ErrorCategory.SCHEMA_VALIDATION
    code = None if parsing else telling_code(view, known_only=kind.own_words or status is not None)
    if code is not None and (code.category is not None or meaning is None):
        return Finding(code.category, status, code.text, retry_after_ms(view), Cost.NONE_BY_ITSELF)
    if meaning is not None:
        return Finding(
            meaning.category, status, None if code is None else code.text, retry_after_ms(view), meaning.cost
        )
    stumbled = status is not None or (kind.stumble and cause_of(error) is None)
    return Finding(None, status, None, retry_after_ms(view), Cost.POSSIBLE if stumbled else None)


def _of_system(error: BaseException, view: View, meaning: Meaning | None) -> Meaning | None:
    """The operating system's own errors, where their class leaves the cost open: no way to the host, no TLS."""
    if meaning is not None and meaning.cost in _SETTLED:
        return None
    reason = as_text(view.own.get("reason")) or ""
    unreached = (
        as_int(errno_of(error)) in _UNREACHABLE
        or any(word in reason for word in _HANDSHAKE)
        or "Connect call failed" in words_of(view, arguments_of(error))
    )
    return UNREACHED if unreached else None


def _by_text(error: BaseException, verdict: Finding) -> Finding:
    """Nothing structured was found: what the texts along the chain say."""
    for hop in hops(error, set()):
        text = text_of(hop, LONGEST) or ""
        status = status_in_text(text)
        category = category_in_text(text, status)
        if category is not None:
            cost = Cost.NONE if status is not None and verdict.cost not in _SETTLED else verdict.cost
            return verdict._replace(category=category, status=_first(verdict.status, status), cost=cost)
    return verdict


def _first(one: T | None, other: T | None) -> T | None:
    return other if one is None else one
