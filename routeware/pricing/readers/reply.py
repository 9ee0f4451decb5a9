"""Replies: their usage, their model, and what they say that they cost.

The counts may stand at the top of a reply, in the last event of a stream, or inside of what a framework wrapped around.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from routeware.money import MOST_COUNT, Usage, plain_usage, reported_nanos, usage_with
from routeware.pricing.fields import fields, given_fields
from routeware.pricing.readers.counts import Counts
from routeware.pricing.readers.reading import NO_READING, Reading
from routeware.pricing.readers.shapes import SHAPES
from routeware.text import bounded

__all__ = ["PlainCounts", "is_no_reply", "plain_counts", "read_error", "read_reply", "read_report", "reading_of"]

Fields: TypeAlias = Mapping[str, object]
PlainCounts: TypeAlias = tuple[int, int, str]
"""Input, output and model: all that most replies say. A usage and a reading of them take as long as reading them."""

_LONGEST_BODY = 16 * 1024 * 1024
_NO_REPLIES = frozenset({str, bytes, int, float, bool, list, tuple, type(None)})
_DEPTH = 3
_COUNTS = ("usage", "usage_metadata", "usageMetadata", "meta", "amazon-bedrock-invocationMetrics")
_MODELS = ("model", "model_version", "modelVersion", "model_name")
_OLLAMA = frozenset({"prompt_eval_count", "eval_count"})


def read_reply(reply: object) -> Reading:
    """Read the usage, the model and the cost that an SDK's or an API's reply reports of itself.

    Takes objects and mappings in the shapes of OpenAI (chat completions, responses, embeddings, raw responses, and
    everything compatible with them), Anthropic, Google, Mistral, Bedrock's Converse, Cohere and Ollama, the events of
    their streams, and what LangChain, Pydantic AI and Instructor make of them. The model is read only where usage is:
    a result that is no such reply may have a field of that name for its own purposes. Never raises.
    """
    try:
        plain = plain_counts(reply)
        if plain is not None:
            return reading_of(plain)
        return NO_READING if is_no_reply(reply) else _read(reply, _DEPTH)
    except Exception:  # noqa: BLE001 - whatever a strange mapping raises, it says nothing about usage
        return NO_READING


def is_no_reply(value: object) -> bool:
    """Return True for plain values, which say nothing of what they cost: text, numbers, lists."""
    return type(value) in _NO_REPLIES


def read_report(reply: object) -> Reading:
    """Read what was reported on purpose: a reply, or a bare usage object, which as a result may be anything."""
    reading = read_reply(reply)
    if reading.usage is not None or is_no_reply(reply):
        return reading
    try:
        bare = _with_usage({}, reply)
    except Exception:  # noqa: BLE001 - a strange mapping says nothing about usage
        return reading
    return reading if bare.usage is None and bare.cost_nanos is None else bare


def read_error(error: BaseException) -> Reading:
    """Read the usage that came with an error: an answer was paid for, and then could not be used.

    Looks at ``completion``, ``response`` and ``last_completion`` in the error's own ``__dict__``. The HTTP response
    that an error status came in has no usage in its fields, and so says nothing. Never raises.
    """
    try:
        enclosed = [error.__dict__.get(name) for name in ("completion", "response", "last_completion")]
    except Exception:  # noqa: BLE001 - an error may have anything in place of its fields
        return NO_READING
    readings = (read_reply(reply) for reply in enclosed if reply is not None)
    return next((reading for reading in readings if reading.usage is not None), NO_READING)


def plain_counts(reply: object) -> PlainCounts | None:
    """Read the commonest reply: JSON of an OpenAI-compatible API that counts input, output and perhaps their sum."""
    if type(reply) is not dict or "service_tier" in reply:
        return None
    try:
        counts = reply["usage"]
        if type(counts) is not dict:
            return None
        sent, output, model = counts["prompt_tokens"], counts["completion_tokens"], reply["model"]
    except KeyError:
        return None
    # Below 0, above the largest count, or both 0, which may stand beside the counts.
    if type(sent) is not int or type(output) is not int or not 0 < sent | output < MOST_COUNT:
        return None
    if len(counts) > 2 and (len(counts) > 3 or counts.get("total_tokens") != sent + output):
        return None
    return (sent, output, model) if type(model) is str and model else None


def reading_of(plain: PlainCounts) -> Reading:
    """Return the reading that plain counts are short for."""
    return Reading(plain_usage(plain[0], plain[1]), bounded(plain[2]))


def _read(reply: object, depth: int) -> Reading:
    held = reply if type(reply) is dict else fields(reply)
    outcome = NO_READING
    for name in _COUNTS:
        if name in held:
            found = _with_usage(held, held[name])
            if _counts_any(found.usage):
                return found
            if outcome.usage is None:
                outcome = found
    if outcome.usage is not None:
        return outcome
    if not _OLLAMA.isdisjoint(held):
        return _with_usage(held, reply)
    if depth > 0:
        for inner in _inner_replies(held):
            found = _read(inner, depth - 1)
            if found.usage is not None:
                return found
    return outcome


def _with_usage(held: Fields, value: object) -> Reading:
    """Read the counts in ``value``, and what the reply ``held`` around them adds."""
    counts = Counts(value if type(value) is dict else given_fields(value))
    usage, plain_input = _usage(counts)
    cost = _cost(counts)
    if usage is None:
        usage = _all_input(counts, held)
    if usage is None:
        return Reading(cost_nanos=cost, dropped=tuple(counts.dropped))
    if held:
        usage = _completed(usage, held)
    return Reading(
        usage,
        _model(held) or (_model(fields(held["response_metadata"])) if "response_metadata" in held else None),
        cost,
        deduced_output=counts.deduced,
        plain_input=plain_input,
        dropped=tuple(dict.fromkeys(counts.dropped)),
    )


def _usage(counts: Counts) -> tuple[Usage | None, bool]:
    """Read the first shape that counts anything: some APIs leave the counts of another one at 0 beside their own."""
    held = counts.held
    is_plain = type(held) is dict
    found: tuple[Usage | None, bool] = None, False
    for shape in SHAPES:
        if is_plain and shape.marks.isdisjoint(held):
            continue  # asked in one step
        if any(_is_there(held.get(mark)) for mark in shape.marks):
            usage = shape.read(counts)
            if _counts_any(usage):
                return usage, shape.plain_input
            if usage.input_tokens is None and usage.output_tokens is None:
                break
            if found[0] is None:
                found = usage, shape.plain_input
    return found


def _all_input(counts: Counts, held: Fields) -> Usage | None:
    """Read Voyage's embeddings and rankings: they give a total alone, and it is input."""
    if not ("embeddings" in held or (held.get("object") == "list" and isinstance(held.get("data"), list))):
        return None
    total = counts.count("total_tokens")
    return None if total is None else Usage(input_tokens=total, output_tokens=0)


def _counts_any(usage: Usage | None) -> bool:
    return usage is not None and bool(usage.input_tokens or usage.output_tokens)


def _is_there(value: object) -> bool:
    return value is not None and not (type(value) is dict and not value)


def _completed(usage: Usage, held: Fields) -> Usage:
    """Add what stands beside the counts: the tier, and the searches among the items of an answer."""
    said: dict[str, Any] = {}
    if usage.service_tier is None:
        said["service_tier"] = _tier(held)
    if usage.web_searches is None:
        said["web_searches"] = _searches(held.get("output"))
    # An event of a stream that says 0 has not counted: there is no prompt without a token.
    if usage.input_tokens == 0 and held.get("type") == "message_delta":
        said |= dict.fromkeys(("input_tokens", "cached_input_tokens", "cache_write_tokens"))
    changed = {name: value for name, value in said.items() if value is not getattr(usage, name)}
    return usage_with(usage, changed) if changed else usage


def _tier(held: Fields) -> str | None:
    for place in (held, fields(held.get("response_metadata")), fields(held.get("serviceTier"))):
        for name in ("service_tier", "serviceTier", "type") if place is not held else ("service_tier",):
            value = place.get(name)
            if isinstance(value, str) and value:
                return bounded(value)
    return None


def _searches(output: object) -> int | None:
    """Count the searches among the items of one of OpenAI's responses: opening a page that was found is not billed."""
    if not isinstance(output, list):
        return None
    searches = sum(map(_is_search, output))
    return searches or None


def _is_search(item: object) -> bool:
    held = fields(item)
    return held.get("type") == "web_search_call" and fields(held.get("action")).get("type", "search") == "search"


def _model(held: Fields) -> str | None:
    for name in _MODELS:
        value = held.get(name)
        if isinstance(value, str):
            return bounded(value)
    return None


def _cost(counts: Counts) -> int | None:
    """Read what the reply says that it cost: OpenRouter's ``cost``, Perplexity's ``cost.total_cost``."""
    told = counts.held.get("cost")
    if told is not None and not isinstance(told, int | float):
        told = fields(told).get("total_cost")
    if told is None:
        return None
    amount = reported_nanos(told)
    if amount is None:
        counts.dropped.append("cost")
        return None
    return amount + _upstream(counts)


def _upstream(counts: Counts) -> int:
    """Read what a maker of models bills beside OpenRouter, where a key of one's own was used there."""
    if counts.held.get("is_byok") is not True:
        return 0
    return reported_nanos(counts.part("cost_details").held.get("upstream_inference_cost")) or 0


def _inner_replies(held: Fields) -> Iterator[object]:
    """Give what may be the reply itself inside of ``held``, the likeliest first.

    A place is a field and a test of the reply that it is in: most of these names mean other things elsewhere.
    """
    for name, belongs in _PLACES:
        if name in held and belongs(held):
            yield held[name]
    yield from _raw_response(held)


def _type(held: Fields) -> str:
    kind = held.get("type")
    return kind if isinstance(kind, str) else ""


def _always(_held: Fields) -> bool:
    return True


_PLACES: tuple[tuple[str, Callable[[Fields], bool]], ...] = (
    ("message", lambda held: _type(held) == "message_start"),  # Anthropic's stream
    ("response", lambda held: _type(held).startswith("response.")),  # the stream of OpenAI's responses
    ("response", lambda held: "event_type" in held),  # Cohere's older stream
    ("delta", lambda held: _type(held) == "message-end"),  # Cohere's stream
    ("metadata", lambda held: len(held) == 1),  # Bedrock's stream
    ("x_groq", _always),
    ("chunk", lambda held: _type(held) == "chunk"),  # the helper around OpenAI's stream
    ("data", lambda held: "choices" in fields(held["data"])),  # Mistral's stream
    ("raw", lambda held: "parsed" in held),  # LangChain's structured output
    ("_raw_response", _always),  # Instructor
    ("context_wrapper", _always),  # a run of OpenAI's agents
    ("_state", _always),  # a run of Pydantic AI
    ("_run_result", _always),  # a streamed run of Pydantic AI
)


def _raw_response(held: Fields) -> Iterator[object]:
    """Give what OpenAI's and Anthropic's SDKs parsed from a raw response, or else its body, where that was received."""
    response = held.get("http_response")
    if response is None:
        return
    yield from fields(held.get("_parsed_by_type")).values()
    body = fields(response).get("_content")
    if isinstance(body, bytes) and len(body) <= _LONGEST_BODY and body.lstrip()[:1] == b"{":
        yield json.loads(body)
