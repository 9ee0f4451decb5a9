"""The names of all attributes on spans and metrics, each with its type and one line of meaning.

``gen_ai.*``, ``error.type`` and ``http.*`` are OpenTelemetry's semantic conventions (those for generative AI are still
in development, so they stand here as text); all others begin with ``routeware.``. The table in docs/tracing.md is
:func:`table`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["ATTRIBUTES", "Attribute", "otel_provider_name", "table"]

Where = Literal["call", "attempt", "both"]


class Attribute(NamedTuple):
    """One attribute: its name, the type of its values, the spans that carry it, and what it means."""

    name: str
    kind: str
    on: Where
    meaning: str


ATTRIBUTES: dict[str, Attribute] = {}
"""Every attribute of a span, by name, in the order of the table."""


def _add(name: str, kind: str, on: Where, meaning: str) -> str:
    ATTRIBUTES[name] = Attribute(name, kind, on, meaning)
    return name


# Known when the call starts.
CALL_NAME: Final = _add("routeware.call.name", "string", "call", "The function's name, or what `routed(name=)` says")
POLICY_LABEL: Final = _add("routeware.policy.label", "string", "call", "The policy's label")
POLICY_CHAIN: Final = _add("routeware.policy.chain", "string[]", "call", "The labels of the policy's links, in order")
MAX_ATTEMPTS: Final = _add("routeware.policy.max_attempts", "int", "call", "How many attempts may be started")
SESSION_NAME: Final = _add("routeware.session.name", "string", "call", "The innermost session's name")
# Known when it has ended.
CALL_OUTCOME: Final = _add(
    "routeware.call.outcome",
    "string",
    "call",
    "`succeeded`, `failed`, `cancelled`, `budget_exceeded` or `deadline_exceeded`",
)
CALL_ATTEMPTS: Final = _add("routeware.call.attempts", "int", "call", "How many attempts there were, skipped links too")
CALL_SELECTED: Final = _add("routeware.call.selected", "string", "call", "The label of the link that answered")
CALL_COST_USD: Final = _add("routeware.call.cost_usd", "double", "call", "What the call is known to have cost")
CALL_UNCERTAIN_USD: Final = _add(
    "routeware.call.uncertain_usd", "double", "call", "What it may have cost besides, by its attempts' projections"
)
CALL_WASTED_USD: Final = _add("routeware.call.wasted_usd", "double", "call", "Both, of all attempts but the winner")
CALL_RACED: Final = _add("routeware.call.raced", "boolean", "call", "True if a backup was started beside an attempt")
CALL_FAILED_OVER: Final = _add(
    "routeware.call.failed_over", "boolean", "call", "True if an attempt was started because one before had failed"
)
CALL_TRAIL: Final = _add(
    "routeware.call.trail", "string", "call", "Its attempts in a line: `gpt-4o 429 rate_limit, mistral-large answered`"
)
RACE_AFTER_S: Final = _add(
    "routeware.race.after_s", "double", "call", "How long after a start the next link is tried beside it"
)
RACE_SOURCE: Final = _add("routeware.race.source", "string", "call", "Where that threshold came from: `fixed`, ...")
RACE_SWAPPED: Final = _add("routeware.race.swapped", "boolean", "call", "True if a target sent it to the backup first")
SESSION_SPENT_USD: Final = _add("routeware.session.spent_usd", "double", "call", "What the session has spent by then")
STREAM_ENDED: Final = _add(
    "routeware.stream.ended", "string", "call", "How a stream ended: `completed`, `closed`, `failed` or `cancelled`"
)
# Known when an attempt starts.
OPERATION: Final = _add("gen_ai.operation.name", "string", "attempt", "What `routed(operation=)` says: `chat`")
PROVIDER: Final = _add("gen_ai.provider.name", "string", "attempt", "The link's provider, in OpenTelemetry's spelling")
REQUEST_MODEL: Final = _add("gen_ai.request.model", "string", "attempt", "The link's model")
LINK_LABEL: Final = _add("routeware.link.label", "string", "attempt", "The link's label")
ATTEMPT_NUMBER: Final = _add("routeware.attempt.number", "int", "attempt", "Its place among the attempts, from 1")
ATTEMPT_TRIGGER: Final = _add(
    "routeware.attempt.trigger", "string", "attempt", "Why it was started: `initial`, `failover`, `race` or `retry`"
)
ATTEMPT_TIMEOUT_S: Final = _add("routeware.attempt.timeout_s", "double", "attempt", "The time that it had")
REQUEST_STREAM: Final = _add("gen_ai.request.stream", "boolean", "attempt", "True if its function yields items")
# Known when it has ended.
TIME_TO_FIRST_CHUNK: Final = _add(
    "gen_ai.response.time_to_first_chunk", "double", "attempt", "How long a stream's first item took, in seconds"
)
FIRST_ITEM_S: Final = _add(
    "routeware.stream.first_item_s", "double", "attempt", "The same, where the function is no call to an LLM"
)
FINISH_REASONS: Final = _add(
    "gen_ai.response.finish_reasons", "string[]", "attempt", "Why the model stopped, where a stream's items tell it"
)
STREAM_ITEMS: Final = _add("routeware.stream.items", "int", "attempt", "How many items its reader got")
ATTEMPT_STATUS: Final = _add(
    "routeware.attempt.status", "string", "attempt", "`succeeded`, `failed`, `rejected`, `race_lost` or `cancelled`"
)
ATTEMPT_CLEANUP_S: Final = _add(
    "routeware.attempt.cleanup_s", "double", "attempt", "How long it took to end after it was cut off"
)
LEDGER_WAIT_S: Final = _add(
    "routeware.ledger.wait_s", "double", "attempt", "How long it waited for a ledger before it started"
)
COST_USD: Final = _add("routeware.cost.usd", "double", "attempt", "What it cost, or may have cost")
COST_SOURCE: Final = _add(
    "routeware.cost.source",
    "string",
    "attempt",
    "`reported`, `priced` (usage times price) or `estimated` (its projection: it may have cost that)",
)
COST_PROJECTED_USD: Final = _add(
    "routeware.cost.projected_usd", "double", "attempt", "Its projection, where it cost more than that"
)
COST_UNPRICED: Final = _add(
    "routeware.cost.unpriced", "string[]", "attempt", "What was counted and has no price, and so is in no cost"
)
INPUT_TOKENS: Final = _add("gen_ai.usage.input_tokens", "int", "attempt", "Tokens sent, cached ones included")
OUTPUT_TOKENS: Final = _add("gen_ai.usage.output_tokens", "int", "attempt", "Tokens answered, reasoning included")
RESPONSE_MODEL: Final = _add("gen_ai.response.model", "string", "attempt", "The model that the reply names")
ERROR_TYPE: Final = _add("error.type", "string", "attempt", "The qualified class name of its error")
ERROR_CATEGORY: Final = _add("routeware.error.category", "string", "attempt", "What the error means: `rate_limit`, ...")
HTTP_STATUS: Final = _add("http.response.status_code", "int", "attempt", "The status that the provider answered with")
RETRY_AFTER_S: Final = _add("routeware.retry_after_s", "double", "attempt", "How long it asked to be left alone")

# Attributes of metrics only.
SKIP_REASON: Final = "routeware.skip.reason"
COST_WASTED: Final = "routeware.cost.wasted"
OVERFLOW: Final = "otel.metric.overflow"


def table() -> str:
    """All attributes of spans as a Markdown table."""
    rows = [f"| `{one.name}` | {one.kind} | {one.on} | {one.meaning} |" for one in ATTRIBUTES.values()]
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
