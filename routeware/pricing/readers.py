"""Usage readers: how many tokens a reply says that it took.

Every API counts in its own words, and the same word does not mean the same: Anthropic's and Bedrock's input leaves out
what went through a cache, OpenAI's and Google's holds it; Google's output leaves out what the model thought, OpenAI's
holds it. Here each shape is met once and becomes a :class:`~routeware.money.Usage`, which counts every token once.

A shape is told by the names of its counts, never by a class, so no SDK is imported. Zero is a number; what is missing,
or is not a whole number of at least 0, is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from routeware.money import Usage
from routeware.pricing.fields import NO_FIELDS, fields, given_fields

__all__ = ["Reading", "read_error", "read_reply"]


class Reading(NamedTuple):
    """What a reply says of itself; each part ``None`` where it says nothing."""

    usage: Usage | None = None
    response_model: str | None = None


_NOTHING = Reading()


def read_reply(reply: object) -> Reading:
    """The usage and the model that an SDK's or an API's reply reports.

    Takes objects and mappings in the shapes of OpenAI (chat completions, responses, embeddings, and what is compatible
    with them), Anthropic, Google, Mistral and Bedrock's Converse. The model is read only where usage is: a result that
    is no such reply may have a field of that name for its own purposes. Never raises.
    """
    try:
        return (_at_a_glance(reply) if type(reply) is dict else None) or _read(reply)
    except Exception:  # noqa: BLE001 - whatever a strange mapping raises, it says nothing about usage
        return _NOTHING


def _at_a_glance(reply: dict[str, object]) -> Reading | None:
    """The commonest reply: JSON of an OpenAI-compatible API that counts input, output and perhaps their sum."""
    counts = reply.get("usage")
    if type(counts) is not dict or len(counts) > 3:
        return None
    sent, output = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if type(sent) is not int or type(output) is not int or sent < 0 or output < 0:
        return None
    if len(counts) == 3 and counts.get("total_tokens") != sent + output:
        return None
    model = reply.get("model")
    return Reading(Usage(input_tokens=sent, output_tokens=output), model if type(model) is str else None)


def read_error(error: BaseException) -> Reading:
    """The usage that came with an error: an answer was paid for, and then could not be used.

    Looks at ``completion`` and ``response`` in the error's own ``__dict__``. The HTTP response that an error status
    came in has no usage in its fields, and so says nothing. Never raises.
    """
    try:
        return next((reading for reading in map(_read, _enclosed(error)) if reading.usage is not None), _NOTHING)
    except Exception:  # noqa: BLE001 - as above
        return _NOTHING


def _enclosed(error: BaseException) -> list[object]:
    own = error.__dict__
    return [own.get("completion"), own.get("response")]


def _read(reply: object) -> Reading:
    held = reply if type(reply) is dict else fields(reply)
    for name in ("usage", "usage_metadata", "usageMetadata"):
        if name in held:
            counts = held[name]
            usage = _usage(counts if type(counts) is dict else given_fields(counts))
            if usage is not None:
                return Reading(usage, _model(held))
    return _NOTHING


def _model(held: Mapping[str, object]) -> str | None:
    for name in ("model", "model_version", "modelVersion"):
        value = held.get(name)
        if isinstance(value, str):
            return value
    return None


def _usage(counts: Mapping[str, object]) -> Usage | None:
    for marks, reader in _SHAPES:
        if not marks.isdisjoint(counts):
            usage = reader(counts)
            if usage.input_tokens is not None or usage.output_tokens is not None:
                return usage
    return None


def _chat(counts: Mapping[str, object]) -> Usage:
    """OpenAI's chat completions and embeddings, Mistral's, and all that call themselves compatible."""
    sent, output = _count(counts, "prompt_tokens"), _count(counts, "completion_tokens")
    if "connector_tokens" in counts:
        sent = _plus(sent, _count(counts, "connector_tokens"))
    if "total_tokens" in counts:
        output = _all_output(output, sent, _count(counts, "total_tokens"))
    if "prompt_tokens_details" not in counts and "completion_tokens_details" not in counts:
        return Usage(input_tokens=sent, output_tokens=output)
    of_input = _part(counts, "prompt_tokens_details")
    return Usage(
        input_tokens=sent,
        output_tokens=output,
        cached_input_tokens=_count(of_input, "cached_tokens"),
        cache_write_tokens=_count(of_input, "cache_write_tokens"),
        reasoning_tokens=_count(_part(counts, "completion_tokens_details"), "reasoning_tokens"),
    )


def _messages(counts: Mapping[str, object]) -> Usage:
    """Anthropic's messages and OpenAI's responses: the same two names, with and without what went through a cache."""
    of_output = _part(counts, "output_tokens_details")
    output = _count(counts, "output_tokens")
    reasoning = _first(of_output, "reasoning_tokens", "thinking_tokens")
    sent = _count(counts, "input_tokens")
    of_input = _part(counts, "input_tokens_details")
    if of_input is not NO_FIELDS:
        cached, written = _count(of_input, "cached_tokens"), _count(of_input, "cache_write_tokens")
    else:
        cached, written = _count(counts, "cache_read_input_tokens"), _count(counts, "cache_creation_input_tokens")
        sent = _plus(sent, cached, written)
    return Usage(
        input_tokens=sent,
        output_tokens=output,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )


def _converse(counts: Mapping[str, object]) -> Usage:
    """Bedrock's Converse: its input leaves out what was read from a cache and what was written to one."""
    cached, written = _count(counts, "cacheReadInputTokens"), _count(counts, "cacheWriteInputTokens")
    return Usage(
        input_tokens=_plus(_count(counts, "inputTokens"), cached, written),
        output_tokens=_count(counts, "outputTokens"),
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )


def _generate(counts: Mapping[str, object]) -> Usage:
    """Google's generateContent and Live API, in Python's spelling and in JSON's.

    JSON leaves out a count that is zero, so an answer that was all thought has no count of candidates.
    """
    sent = _plus(
        _first(counts, "prompt_token_count", "promptTokenCount"),
        _first(counts, "tool_use_prompt_token_count", "toolUsePromptTokenCount"),
    )
    thoughts = _first(counts, "thoughts_token_count", "thoughtsTokenCount")
    answered = _first(
        counts, "candidates_token_count", "candidatesTokenCount", "response_token_count", "responseTokenCount"
    )
    output = thoughts if answered is None else _plus(answered, thoughts)
    return Usage(
        input_tokens=sent,
        output_tokens=_all_output(output, sent, _first(counts, "total_token_count", "totalTokenCount")),
        cached_input_tokens=_first(counts, "cached_content_token_count", "cachedContentTokenCount"),
        reasoning_tokens=thoughts,
    )


def _interaction(counts: Mapping[str, object]) -> Usage:
    """Google's interactions."""
    sent = _plus(_count(counts, "total_input_tokens"), _count(counts, "total_tool_use_tokens"))
    thoughts = _count(counts, "total_thought_tokens")
    output = _plus(_count(counts, "total_output_tokens"), thoughts)
    return Usage(
        input_tokens=sent,
        output_tokens=_all_output(output, sent, _count(counts, "total_tokens")),
        cached_input_tokens=_count(counts, "total_cached_tokens"),
        reasoning_tokens=thoughts,
    )


_SHAPES: tuple[tuple[frozenset[str], Callable[[Mapping[str, object]], Usage]], ...] = (
    (frozenset({"prompt_tokens", "completion_tokens"}), _chat),
    (frozenset({"input_tokens", "output_tokens"}), _messages),
    (frozenset({"inputTokens", "outputTokens"}), _converse),
    (frozenset({"prompt_token_count", "candidates_token_count", "response_token_count"}), _generate),
    (frozenset({"promptTokenCount", "candidatesTokenCount", "responseTokenCount"}), _generate),
    (frozenset({"total_input_tokens", "total_output_tokens"}), _interaction),
)


def _all_output(output: int | None, sent: int | None, total: int | None) -> int | None:
    """The output, with what the total holds beyond it.

    Some count thinking in the total alone (xAI, and Google behind an OpenAI endpoint), and embeddings, which have no
    output, give only input and total.
    """
    if sent is None or total is None or total < sent:
        return output
    return total - sent if output is None else max(output, total - sent)


def _count(counts: Mapping[str, object], name: str) -> int | None:
    value = counts.get(name)
    return value if type(value) is int and value >= 0 else None


def _first(counts: Mapping[str, object], *names: str) -> int | None:
    return next((value for name in names if (value := _count(counts, name)) is not None), None)


def _plus(first: int | None, *others: int | None) -> int | None:
    """The sum: unknown where ``first`` is; the others are parts that an API leaves out where it has none."""
    return None if first is None else first + sum(other for other in others if other is not None)


def _part(counts: Mapping[str, object], name: str) -> Mapping[str, object]:
    return fields(counts.get(name))
