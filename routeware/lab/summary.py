"""Describes a call in words: what each attempt did, why the next one was started, how it ended and what it cost."""

from __future__ import annotations

import math
from typing import assert_never

from routeware.lab.calls import AttemptBar, CallEvent, CallTree
from routeware.records import AttemptStatus, AttemptTrigger
from routeware.text import visible

__all__ = [
    "circumstances",
    "cost",
    "dollars",
    "duration",
    "ending",
    "headline",
    "money",
    "reference",
    "remarks",
    "status_text",
    "summary",
]

_MS_PER_S = 1_000
_WHOLE_CENTS_USD = 10
_NO_RESULT = {
    "failed": "the call failed",
    "cancelled": "its caller cancelled it",
    "budget_exceeded": "the budget ended it",
    "deadline_exceeded": "its deadline ended it",
}


def headline(call: CallTree) -> list[str]:
    """Return the call's name, and how it ended after how long."""
    how = "not known" if call.outcome is None else visible(call.outcome).replace("_", " ")
    return [visible(call.name), f"{how} after {duration(call.duration_ms)}"]


def circumstances(call: CallTree) -> list[str]:
    """Return the policy, the session and the race threshold, as far as they are known."""
    named = [("policy", call.policy), ("session", call.session_name)]
    shown = [f"{word} {visible(value)}" for word, value in named if value]
    if call.race_after_ms is not None:
        source = f" ({visible(call.race_source)})" if call.race_source else ""
        shown.append(f"race after {duration(call.race_after_ms)}{source}")
    return shown


def reference(call: CallTree) -> list[str]:
    """Return the trace to look the call up in, and what was wasted."""
    wasted = [f"{dollars(call.wasted_usd)} wasted"] if call.wasted_usd else []
    return [*([f"trace {call.trace_id}"] if call.trace_id else []), *wasted]


def summary(call: CallTree) -> str:
    """Return the call in one line: each attempt, then how the call ended unless it succeeded, then the money."""
    sentences = [_sentence(call, attempt) for attempt in call.attempts]
    end = ending(call)
    return "; ".join([*sentences, *([end] if end else []), money(call)])


def ending(call: CallTree) -> str | None:
    """Return how a call ended that did not succeed; ``None`` for one that did, which its attempts show."""
    match call.outcome:
        case "succeeded":
            return None
        case None:
            return "how it ended is not known"
        case outcome:
            return f"{_NO_RESULT.get(outcome, visible(outcome))} after {duration(call.duration_ms)}"


def money(call: CallTree) -> str:
    """Return what the call cost, and what it may have cost on top. An unknown amount is never shown as zero."""
    spent = "what it cost is not known" if call.cost_usd is None else f"{dollars(call.cost_usd)} spent"
    if call.uncertain_usd is None:
        return spent if call.cost_usd is None else f"{spent}, how much more is not known"
    return f"{spent}, at most {dollars(call.uncertain_usd)} more" if call.uncertain_usd > 0 else spent


def remarks(call: CallTree) -> list[str]:
    """Return why attempts were not started, one line each: they have no bar that could show it."""
    texts = {"budget_exceeded": _refusal, "race_skipped": _no_race}
    known = [(event, texts[event.name]) for event in call.events if event.name in texts]
    return [f"at {duration(event.at_ms)} {text(event)}" for event, text in known]


def status_text(attempt: AttemptBar) -> str:
    """Return how an attempt ended, in a word or two."""
    match attempt.status:
        case AttemptStatus.SUCCEEDED:
            text = "answered" if attempt.selected else "answered, unused"
        case AttemptStatus.FAILED:
            status = None if attempt.error_status is None else str(attempt.error_status)
            text = " ".join(filter(None, (status, attempt.error_category))) or "failed"
        case AttemptStatus.REJECTED:
            text = "not accepted"
        case AttemptStatus.SKIPPED:
            text = f"skipped: {attempt.skip_reason or 'budget'}"
        case AttemptStatus.RACE_LOST:
            text = "lost the race"
        case AttemptStatus.CANCELLED:
            text = "cancelled"
        case None:
            text = "not known"
        case other:
            assert_never(other)
    return visible(text)


def dollars(amount_usd: float) -> str:
    """Return an amount of dollars with four decimals, or with as many as show two digits of a smaller one."""
    if amount_usd == 0:
        return "$0"
    if amount_usd < 0:
        return f"-{dollars(-amount_usd)}"
    if amount_usd >= _WHOLE_CENTS_USD:
        return f"${amount_usd:.2f}"
    decimals = max(4, 1 - math.floor(math.log10(amount_usd)))
    return f"${amount_usd:.{decimals}f}"


def cost(attempt: AttemptBar, at_most: str) -> str:
    """Return what an attempt cost; ``at_most`` goes before a projection, because not every encoding has a "≤"."""
    if attempt.cost_usd is None:
        return "$?"
    return f"{at_most}{dollars(attempt.cost_usd)}" if attempt.uncertain else dollars(attempt.cost_usd)


def duration(ms: float) -> str:
    """Return a time in milliseconds or, from one second on, in seconds, to about three digits."""
    if ms >= 100 * _MS_PER_S:
        return f"{ms / _MS_PER_S:.0f} s"
    if ms >= _MS_PER_S:
        return f"{ms / _MS_PER_S:.3g} s"
    return f"{ms:.0f} ms" if ms >= 10 or ms == 0 else f"{ms:.2g} ms"


def _sentence(call: CallTree, attempt: AttemptBar) -> str:
    label = visible(attempt.label)
    if attempt.trigger is AttemptTrigger.RACE and attempt.status is not AttemptStatus.SKIPPED:
        against = " and ".join(visible(rival.label) for rival in call.rivals(attempt))
        label = f"{label}, started {f'beside {against}' if against else 'as a race'} at {duration(attempt.started_ms)},"
    return f"{label} {_describe(attempt)}"


def _describe(attempt: AttemptBar) -> str:
    took = duration(attempt.duration_ms)
    if attempt.first_item_ms is not None:
        return f"gave its first item after {duration(attempt.first_item_ms)} and {_ended(attempt, took)}"
    match attempt.status:
        case AttemptStatus.SUCCEEDED:
            text = f"answered in {took}" + ("" if attempt.selected else ", too late for its caller")
        case AttemptStatus.FAILED:
            text = f"{_failing(attempt)} after {took}{_asked_for_time(attempt)}"
        case AttemptStatus.REJECTED:
            text = f"answered in {took}, which was not accepted"
        case AttemptStatus.SKIPPED:
            text = "was skipped, " + ("as it was cooling" if attempt.skip_reason == "cooldown" else "over the budget")
        case AttemptStatus.RACE_LOST:
            text = f"lost the race and was cut off after {took}"
        case AttemptStatus.CANCELLED:
            text = f"was cancelled after {took}"
        case None:
            text = f"ended after {took}, how is not known"
        case other:
            assert_never(other)
    return text


def _ended(attempt: AttemptBar, took: str) -> str:
    """Return how a stream ended that had begun."""
    match attempt.status:
        case AttemptStatus.SUCCEEDED:
            return f"ended after {took}"
        case AttemptStatus.FAILED:
            return f"{_failing(attempt)} after {took}"
        case AttemptStatus.RACE_LOST:
            return f"lost the race after {took}"
        case AttemptStatus.CANCELLED:
            return f"was cancelled after {took}"
        case AttemptStatus.REJECTED:
            return f"was not accepted after {took}"
        case _:
            return f"stopped after {took}"


def _failing(attempt: AttemptBar) -> str:
    if attempt.error_status is not None:
        return f"answered {attempt.error_status}"
    if attempt.error_category == "timeout":
        return "timed out"
    why = ", ".join(visible(word) for word in (attempt.error_category, attempt.error_type) if word)
    return f"failed ({why})" if why else "failed"


def _asked_for_time(attempt: AttemptBar) -> str:
    return "" if attempt.retry_after_ms is None else f" (asked for {duration(attempt.retry_after_ms)})"


def _refusal(event: CallEvent) -> str:
    """Return why the budget refused an attempt or warned of it, as far as the event says."""
    fields = event.attributes
    amounts = [fields.get(key) for key in ("projected_usd", "committed_usd", "limit_usd")]
    projected, committed, limit = (dollars(value) if isinstance(value, int | float) else "?" for value in amounts)
    whose = "this call's" if fields.get("kind") == "per_call" else "the session's"
    return f"{visible(event.link)} may cost {projected}, and {committed} of {whose} {limit} are taken"


def _no_race(event: CallEvent) -> str:
    reason = event.attributes.get("reason")
    return f"{visible(event.link)} was not raced" + (f" ({visible(reason)})" if isinstance(reason, str) else "")
