"""The attributes on spans and metrics: their names, each with its type and meaning, and what spans end with.

``gen_ai.*``, ``error.type`` and ``http.*`` are OpenTelemetry's semantic conventions (those for generative AI are still
in development, so they stand here as text); all others begin with ``routeware.``. The table in docs/tracing.md is
:func:`table`.
"""

from __future__ import annotations

from typing import Any, Final

from routeware.classify import error_type
from routeware.money import usd
from routeware.observers import AttemptFacts, CallFacts, Cost, Failure, sums_of
from routeware.records import AttemptStatus, AttemptTrigger, Step, trail_of
from routeware.text import bounded

__all__ = [
    "ATTRIBUTES",
    "Attributes",
    "add_failure",
    "add_sums",
    "of_attempt",
    "of_call",
    "otel_provider_name",
    "table",
]

Attributes = dict[str, Any]

ATTRIBUTES: dict[str, tuple[str, str, str]] = {}
"""Every attribute of a span by its name: its type, the span that carries it, its meaning. In the order of the table."""


def _on_call(name: str, kind: str, meaning: str) -> str:
    ATTRIBUTES[name] = kind, "call", meaning
    return name


def _on_attempt(name: str, kind: str, meaning: str) -> str:
    ATTRIBUTES[name] = kind, "attempt", meaning
    return name


# Known when the call starts.
CALL_NAME: Final = _on_call("routeware.call.name", "string", "The function's name, or what `routed(name=)` says")
POLICY_LABEL: Final = _on_call("routeware.policy.label", "string", "The policy's label")
POLICY_CHAIN: Final = _on_call("routeware.policy.chain", "string[]", "The labels of the policy's links, in order")
MAX_ATTEMPTS: Final = _on_call("routeware.policy.max_attempts", "int", "How many attempts may be started")
SESSION_NAME: Final = _on_call("routeware.session.name", "string", "The innermost session's name")
# Known when it has ended.
CALL_OUTCOME: Final = _on_call(
    "routeware.call.outcome", "string", "`succeeded`, `failed`, `cancelled`, `budget_exceeded` or `deadline_exceeded`"
)
CALL_ATTEMPTS: Final = _on_call("routeware.call.attempts", "int", "The number of attempts, skipped links included")
CALL_SELECTED: Final = _on_call("routeware.call.selected", "string", "The label of the link that answered")
CALL_COST_USD: Final = _on_call("routeware.call.cost_usd", "double", "What the call is known to have cost")
CALL_UNCERTAIN_USD: Final = _on_call(
    "routeware.call.uncertain_usd", "double", "What it may have cost in addition, by its attempts' projections"
)
CALL_WASTED_USD: Final = _on_call(
    "routeware.call.wasted_usd", "double", "The known and the uncertain cost of all attempts except the winner"
)
CALL_RACED: Final = _on_call("routeware.call.raced", "boolean", "True if a backup was started beside an attempt")
CALL_FAILED_OVER: Final = _on_call(
    "routeware.call.failed_over", "boolean", "True if an attempt was started because one before had failed"
)
CALL_TRAIL: Final = _on_call(
    "routeware.call.trail", "string", "Its attempts in a line: `gpt-4o 429 rate_limit, mistral-large answered`"
)
RACE_AFTER_S: Final = _on_call(
    "routeware.race.after_s",
    "double",
    "The race threshold: the seconds from an attempt's start to the start of a backup",
)
RACE_SOURCE: Final = _on_call("routeware.race.source", "string", "Where that threshold came from: `fixed`, ...")
RACE_SWAPPED: Final = _on_call("routeware.race.swapped", "boolean", "True if a target sent it to the backup first")
SESSION_SPENT_USD: Final = _on_call("routeware.session.spent_usd", "double", "What the session has spent by then")
STREAM_ENDED: Final = _on_call(
    "routeware.stream.ended", "string", "How a stream ended: `completed`, `closed`, `failed` or `cancelled`"
)
# Known when an attempt starts.
OPERATION: Final = _on_attempt("gen_ai.operation.name", "string", "What `routed(operation=)` says: `chat`")
PROVIDER: Final = _on_attempt("gen_ai.provider.name", "string", "The link's provider, in OpenTelemetry's spelling")
REQUEST_MODEL: Final = _on_attempt("gen_ai.request.model", "string", "The link's model")
LINK_LABEL: Final = _on_attempt("routeware.link.label", "string", "The link's label")
ATTEMPT_NUMBER: Final = _on_attempt("routeware.attempt.number", "int", "Its place among the attempts, from 1")
ATTEMPT_TRIGGER: Final = _on_attempt(
    "routeware.attempt.trigger", "string", "Why it was started: `initial`, `failover`, `race` or `retry`"
)
ATTEMPT_TIMEOUT_S: Final = _on_attempt("routeware.attempt.timeout_s", "double", "The time that it had")
REQUEST_STREAM: Final = _on_attempt("gen_ai.request.stream", "boolean", "True if its function yields items")
# Known when it has ended.
TIME_TO_FIRST_CHUNK: Final = _on_attempt(
    "gen_ai.response.time_to_first_chunk", "double", "How long a stream's first item took, in seconds"
)
FIRST_ITEM_S: Final = _on_attempt(
    "routeware.stream.first_item_s", "double", "The same, where the function is no call to an LLM"
)
FINISH_REASONS: Final = _on_attempt(
    "gen_ai.response.finish_reasons", "string[]", "Why the model stopped, where a stream's items tell it"
)
STREAM_ITEMS: Final = _on_attempt("routeware.stream.items", "int", "How many items its reader got")
ATTEMPT_STATUS: Final = _on_attempt(
    "routeware.attempt.status", "string", "`succeeded`, `failed`, `rejected`, `race_lost` or `cancelled`"
)
ATTEMPT_CLEANUP_S: Final = _on_attempt(
    "routeware.attempt.cleanup_s", "double", "How long it took to end after it was cut off"
)
LEDGER_WAIT_S: Final = _on_attempt(
    "routeware.ledger.wait_s", "double", "How long it waited for a ledger before it started"
)
COST_USD: Final = _on_attempt("routeware.cost.usd", "double", "What it cost, or may have cost")
COST_SOURCE: Final = _on_attempt(
    "routeware.cost.source",
    "string",
    "`reported`, `priced` (usage times price) or `estimated` (its projection: it may have cost that)",
)
COST_PROJECTED_USD: Final = _on_attempt(
    "routeware.cost.projected_usd", "double", "Its projection, where it cost more than that"
)
COST_UNPRICED: Final = _on_attempt(
    "routeware.cost.unpriced", "string[]", "What was counted and has no price, and so is in no cost"
)
INPUT_TOKENS: Final = _on_attempt("gen_ai.usage.input_tokens", "int", "Tokens sent, cached ones included")
OUTPUT_TOKENS: Final = _on_attempt("gen_ai.usage.output_tokens", "int", "Tokens answered, reasoning included")
RESPONSE_MODEL: Final = _on_attempt("gen_ai.response.model", "string", "The model that the reply names")
ERROR_TYPE: Final = _on_attempt("error.type", "string", "The qualified class name of its error")
ERROR_CATEGORY: Final = _on_attempt("routeware.error.category", "string", "What the error means: `rate_limit`, ...")
HTTP_STATUS: Final = _on_attempt("http.response.status_code", "int", "The status that the provider answered with")
RETRY_AFTER_S: Final = _on_attempt(
    "routeware.retry_after_s", "double", "How long the provider asked to wait before the next request, in seconds"
)


# Attributes of metrics only.
SKIP_REASON: Final = "routeware.skip.reason"
COST_WASTED: Final = "routeware.cost.wasted"
OVERFLOW: Final = "otel.metric.overflow"


def table() -> str:
    """All attributes of spans as a Markdown table."""
    rows = [f"| `{name}` | {kind} | {on} | {meaning} |" for name, (kind, on, meaning) in ATTRIBUTES.items()]
    return "\n".join(["| attribute | type | span | meaning |", "|---|---|---|---|", *rows])


_OTEL_PROVIDERS = {
    "amazon": "aws.bedrock",
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "grok": "x_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


def otel_provider_name(provider: str) -> str:
    """Spell a provider's name as OpenTelemetry does; leave an unknown one as it is."""
    return _OTEL_PROVIDERS.get(provider.lower().replace("-", "_").replace(" ", "_"), provider)


# What spans end with, in one dict each.

_STATUSES = {status: status.value for status in AttemptStatus}  # reading a member's value takes a call


def of_attempt(attempt: AttemptFacts, *, known: bool, tells_usage: bool) -> Attributes:
    """Describe an attempt that has ended.

    Args:
        attempt: the attempt.
        known: True if its function is known to call an LLM, so that OpenTelemetry has names for what it tells.
        tells_usage: True if the tokens that it used are to be told.
    """
    assert attempt.status is not None
    found: Attributes = {ATTEMPT_STATUS: _STATUSES[attempt.status]}
    cost = attempt.cost
    _add_cost(found, cost)
    usage = cost.usage
    if usage is not None and tells_usage:
        if usage.input_tokens is not None:
            found[INPUT_TOKENS] = usage.input_tokens
        if usage.output_tokens is not None:
            found[OUTPUT_TOKENS] = usage.output_tokens
    if known and cost.response_model is not None:
        found[RESPONSE_MODEL] = cost.response_model
    if attempt.items is not None:
        _add_stream(found, attempt, known=known)
    if attempt.cut is not None and attempt.cleanup_s is not None:
        found[ATTEMPT_CLEANUP_S] = attempt.cleanup_s
    return found


def _add_cost(found: Attributes, cost: Cost) -> None:
    amount_usd = cost.amount_usd
    if amount_usd is not None:
        found[COST_USD] = amount_usd
    if cost.source is not None:
        found[COST_SOURCE] = cost.source
    if cost.exceeded is not None:
        found[COST_PROJECTED_USD] = usd(cost.exceeded)
    if cost.unpriced:
        found[COST_UNPRICED] = cost.unpriced


def _add_stream(found: Attributes, attempt: AttemptFacts, *, known: bool) -> None:
    """Add what a stream tells of an attempt; under the names for LLMs where it is ``known`` to be a call to one."""
    found[STREAM_ITEMS] = attempt.items
    if known and (reasons := attempt.finish_reasons):
        found[FINISH_REASONS] = [bounded(reason) for reason in reasons]
    if attempt.first_item_s is not None:
        found[TIME_TO_FIRST_CHUNK if known else FIRST_ITEM_S] = attempt.first_item_s


def add_failure(found: Attributes, failure: Failure) -> None:
    """Add what an attempt's error means."""
    snapshot = failure.snapshot
    found[ERROR_CATEGORY] = snapshot.category.value
    found[ERROR_TYPE] = bounded(error_type(failure.error))
    if snapshot.status is not None:
        found[HTTP_STATUS] = snapshot.status
    if snapshot.retry_after_ms is not None:
        found[RETRY_AFTER_S] = snapshot.retry_after_ms / 1000


def add_sums(found: Attributes, attempt: AttemptFacts) -> None:
    """Add what a call has cost that its first attempt has answered."""
    settled, uncertain, *_ = attempt.cost
    if settled is not None and uncertain is not None:
        found[CALL_COST_USD] = usd(settled)
        found[CALL_UNCERTAIN_USD] = usd(uncertain)
    elif not attempt.has_value:
        found[CALL_COST_USD] = 0.0


def of_call(call: CallFacts) -> Attributes:
    """Describe a call that took more than one attempt, or that none has answered."""
    attempts, winner = call.attempts, call.winner
    sums = zip((CALL_COST_USD, CALL_UNCERTAIN_USD, CALL_WASTED_USD), sums_of(call), strict=True)
    triggers = [one.trigger for one in attempts]
    return {
        CALL_OUTCOME: call.outcome,
        CALL_ATTEMPTS: len(attempts),
        CALL_RACED: AttemptTrigger.RACE in triggers,
        CALL_FAILED_OVER: AttemptTrigger.FAILOVER in triggers,
        CALL_TRAIL: bounded(trail_of([_step(one) for one in attempts])),
        **({} if winner is None else {CALL_SELECTED: bounded(winner.link.label)}),
        **{name: amount_usd for name, amount_usd in sums if amount_usd is not None},
    }


def _step(attempt: AttemptFacts) -> Step:
    assert attempt.status is not None
    return attempt.link, attempt.status, None if attempt.failure is None else attempt.failure.snapshot
