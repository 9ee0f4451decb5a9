"""Past calls, from records or from spans: how each attempt ended, as far as that was seen.

A stream's call is over when its first item is there: that is what is raced for. The outcome of the stream afterwards is
the winner's alone, whatever the policy.
"""

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
    """One attempt of a past call; a ``cut`` one would have gone on. An ``estimated`` cost is a projection."""

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
    """A past call; what is not known of it is ``None``, and skipped links are left out."""

    started_unix_s: float | None
    outcome: str | None
    duration_ms: float
    cost_usd: float | None
    uncertain_usd: float | None
    attempts: tuple[PastAttempt, ...]


def past_calls(calls: Iterable[CallRecord | CallTree]) -> list[PastCall]:
    """Return what is known of each call."""
    return [_of_record(call) if isinstance(call, CallRecord) else _of_tree(call) for call in calls]


def _of_record(call: CallRecord) -> PastCall:
    return PastCall(
        started_unix_s=call.started_unix_s,
        outcome=call.outcome if call.first_item_ms is None else "succeeded",
        duration_ms=call.duration_ms if call.first_item_ms is None else call.first_item_ms,
        cost_usd=call.cost_usd,
        uncertain_usd=call.uncertain_usd,
        attempts=tuple(
            _attempt(each, each.status, each.error, "" if each.error is None else each.error.message)
            for each in call.attempts
            if each.status is not AttemptStatus.SKIPPED
        ),
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
            _attempt(bar, bar.status, _error_of(bar), bar.error_type or "")
            for bar in call.attempts
            if bar.status is not None and bar.status is not AttemptStatus.SKIPPED
        ),
    )


def _error_of(bar: AttemptBar) -> ErrorSnapshot | None:
    if bar.status is not AttemptStatus.FAILED:
        return None
    return ErrorSnapshot(
        category=_CATEGORIES.get(bar.error_category or "", ErrorCategory.GENERIC),
        message=bar.error_category or "",
        status=bar.error_status,
        retry_after_ms=bar.retry_after_ms,
        may_have_cost=bar.cost_usd is None or bar.uncertain,
    )


def _attempt(
    attempt: AttemptRecord | AttemptBar, status: AttemptStatus, error: ErrorSnapshot | None, kind: str
) -> PastAttempt:
    if attempt.first_item_ms is not None and status is not AttemptStatus.REJECTED:
        ending: Ending = "answered"
    else:
        ending = _ending(status, error, kind)
    if status is AttemptStatus.REJECTED and error is None:
        # The answer came, so it may have cost.
        error = ErrorSnapshot(category=ErrorCategory.REJECTED, message="rejected")
    return PastAttempt(
        label=attempt.label,
        first=attempt.trigger is AttemptTrigger.INITIAL,
        started_ms=attempt.started_ms,
        duration_ms=attempt.duration_ms if attempt.first_item_ms is None else attempt.first_item_ms,
        ending=ending,
        error=error if ending == "failed" else None,
        cost_usd=attempt.cost_usd,
        estimated=attempt.cost_source == "estimated",
    )


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
