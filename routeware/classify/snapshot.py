"""Snapshots of errors: plain values, and a line that quotes no provider. And the findings that they are made of."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import attrs

from routeware.errors import ErrorCategory

__all__ = ["FREE", "Cost", "ErrorSnapshot", "Finding", "describe", "snapshot_of", "text_of"]

_TEXT_LIMIT = 256


@attrs.frozen(kw_only=True)
class ErrorSnapshot:
    """One error, as far as routing, money and telemetry need to know it.

    Attributes:
        category: what it means for routing.
        message: category, status, code and class of the error; its own text (cut at 256 characters) only where that was
            asked for.
        status: the HTTP status that the provider answered with.
        code: the provider's machine code.
        retry_after_ms: how long the provider asked to be left alone.
        may_have_cost: false where the provider answered with an error or was never reached.
    """

    category: ErrorCategory
    message: str
    status: int | None = None
    code: str | None = None
    retry_after_ms: float | None = None
    may_have_cost: bool = True


class Cost(Enum):
    """The evidence of an error about money; all but the first two give way to that of its cause."""

    NONE = "the provider answered with an error, or was never reached"
    POSSIBLE = "something was under way"
    ANSWERED = "an error status came back, unless an answer was lost further in and the status is a wrapper's"
    NONE_BY_ITSELF = "nothing was spent, unless the cause knows better"
    POSSIBLE_BY_ITSELF = "something was under way, unless the cause knows better"


class Finding(NamedTuple):
    """The findings on one error, on a chain of them, or on all errors of a class.

    Attributes:
        category: its category, where it has one.
        cost: whether money may have been spent.
        status: the HTTP status.
        code: the machine code, where it may be shown.
        retry_after_ms: the time to wait that it names.
        provisional: the category is a guess, and gives way to one further in.
    """

    category: ErrorCategory | None = None
    cost: Cost | None = None
    status: int | None = None
    code: str | None = None
    retry_after_ms: float | None = None
    provisional: bool = False


FREE = (Cost.NONE, Cost.NONE_BY_ITSELF, Cost.ANSWERED)


def snapshot_of(found: Finding, kind: str, text: str | None = None) -> ErrorSnapshot:
    """Turn the findings on an error of class ``kind`` into a snapshot, with ``text`` in place of our own line."""
    category = found.category or ErrorCategory.GENERIC
    return ErrorSnapshot(
        category=category,
        message=text or describe(category, found.status, found.code, kind),
        status=found.status,
        code=found.code,
        retry_after_ms=found.retry_after_ms,
        may_have_cost=found.cost not in FREE,
    )


def describe(category: ErrorCategory, status: int | None, code: str | None, kind: str) -> str:
    """Write ``rate_limit 429 rate_limit_exceeded openai.RateLimitError``, without any text of the provider's."""
    return " ".join([str(part) for part in (category, status, code, kind) if part is not None])


def text_of(error: BaseException, limit: int = _TEXT_LIMIT) -> str | None:
    """Read the error's own text, cut at ``limit`` characters; ``None`` if it has none or cannot give it."""
    try:
        return str.__str__(str(error))[:limit] or None
    except Exception:  # noqa: BLE001  an error that cannot be printed is still an error
        return None
