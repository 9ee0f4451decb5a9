"""The shapes of counts: one function and one row for each API.

The rows are asked in order, and the first one whose marks are there answers. Where two APIs share the names of their
main counts, the row with the more telling marks stands first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from routeware.money import Usage
from routeware.pricing.readers.counts import Counts, either, plus

__all__ = ["SHAPES", "Shape"]


class Shape(NamedTuple):
    """A shape of counts.

    Attributes:
        marks: The names of counts that give it away; one of them is enough.
        read: Its reader.
        plain_input: True if its input leaves out the cached parts that it does not name.
    """

    marks: frozenset[str]
    read: Callable[[Counts], Usage]
    plain_input: bool = False


_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")


def _chat(counts: Counts) -> Usage:
    """Read OpenAI's chat completions and embeddings, Mistral's, and everything that calls itself compatible.

    DeepSeek, Moonshot and LiteLLM count what went through a cache outside the details; all of it is in the input.
    """
    sent, output = counts.count("prompt_tokens"), counts.count("completion_tokens")
    others = counts.count("input_tokens"), counts.count("output_tokens")
    if not (sent or output) and any(others):
        return Usage(input_tokens=sent, output_tokens=output)  # nothing is counted in this shape
    sent, output = either(sent, others[0]), either(output, others[1])
    sent = plus(sent, counts.count("connector_tokens"))
    if "total_tokens" in counts:
        output = counts.all_output(output, sent, counts.count("total_tokens"))
    of_input, of_output = counts.part("prompt_tokens_details"), counts.part("completion_tokens_details")
    return Usage(
        input_tokens=sent,
        output_tokens=output,
        cached_input_tokens=either(of_input.count("cached_tokens"), counts.count(*_CACHED)),
        cache_write_tokens=either(of_input.count("cache_write_tokens"), counts.count("cache_creation_input_tokens")),
        reasoning_tokens=either(of_output.count("reasoning_tokens"), counts.count("reasoning_tokens")),
        input_audio_tokens=of_input.count("audio_tokens"),
        output_audio_tokens=of_output.count("audio_tokens"),
        web_searches=_searches(counts),
        service_tier=counts.text("service_tier"),
    )


def _searches(counts: Counts) -> int | None:
    """Return the searches that a provider ran: Anthropic's and OpenRouter's tool, Mistral's connector."""
    told = counts.part("server_tool_use").count("web_search_requests")
    return either(told, counts.part("connectors").count("web_search"))


def _anthropic(counts: Counts) -> Usage:
    """Read Anthropic's messages: the input leaves out what was read from a cache and what was written to one."""
    cached, written = counts.count("cache_read_input_tokens"), counts.count("cache_creation_input_tokens")
    by_time = counts.part("cache_creation")
    for_an_hour = by_time.count("ephemeral_1h_input_tokens")
    if written is None:
        written = plus(by_time.count("ephemeral_5m_input_tokens"), for_an_hour)
    fast = counts.text("speed") == "fast"
    return Usage(
        input_tokens=plus(counts.count("input_tokens"), cached, written),
        output_tokens=counts.count("output_tokens"),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=for_an_hour,
        reasoning_tokens=counts.part("output_tokens_details").count("thinking_tokens", "reasoning_tokens"),
        web_searches=_searches(counts),
        service_tier="fast" if fast else counts.text("service_tier"),
    )


def _responses(counts: Counts) -> Usage:
    """Read OpenAI's responses, DashScope's own API, and whatever else counts under the same two names only."""
    of_input = counts.part("input_tokens_details", "prompt_tokens_details")
    of_output = counts.part("output_tokens_details")
    return Usage(
        input_tokens=counts.count("input_tokens"),
        output_tokens=counts.count("output_tokens"),
        cached_input_tokens=of_input.count("cached_tokens"),
        cache_write_tokens=of_input.count("cache_write_tokens"),
        reasoning_tokens=of_output.count("reasoning_tokens", "thinking_tokens"),
        input_audio_tokens=of_input.count("audio_tokens"),
        output_audio_tokens=of_output.count("audio_tokens"),
        service_tier=counts.text("service_tier"),
    )


def _langchain(counts: Counts) -> Usage:
    """Read LangChain's usage metadata: every part is included, and a tier is a prefix of the parts' names.

    OpenAI's Realtime and transcription APIs name the two details the same, and their parts as its other APIs do.
    """
    of_input, of_output = counts.part("input_token_details"), counts.part("output_token_details")
    tier = next((name for name in ("priority", "flex") if name in of_input or name in of_output), None)
    prefix = f"{tier}_" if tier else ""
    for_an_hour = of_input.count("ephemeral_1h_input_tokens")
    split = plus(of_input.count("ephemeral_5m_input_tokens") or 0, for_an_hour)
    # Where the split is given, the sum is set to 0 so that it isn't added twice.
    written = split or of_input.count(f"{prefix}cache_creation", "cache_creation")
    return Usage(
        input_tokens=counts.count("input_tokens"),
        output_tokens=counts.count("output_tokens"),
        cached_input_tokens=of_input.count(f"{prefix}cache_read", "cache_read", "cached_tokens"),
        cache_write_tokens=written,
        cache_write_1h_tokens=for_an_hour,
        reasoning_tokens=of_output.count(f"{prefix}reasoning", "reasoning", "reasoning_tokens"),
        input_audio_tokens=of_input.count("audio", "audio_tokens"),
        output_audio_tokens=of_output.count("audio", "audio_tokens"),
        service_tier=tier,
    )


def _pydantic_ai(counts: Counts) -> Usage:
    """Read Pydantic AI's usage: every part is included. Its counts are 0 until a provider gives one."""
    sent, output = counts.count("input_tokens") or None, counts.count("output_tokens") or None
    if sent is None and output is None:
        return Usage()
    return Usage(
        input_tokens=sent or 0,
        output_tokens=output or 0,
        cached_input_tokens=counts.count("cache_read_tokens"),
        cache_write_tokens=counts.count("cache_write_tokens"),
        cache_write_1h_tokens=counts.count("cache_write_1h_tokens"),
        reasoning_tokens=counts.count("output_reasoning_tokens"),
        input_audio_tokens=counts.count("input_audio_tokens"),
        output_audio_tokens=counts.count("output_audio_tokens"),
        web_searches=counts.part("details").count("web_search_requests"),
    )


def _converse(counts: Counts) -> Usage:
    """Read Bedrock's Converse: its input leaves out what was read from a cache and what was written to one."""
    cached, written = counts.count("cacheReadInputTokens"), counts.count("cacheWriteInputTokens")
    details = counts.held.get("cacheDetails")
    hours = [entry for entry in _entries(details, counts) if entry.text("ttl") == "1h"]
    for_an_hour = plus(0, *(entry.count("inputTokens") for entry in hours)) if hours else None
    return Usage(
        input_tokens=plus(counts.count("inputTokens"), cached, written),
        output_tokens=counts.count("outputTokens"),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=for_an_hour,
    )


def _entries(listed: object, counts: Counts) -> list[Counts]:
    if not isinstance(listed, list):
        return []
    return [Counts(entry, counts.dropped) for entry in listed if isinstance(entry, dict)]


def _generate(counts: Counts) -> Usage:
    """Read Google's generateContent and Live API, in Python's spelling and in JSON's.

    JSON leaves out a count that is zero, so an answer that was all thought has no count of candidates.
    """
    sent = plus(
        counts.count("prompt_token_count", "promptTokenCount"),
        counts.count("tool_use_prompt_token_count", "toolUsePromptTokenCount"),
    )
    thoughts = counts.count("thoughts_token_count", "thoughtsTokenCount")
    answered = counts.count(
        "candidates_token_count", "candidatesTokenCount", "response_token_count", "responseTokenCount"
    )
    output = thoughts if answered is None else plus(answered, thoughts)
    traffic = counts.text("traffic_type", "trafficType", "service_tier", "serviceTier")
    return Usage(
        input_tokens=sent,
        output_tokens=counts.all_output(output, sent, counts.count("total_token_count", "totalTokenCount")),
        cached_input_tokens=counts.count("cached_content_token_count", "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
        input_audio_tokens=counts.by_modality("prompt_tokens_details", "promptTokensDetails"),
        output_audio_tokens=counts.by_modality(
            "candidates_tokens_details", "candidatesTokensDetails", "response_tokens_details", "responseTokensDetails"
        ),
        # Vertex says ON_DEMAND_FLEX for what the price list calls flex.
        service_tier=None if traffic is None else traffic.lower().removeprefix("on_demand_"),
    )


def _interaction(counts: Counts) -> Usage:
    """Read Google's interactions."""
    sent = plus(counts.count("total_input_tokens"), counts.count("total_tool_use_tokens"))
    thoughts = counts.count("total_thought_tokens")
    output = plus(counts.count("total_output_tokens"), thoughts)
    return Usage(
        input_tokens=sent,
        output_tokens=counts.all_output(output, sent, counts.count("total_tokens")),
        cached_input_tokens=counts.count("total_cached_tokens"),
        reasoning_tokens=thoughts,
    )


def _cohere(counts: Counts) -> Usage:
    """Read Cohere's: what is billed is less than what was read, and is what counts."""
    billed = counts.part("billed_units")
    cached = counts.count("cached_tokens")
    sent = billed.count("input_tokens")
    return Usage(
        input_tokens=sent,
        output_tokens=billed.count("output_tokens"),
        cached_input_tokens=None if cached is None or sent is None else min(cached, sent),
    )


def _ollama(counts: Counts) -> Usage:
    """Read Ollama's: a prompt that was still in its cache has no count, which is unknown. Embeddings have no output."""
    output = counts.count("eval_count")
    if output is None and "embeddings" in counts:
        output = 0
    return Usage(input_tokens=counts.count("prompt_eval_count"), output_tokens=output)


def _invocation(counts: Counts) -> Usage:
    """Read the metrics at the end of a stream of Bedrock's InvokeModel: its input leaves out what a cache held."""
    cached, written = counts.count("cacheReadInputTokenCount"), counts.count("cacheWriteInputTokenCount")
    return Usage(
        input_tokens=plus(counts.count("inputTokenCount"), cached, written),
        output_tokens=counts.count("outputTokenCount"),
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )


def _shape(read: Callable[[Counts], Usage], *marks: str, plain_input: bool = False) -> Shape:
    return Shape(frozenset(marks), read, plain_input)


SHAPES: tuple[Shape, ...] = (
    _shape(_chat, "prompt_tokens", "completion_tokens"),
    _shape(_langchain, "input_token_details", "output_token_details"),
    _shape(_responses, "input_tokens_details"),
    _shape(_pydantic_ai, "cache_read_tokens", "cache_write_tokens", "output_reasoning_tokens", "requests", "details"),
    _shape(
        _anthropic,
        *("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "server_tool_use", "speed"),
        plain_input=True,
    ),
    _shape(_cohere, "billed_units"),
    _shape(_interaction, "total_input_tokens", "total_output_tokens"),
    _shape(_responses, "total_tokens"),
    _shape(_anthropic, "input_tokens", "output_tokens", plain_input=True),
    _shape(_converse, "inputTokens", "outputTokens", plain_input=True),
    _shape(_invocation, "inputTokenCount", "outputTokenCount", plain_input=True),
    _shape(_generate, "prompt_token_count", "candidates_token_count", "response_token_count"),
    _shape(_generate, "promptTokenCount", "candidatesTokenCount", "responseTokenCount"),
    _shape(_ollama, "prompt_eval_count", "eval_count"),
)
"""All shapes, the more telling first."""
