"""The attributes that spans end with: made of the facts of an attempt or a call, in one dict each."""

from __future__ import annotations

from typing import Any

from routeware.classify import error_type
from routeware.money import usd
from routeware.observers import AttemptFacts, CallFacts, Cost, Failure, failed_attempt, sums_of
from routeware.records import AttemptStatus, AttemptTrigger, Step, trail_of
from routeware.telemetry import attributes as names
from routeware.text import bounded

__all__ = ["add_sums", "failure_of", "of_attempt", "of_call"]

_RACE, _FAILOVER = AttemptTrigger.RACE, AttemptTrigger.FAILOVER
_STATUS = {status: status.value for status in AttemptStatus}  # reading a member's value takes a call


def of_attempt(attempt: AttemptFacts, *, known: bool, tells_usage: bool) -> dict[str, Any]:
    """Describe an attempt that has ended.

    Args:
        attempt: the attempt.
        known: True if its function is known to call an LLM, so that OpenTelemetry has names for what it tells.
        tells_usage: True if the tokens that it used are to be told.
    """
    assert attempt.status is not None
    found: dict[str, Any] = {names.ATTEMPT_STATUS: _STATUS[attempt.status]}
    cost, failure = attempt.cost, attempt.failure
    _add_cost(found, cost)
    usage = cost.usage
    if usage is not None and tells_usage:
        if usage.input_tokens is not None:
            found[names.INPUT_TOKENS] = usage.input_tokens
        if usage.output_tokens is not None:
            found[names.OUTPUT_TOKENS] = usage.output_tokens
    if known and cost.response_model is not None:
        found[names.RESPONSE_MODEL] = cost.response_model
    if attempt.items is not None:
        _add_stream(found, attempt, known=known)
    if attempt.cleanup_s is not None:
        found[names.ATTEMPT_CLEANUP_S] = attempt.cleanup_s
    if failure is not None:
        _add_failure(found, failure)
    return found


def _add_stream(found: dict[str, Any], attempt: AttemptFacts, *, known: bool) -> None:
    """Add what a stream tells of an attempt; under the names for LLMs where it is ``known`` to be a call to one."""
    found[names.STREAM_ITEMS] = attempt.items
    if known and (reasons := attempt.finish_reasons):
        found[names.FINISH_REASONS] = [bounded(reason) for reason in reasons]
    if attempt.first_item_s is not None:
        found[names.TIME_TO_FIRST_CHUNK if known else names.FIRST_ITEM_S] = attempt.first_item_s


def _add_failure(found: dict[str, Any], failure: Failure) -> None:
    snapshot = failure.snapshot
    found[names.ERROR_CATEGORY] = snapshot.category.value
    found[names.ERROR_TYPE] = bounded(error_type(failure.error))
    if snapshot.status is not None:
        found[names.HTTP_STATUS] = snapshot.status
    if snapshot.retry_after_ms is not None:
        found[names.RETRY_AFTER_S] = snapshot.retry_after_ms / 1000


def _add_cost(found: dict[str, Any], cost: Cost) -> None:
    amount_usd = cost.amount_usd
    if amount_usd is not None:
        found[names.COST_USD] = amount_usd
    if cost.source is not None:
        found[names.COST_SOURCE] = cost.source
    if cost.exceeded is not None:
        found[names.COST_PROJECTED_USD] = usd(cost.exceeded)
    if cost.unpriced:
        found[names.COST_UNPRICED] = cost.unpriced


def add_sums(found: dict[str, Any], attempt: AttemptFacts) -> None:
    """Add what a call has cost that its first attempt has answered."""
    cost = attempt.cost
    if cost.settled is not None and cost.uncertain is not None:
        found[names.CALL_COST_USD] = usd(cost.settled)
        found[names.CALL_UNCERTAIN_USD] = usd(cost.uncertain)
    elif not attempt.has_value:
        found[names.CALL_COST_USD] = 0.0


def of_call(call: CallFacts) -> dict[str, Any]:
    """Describe a call that took more than one attempt, or that none has answered."""
    sums = sums_of(call)
    triggers = [one.trigger for one in call.attempts]
    found: dict[str, Any] = {
        names.CALL_OUTCOME: call.outcome,
        names.CALL_ATTEMPTS: len(call.attempts),
        names.CALL_RACED: _RACE in triggers,
        names.CALL_FAILED_OVER: _FAILOVER in triggers,
        names.CALL_TRAIL: bounded(trail_of([_step(one) for one in call.attempts])),
    }
    if call.winner is not None:
        found[names.CALL_SELECTED] = bounded(call.winner.link.label)
    if sums.cost_usd is not None:
        found[names.CALL_COST_USD] = sums.cost_usd
    if sums.uncertain_usd is not None:
        found[names.CALL_UNCERTAIN_USD] = sums.uncertain_usd
    if sums.wasted_usd is not None:
        found[names.CALL_WASTED_USD] = sums.wasted_usd
    return found


def _step(attempt: AttemptFacts) -> Step:
    link, failure = attempt.link, attempt.failure
    assert attempt.status is not None
    return Step(link.provider, link.model, link.label, attempt.status, None if failure is None else failure.snapshot)


def failure_of(call: CallFacts, error: BaseException) -> str:
    """Describe what a call raises without its text, which may quote a provider."""
    failed = failed_attempt(call, error)
    if failed is None or failed.failure is None:
        return type(error).__name__
    message = bounded(failed.failure.snapshot.message)
    own = failed.failure.error is error or call.is_exhausted
    return message if own else f"{type(error).__name__} after {message}"
