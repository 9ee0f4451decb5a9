"""Classification of an error: structure first, text last.

Each error along the cause chain is read by itself, outermost first. The first that means something decides the
category. What was spent is a second question with its own answer: an SDK's ``APIConnectionError`` says that the network
failed, and only its cause whether a connection was ever made.
"""

from __future__ import annotations

from typing import TypeVar

import attrs

from routeware.classify.names import kind_of
from routeware.classify.one_error import SETTLED, look
from routeware.classify.reading import hops, leaves_of
from routeware.classify.snapshot import FREE, Cost, ErrorSnapshot, Finding, describe, snapshot_of, text_of
from routeware.classify.texts import LONGEST, category_in_text, status_in_text
from routeware.errors import ErrorCategory

__all__ = ["classify"]

T = TypeVar("T")

_LOST = (ErrorCategory.TIMEOUT, ErrorCategory.TRANSIENT_NETWORK)
_NOTHING = Finding()
# Mistakes in handling a reply. What else an error says by itself, its reply does not change.
_STUMBLES = (None, ErrorCategory.GENERIC, ErrorCategory.SCHEMA_VALIDATION)


def classify(error: BaseException, *, with_text: bool = False, reported: ErrorSnapshot | None = None) -> ErrorSnapshot:
    """Classify an error for routing, as plain values. Never raises, and keeps nothing of the error.

    Args:
        error: what a provider function raised, of any library.
        with_text: take the error's own text (cut at 256 characters) as the message, not a line that quotes no provider.
        reported: the error that the function's last reply consisted of (``error_in_reply``), if it did. It classifies
            what the function stumbled over: a missing key, an object of the wrong type, an error of the function's own.
    """
    found = _walk(error, set())
    text, name = text_of(error) if with_text else None, kind_of(type(error)).name
    if reported is not None and found.category in _STUMBLES:
        line = describe(reported.category, reported.status, reported.code, name)
        return attrs.evolve(reported, message=text or line)
    return snapshot_of(found, name, text)


def _walk(error: BaseException, seen: set[int]) -> Finding:
    """Walk the chain: the first telling error gives the category, the best informed one the cost."""
    verdict = _NOTHING
    for hop in hops(error, seen):
        leaves = leaves_of(hop)
        found = look(hop) if leaves is None else _look_into(leaves, seen)
        verdict = found if verdict is _NOTHING else _merged(verdict, found)
        if verdict.category is not None and verdict.cost in SETTLED and not verdict.provisional:
            return verdict
    return _by_text(error, verdict) if verdict.category is None else verdict


def _merged(verdict: Finding, found: Finding) -> Finding:
    """Add one more error of the chain, further in, to what is known."""
    cost = verdict.cost if _knows_the_cost(verdict, found) else found.cost
    if verdict.category is not None and not _gives_way(verdict, found):
        return verdict._replace(cost=cost)
    if found.category is not None:
        return found._replace(cost=cost, retry_after_ms=_first(verdict.retry_after_ms, found.retry_after_ms))
    return verdict._replace(cost=cost, status=_first(verdict.status, found.status))


def _knows_the_cost(verdict: Finding, found: Finding) -> bool:
    """Tell whether an error further in says nothing new about money.

    A status may be a wrapper's: LiteLLM gives a 500 to a connection that was reset. So an answer that was lost further
    in is believed over a status; everything else that was handled on the way is history.
    """
    if verdict.cost in SETTLED or found.cost is None:
        return True
    return verdict.cost is Cost.ANSWERED and found.category not in _LOST


def _gives_way(verdict: Finding, found: Finding) -> bool:
    """Tell whether an error further in knows better: a guess gives way, and so does a lost connection to its proxy."""
    if found.category is None:
        return False
    return verdict.provisional or (
        verdict.category is ErrorCategory.TRANSIENT_NETWORK and found.category is ErrorCategory.EGRESS_BLOCKED
    )


def _look_into(leaves: tuple[BaseException, ...], seen: set[int]) -> Finding:
    """Classify a group: the category that its leaves agree on, and the cost of any of them."""
    found = [_walk(leaf, seen) for leaf in leaves if id(leaf) not in seen]
    categories = {leaf.category or ErrorCategory.GENERIC for leaf in found}
    if len(categories) != 1:
        return Finding(ErrorCategory.GENERIC, _together(found))
    statuses, codes = {leaf.status for leaf in found}, {leaf.code for leaf in found}
    return Finding(
        category=categories.pop(),
        status=statuses.pop() if len(statuses) == 1 else None,
        code=codes.pop() if len(codes) == 1 else None,
        retry_after_ms=max((leaf.retry_after_ms for leaf in found if leaf.retry_after_ms is not None), default=None),
        cost=_together(found),
    )


def _together(found: list[Finding]) -> Cost:
    return Cost.NONE if found and all(leaf.cost in FREE for leaf in found) else Cost.POSSIBLE


def _by_text(error: BaseException, verdict: Finding) -> Finding:
    """Read the texts along the chain, where nothing structured was found."""
    for hop in hops(error, set()):
        text = text_of(hop, LONGEST) or ""
        status = status_in_text(text)
        category = category_in_text(text, status)
        if category is not None:
            cost = Cost.NONE if status is not None and verdict.cost not in SETTLED else verdict.cost
            return verdict._replace(category=category, status=_first(verdict.status, status), cost=cost)
    return verdict


def _first(one: T | None, other: T | None) -> T | None:
    return other if one is None else one
