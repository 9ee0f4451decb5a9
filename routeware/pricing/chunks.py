"""Tell what one item of a provider's stream says: whether it holds output, and whether the answer is complete with it.

Ready-made for ``@ask.first_item`` and ``@ask.last_item``. A race for the first item must not be won by an opening event
or a role, which some APIs send before their model has done anything; and a stream that ends without its finish reason
was cut short, however cleanly its connection was closed.

Items are known by the names of their fields, objects and mappings alike, never by a class, so no SDK is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from routeware.pricing.fields import fields

__all__ = ["finish_reasons", "has_output", "is_final", "is_unfinished"]


class _Said(NamedTuple):
    """The facts that an item tells."""

    output: bool
    final: bool = False


_NOTHING = _Said(output=False)
_OUTPUT = _Said(output=True)
_FINAL = _Said(output=False, final=True)


def has_output(item: object) -> bool:
    """Return True if an item holds something that the model said: text, reasoning, a refusal, a tool call, audio.

    A role, an empty text, a ping, usage and opening events hold nothing. Knows the items of OpenAI (chat, completions,
    responses, the events of the ``stream()`` helper), Anthropic, Google, Mistral, Bedrock's Converse, Cohere and
    Ollama, and what is compatible with them. Of other objects every one counts, of texts every one that is not empty.
    """
    if isinstance(item, str | bytes | bytearray):
        return len(item) > 0
    reading = _said(item)
    return True if reading is None else reading.output


def is_final(item: object) -> bool:
    """Return True if the API says with an item that the answer is complete: a finish or stop reason, a closing event.

    Knows the same APIs as :func:`has_output`; of other objects none is final.

    Raises:
        TypeError: ``item`` is text. Text cannot say that it is the last, and False would make every complete stream of
            texts look cut short. Register a function of your own, or yield the API's items.
    """
    if isinstance(item, str | bytes | bytearray):
        raise TypeError(
            f"is_final cannot tell from {type(item).__name__} whether a stream is complete: yield the API's own items,"
            " or register a last_item function that knows your texts"
        )
    reading = _said(item)
    return reading is not None and reading.final


def is_unfinished(item: object) -> bool:
    """Return True if an item is a message whose API has not said yet why it stopped, or holds one.

    Anthropic's opening event counts one output token as a placeholder, and so does the message that its SDK gathers
    from a stream that was cut short: such a usage is only the least that was used.
    """
    held = fields(item)
    return any("stop_reason" in part and part["stop_reason"] is None for part in (held, fields(held.get("message"))))


def finish_reasons(item: object) -> tuple[str, ...]:
    """Return the reasons that an item gives for the end of an answer, one per choice, as its API spells them.

    Knows the items that :func:`is_final` knows. OpenAI's responses give one only where an answer is incomplete.
    """
    if isinstance(item, str | bytes | bytearray):
        return ()
    outer = fields(item)
    inner = (fields(outer.get(name)) for name in ("delta", "data", "chunk", "messageStop", "response", "message"))
    for held in (outer, *inner):
        told = [_reason(held), *(_reason(fields(one)) for name in _LISTS for one in _items(held, name) or ())]
        reasons = tuple(reason for reason in told if reason is not None)
        if reasons:
            return reasons
    return ()


_LISTS = ("choices", "candidates")
_REASONS = ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason")


def _reason(held: Mapping[str, object]) -> str | None:
    for name in _REASONS:
        value = held.get(name)
        if _is_reason(value):
            told = getattr(value, "value", value)  # of an enum member
            return told if isinstance(told, str) else None
    reason = fields(held.get("incomplete_details")).get("reason")
    return reason if isinstance(reason, str) and reason else None


def _said(item: object) -> _Said | None:
    held = fields(item)
    for marks, reader in _SHAPES:
        if not marks.isdisjoint(held):
            reading = reader(held)
            if reading is not None:
                return reading
    return None


def _choices(held: Mapping[str, object]) -> _Said | None:
    """Read chunks of OpenAI's chat and completions, and of compatible APIs. The last one may hold usage only."""
    choices = _items(held, "choices")
    if choices is None:
        return None
    output = final = False
    for choice in map(fields, choices):
        output = output or _says(choice.get("text")) or _message_says(fields(choice.get("delta")))
        final = final or _completes(choice.get("finish_reason"))
    return _Said(output, final)


_MESSAGE_PARTS = (
    *("content", "reasoning", "reasoning_content", "reasoning_details", "thinking", "refusal"),
    *("tool_calls", "function_call", "audio", "images", "tool_plan"),
)


def _message_says(message: Mapping[str, object]) -> bool:
    return any(_says(message[name]) for name in _MESSAGE_PARTS if name in message)


def _says(value: object) -> bool:
    """Return True if a part of a message is not empty: a text, a list with a part that says something, a call."""
    if isinstance(value, str | bytes):
        return len(value) > 0
    if isinstance(value, list | tuple):
        return any(map(_says, value))
    held = fields(value)
    kinds = held.keys() & {"text", "thinking"}
    return any(_says(held[name]) for name in kinds) if kinds else bool(held)


def _candidates(held: Mapping[str, object]) -> _Said:
    """Read responses of Google's streamGenerateContent, in Python's spelling and in JSON's."""
    output = final = False
    for candidate in map(fields, _items(held, "candidates") or ()):
        parts = _items(fields(candidate.get("content")), "parts") or ()
        output = output or any(map(_part_says, map(fields, parts)))
        final = final or _is_reason(candidate.get("finish_reason") or candidate.get("finishReason"))
    # A prompt that was blocked has no candidates: the block reason is all of its answer.
    feedback = fields(held.get("prompt_feedback") or held.get("promptFeedback"))
    blocked = _is_reason(feedback.get("block_reason") or feedback.get("blockReason"))
    return _Said(output or blocked, final or blocked)


def _part_says(part: Mapping[str, object]) -> bool:
    # A thought's mark and its signature stand beside the part that they are about.
    return any(
        value for name, value in part.items() if name not in ("thought", "thought_signature", "thoughtSignature")
    )


def _is_reason(value: object) -> bool:
    name = getattr(value, "name", value)
    return bool(name) and not str(name).endswith("_UNSPECIFIED")


def _completes(reason: object) -> bool:
    """Return False for the reasons by which an API says that it broke off, which no answer is complete with."""
    name = getattr(reason, "name", reason)
    return bool(name) and str(name).upper() not in ("ERROR", "TIMEOUT")


def _message_end(held: Mapping[str, object]) -> _Said:
    """Read the last event of Cohere's stream: it sends no error, only this, with ``ERROR`` for a reason."""
    reason = held.get("finish_reason") or fields(held.get("delta")).get("finish_reason")
    return _Said(output=False, final=reason is None or _completes(reason))


def _converse(held: Mapping[str, object]) -> _Said | None:
    """Read events of Bedrock's ConverseStream: one field each, named after the event."""
    if len(held) > 1:
        return None
    started = fields(fields(held.get("contentBlockStart")).get("start"))
    delta = fields(fields(held.get("contentBlockDelta")).get("delta"))
    return _Said("toolUse" in started or any(map(_block_says, delta.values())), "messageStop" in held)


def _block_says(value: object) -> bool:
    held = fields(value)
    return any(map(_says, held.values())) if held else _says(value)


def _ollama(held: Mapping[str, object]) -> _Said | None:
    """Read lines of Ollama's chat and generate."""
    done = held.get("done")
    if not isinstance(done, bool) or held.keys().isdisjoint(("message", "response")):
        return None
    said = _says(held.get("response")) or _says(held.get("thinking")) or _message_says(fields(held.get("message")))
    return _Said(said, done)


def _event(held: Mapping[str, object]) -> _Said | None:
    """Read events that are named by their type: Anthropic's, OpenAI's responses and helpers, Cohere's."""
    kind = held.get("type") or held.get("event_type")
    if not isinstance(kind, str):
        return None
    known = _EVENTS.get(kind)
    if known is not None:
        return known if isinstance(known, _Said) else known(held)
    if not kind.startswith("response."):
        return None
    # OpenAI's responses name every delta of text, reasoning, refusals, arguments and audio alike.
    return _Said(kind.endswith(".delta") and _says(held.get("delta")))


def _helper_delta(held: Mapping[str, object]) -> _Said:
    """Read events of OpenAI's ``stream()`` helper: deltas of content, refusals and arguments."""
    return _Said(_says(held.get("delta")) or _says(held.get("arguments_delta")))


def _message_part(held: Mapping[str, object]) -> _Said:
    """Read Cohere's deltas: they hold a part of a message each, and one that opens a part is empty."""
    return _Said(_message_says(fields(fields(held.get("delta")).get("message"))))


def _block_start(held: Mapping[str, object]) -> _Said:
    """Read the start of Anthropic's blocks: text and thinking begin empty, a tool's name says something."""
    block = fields(held.get("content_block"))
    kind = block.get("type")
    if kind in ("text", "thinking"):
        return _Said(_says(block.get("text")) or _says(block.get("thinking")))
    return _Said(bool(block))


def _block_delta(held: Mapping[str, object]) -> _Said:
    delta = fields(held.get("delta"))
    return _Said(any(_says(delta.get(name)) for name in ("text", "thinking", "partial_json", "citation")))


def _message_delta(held: Mapping[str, object]) -> _Said:
    return _Said(output=False, final=bool(fields(held.get("delta")).get("stop_reason")))


def _text_event(held: Mapping[str, object]) -> _Said:
    """Read events named after what they hold: those of Anthropic's helper, and the text of Cohere's first version."""
    return _Said(any(_says(held.get(name)) for name in ("text", "thinking", "partial_json")))


def _item_added(held: Mapping[str, object]) -> _Said:
    """Read the start of an item of OpenAI's responses: it says nothing yet, but a call names what is called."""
    kind = fields(held.get("item")).get("type")
    return _Said(isinstance(kind, str) and kind.endswith("_call"))


def _inner_chunk(held: Mapping[str, object]) -> _Said:
    """Read the chunk that OpenAI's ``stream()`` helper hands on inside of an event."""
    return _said(held.get("chunk")) or _NOTHING


def _completion_event(held: Mapping[str, object]) -> _Said | None:
    """Read the chunk that Mistral's SDK wraps in an event."""
    inner = fields(held.get("data"))
    return _choices(inner) if "choices" in inner else None


_EVENTS: Mapping[str, _Said | Callable[[Mapping[str, object]], _Said]] = {
    # Anthropic, events and helper. Some SDKs raise its error, others hand it on.
    **dict.fromkeys(("ping", "error", "message_start", "signature", "content_block_stop"), _NOTHING),
    "content_block_start": _block_start,
    "content_block_delta": _block_delta,
    "message_delta": _message_delta,
    "message_stop": _FINAL,
    **dict.fromkeys(("text", "thinking", "input_json"), _text_event),
    # OpenAI: responses, and the stream() helper of chat completions
    "response.output_item.added": _item_added,
    "response.image_generation_call.partial_image": _OUTPUT,
    **dict.fromkeys(("response.completed", "response.incomplete", "response.failed"), _FINAL),
    "chunk": _inner_chunk,
    **dict.fromkeys(("content.delta", "refusal.delta", "tool_calls.function.arguments.delta"), _helper_delta),
    **dict.fromkeys(("content.done", "refusal.done", "tool_calls.function.arguments.done"), _NOTHING),
    # Cohere, second and first version
    **dict.fromkeys(("message-start", "content-end", "tool-call-end", "citation-start", "citation-end"), _NOTHING),
    **dict.fromkeys(("content-start", "content-delta", "tool-plan-delta", "tool-call-delta"), _message_part),
    "tool-call-start": _OUTPUT,
    "message-end": _message_end,
    "stream-start": _NOTHING,
    "text-generation": _text_event,
    "tool-calls-generation": _OUTPUT,
    "stream-end": _message_end,
}
"""What an event says by its name alone, or what reads it."""


def _items(held: Mapping[str, object], name: str) -> Iterable[object] | None:
    value = held.get(name)
    return value if isinstance(value, list | tuple) else None


_SHAPES: tuple[tuple[frozenset[str], Callable[[Mapping[str, object]], _Said | None]], ...] = (
    (frozenset({"choices"}), _choices),
    (frozenset({"candidates", "prompt_feedback", "promptFeedback", "usageMetadata"}), _candidates),
    (
        frozenset(
            {"messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"}
        ),
        _converse,
    ),
    (frozenset({"type", "event_type"}), _event),
    (frozenset({"done", "response"}), _ollama),
    (frozenset({"data"}), _completion_event),
)
