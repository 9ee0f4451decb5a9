"""A past call, from a record or from spans: how each of its attempts ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from routeware.classify import ErrorSnapshot
from routeware.errors import ErrorCategory
from routeware.lab.calls import AttemptBar, CallTree
from routeware.records import AttemptRecord, AttemptStatus, AttemptTrigger, CallRecord

__all__ = ["PastAttempt", "PastCall", "past_calls"]

_OWN_TIMEOUT = "AttemptTimeoutError"
_CATEGORIES = {category.value: category for category in ErrorCategory}

Ending = Literal["answered", "failed", "cut"]


@attrs.frozen(kw_only=True)
class PastAttempt:
    """One attempt of a past call.

    Attributes:
        label: the link's label.
        first: True if it was the first of its call.
        started_ms: when it started, after its call did.
        duration_ms: how long it took, or until it was cut off.
        ending: ``answered`` and ``failed`` were seen to their end; ``cut`` would have gone on.
        error: how it failed.
        cost_usd: what it cost; ``None`` where that is unknown.
        estimated: True if the cost is a projection.
    """

    label: str
    first: bool
    started_ms: float
    duration_ms: float
    ending: Ending
    error: ErrorSnapshot | None
    cost_usd: float | None
    estimated: bool


@attrs.frozen(kw_only=True)
class PastCall:
    """A past call.

    Attributes:
        started_unix_s: when it was entered, in seconds since 1970; ``None`` where that is unknown.
        outcome: how it ended.
        duration_ms: how long it took.
        cost_usd: what was settled; ``None`` where that is unknown.
        uncertain_usd: what may have been spent on top; ``None`` where that is unknown.
        attempts: what was started, in order; skipped links left out.
    """

    started_unix_s: float | None
    outcome: str | None
    duration_ms: float
    cost_usd: float | None
    uncertain_usd: float | None
    attempts: tuple[PastAttempt, ...]


def past_calls(calls: Iterable[CallRecord | CallTree]) -> list[PastCall]:
    """Return what is known of each call."""
    return [_of_record(call) if isinstance(call, CallRecord) else _of_tree(call) for call in calls]


# A stream's call is over when its first item is there: that is what is raced for. The outcome of the stream afterwards
# is the winner's alone, whatever the policy.


def _of_record(call: CallRecord) -> PastCall:
    return PastCall(
        started_unix_s=call.started_unix_s,
        outcome=call.outcome if call.first_item_ms is None else "succeeded",
        duration_ms=call.duration_ms if call.first_item_ms is None else call.first_item_ms,
        cost_usd=call.cost_usd,
        uncertain_usd=call.uncertain_usd,
        attempts=tuple(_of_attempt(each) for each in call.attempts if each.status is not AttemptStatus.SKIPPED),
    )


def _of_attempt(attempt: AttemptRecord) -> PastAttempt:
    kind = "" if attempt.error is None else attempt.error.message
    streamed = attempt.first_item_ms is not None and attempt.status is not AttemptStatus.REJECTED
    return PastAttempt(
        label=attempt.label,
        first=attempt.trigger is AttemptTrigger.INITIAL,
        started_ms=attempt.started_ms,
        duration_ms=attempt.duration_ms if attempt.first_item_ms is None else attempt.first_item_ms,
        ending="answered" if streamed else _ending(attempt.status, attempt.error, kind),
        error=None if streamed else attempt.error or _rejected(attempt.status),
        cost_usd=attempt.cost_usd,
        estimated=attempt.cost_source == "estimated",
    )


def _of_tree(call: CallTree) -> PastCall:
    first_items = [bar.started_ms + bar.first_item_ms for bar in call.attempts if bar.first_item_ms is not None]
    return PastCall(
        started_unix_s=None if call.started_at_ms is None else call.started_at_ms / 1000,
        outcome="succeeded" if first_items else call.outcome,
        duration_ms=min(first_items, default=call.duration_ms),
        cost_usd=call.cost_usd,
        uncertain_usd=call.uncertain_usd,
        attempts=tuple(
            _of_bar(bar) for bar in call.attempts if bar.status is not AttemptStatus.SKIPPED and bar.status is not None
        ),
    )


def _of_bar(bar: AttemptBar) -> PastAttempt:
    error = None
    if bar.status is AttemptStatus.FAILED:
        error = ErrorSnapshot(
            category=_CATEGORIES.get(bar.error_category or "", ErrorCategory.GENERIC),
            message=bar.error_category or "",
            status=bar.error_status,
            retry_after_ms=bar.retry_after_ms,
            may_have_cost=bar.cost_usd is None or bar.uncertain,
        )
    assert bar.status is not None
    streamed = bar.first_item_ms is not None and bar.status is not AttemptStatus.REJECTED
    return PastAttempt(
        label=bar.label,
        first=bar.trigger is AttemptTrigger.INITIAL,
        started_ms=bar.started_ms,
        duration_ms=bar.answer_ms,
        ending="answered" if streamed else _ending(bar.status, error, bar.error_type or ""),
        error=None if streamed else error or _rejected(bar.status),
        cost_usd=bar.cost_usd,
        estimated=bar.uncertain,
    )


def _rejected(status: AttemptStatus) -> ErrorSnapshot | None:
    """Return the error of an answer that was turned down: it came, so it may have cost."""
    if status is not AttemptStatus.REJECTED:
        return None
    return ErrorSnapshot(category=ErrorCategory.REJECTED, message="rejected")


def _ending(status: AttemptStatus, error: ErrorSnapshot | None, kind: str) -> Ending:
    """Return how an attempt ended. A time-out of ours cut it off; a client's own, and an answered 408, are failures."""
    if status is AttemptStatus.SUCCEEDED:
        return "answered"
    if status in (AttemptStatus.RACE_LOST, AttemptStatus.CANCELLED):
        return "cut"
    if status is AttemptStatus.FAILED and error is not None and error.category is ErrorCategory.TIMEOUT:
        unknown = not kind.strip() or kind == ErrorCategory.TIMEOUT
        if error.status is None and (_OWN_TIMEOUT in kind or unknown):
            return "cut"
    return "failed"
