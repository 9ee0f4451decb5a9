"""Items of streams: which of them hold output, and which say that the answer is complete, API by API."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from google.genai.types import BlockedReason, GenerateContentResponse
from mistralai.client.models import CompletionEvent
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from routeware.pricing.chunks import finish_reasons, has_output, is_final


def chat(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """Give a chunk of OpenAI's chat completions."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def completion(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    """Give a chunk of OpenAI's completions."""
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
    return {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}


def candidate(*parts: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """Give a chunk of Google's streamGenerateContent, as JSON."""
    given = {"content": {"role": "model", "parts": list(parts)}}
    return {"candidates": [given | ({"finishReason": finish_reason} if finish_reason else {})]}


def cohere(kind: str, **message: Any) -> dict[str, Any]:
    """Give an event of Cohere's second version."""
    return {"type": kind, "index": 0, "delta": {"message": message}}


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CALL = {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}
ITEM = {"id": "1", "type": "message", "role": "assistant", "content": [], "status": "in_progress"}
CALLED = {"id": "1", "type": "function_call", "call_id": "1", "name": "f", "arguments": ""}
TOOL = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
MESSAGE = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
RESPONSE = {
    "id": "1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}

# For each API: its items, whether each holds output, whether each is final.
OPENAI_CHAT: list[tuple[dict[str, Any], bool, bool]] = [
    (chat({"role": "assistant", "content": "", "refusal": None}), False, False),
    (chat({"content": "Hi"}), True, False),
    (chat({"refusal": "I can't"}), True, False),
    (chat({"reasoning_content": "hm"}), True, False),
    (chat({"reasoning": ""}), False, False),
    (chat({"tool_calls": [CALL]}), True, False),
    (chat({"audio": {"id": "1", "data": "AA=="}}), True, False),
    (chat({}, "stop"), False, True),
    (chat({"content": "."}, "length"), True, True),
    (chat({}) | {"choices": [], "usage": USAGE}, False, False),
]
OPENAI_COMPLETIONS: list[tuple[dict[str, Any], bool, bool]] = [
    (completion(""), False, False),
    (completion("Hi"), True, False),
    (completion("", "stop"), False, True),
]
OPENAI_RESPONSES: list[tuple[dict[str, Any], bool, bool]] = [
    ({"type": "response.created", "sequence_number": 0, "response": RESPONSE}, False, False),
    ({"type": "response.in_progress", "sequence_number": 1, "response": RESPONSE}, False, False),
    ({"type": "response.output_item.added", "sequence_number": 2, "output_index": 0, "item": ITEM}, False, False),
    ({"type": "response.output_item.added", "sequence_number": 2, "output_index": 0, "item": CALLED}, True, False),
    (
        {
            "type": "response.output_text.delta",
            "sequence_number": 3,
            "item_id": "1",
            "output_index": 0,
            "content_index": 0,
            "delta": "Hi",
            "logprobs": [],
        },
        True,
        False,
    ),
    (
        {
            "type": "response.reasoning_summary_text.delta",
            "sequence_number": 3,
            "item_id": "1",
            "output_index": 0,
            "summary_index": 0,
            "delta": "hm",
        },
        True,
        False,
    ),
    (
        {
            "type": "response.output_text.done",
            "sequence_number": 4,
            "item_id": "1",
            "output_index": 0,
            "content_index": 0,
            "text": "Hi",
            "logprobs": [],
        },
        False,
        False,
    ),
    ({"type": "response.completed", "sequence_number": 5, "response": RESPONSE}, False, True),
    ({"type": "response.incomplete", "sequence_number": 5, "response": RESPONSE}, False, True),
    ({"type": "response.failed", "sequence_number": 5, "response": RESPONSE}, False, True),
]
ANTHROPIC: list[tuple[dict[str, Any], bool, bool]] = [
    ({"type": "message_start", "message": MESSAGE}, False, False),
    ({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, False, False),
    (
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        False,
        False,
    ),
    ({"type": "content_block_start", "index": 0, "content_block": TOOL}, True, False),
    ({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}, True, False),
    ({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}}, False, False),
    ({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}, True, False),
    (
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        True,
        False,
    ),
    ({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}}, False, False),
    ({"type": "content_block_stop", "index": 0}, False, False),
    (
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 9},
        },
        False,
        True,
    ),
    ({"type": "message_stop"}, False, True),
]
GOOGLE: list[tuple[dict[str, Any], bool, bool]] = [
    (candidate({"text": "Hi"}), True, False),
    (candidate({"text": ""}), False, False),
    (candidate({"text": "hm", "thought": True}), True, False),
    (candidate({"text": "", "thoughtSignature": "AA=="}), False, False),
    (candidate({"functionCall": {"name": "f", "args": {}}}), True, False),
    (candidate({"inlineData": {"mimeType": "audio/wav", "data": "AA=="}}), True, False),
    (candidate(finish_reason="STOP"), False, True),
    (candidate(finish_reason="FINISH_REASON_UNSPECIFIED"), False, False),
    ({"promptFeedback": {"blockReason": "SAFETY"}}, True, True),
    ({"usageMetadata": {"promptTokenCount": 3}}, False, False),
]
MISTRAL: list[tuple[dict[str, Any], bool, bool]] = [
    ({"data": chat({"role": "assistant", "content": ""})}, False, False),
    ({"data": chat({"content": "Hi"})}, True, False),
    ({"data": chat({"content": [{"type": "text", "text": ""}]})}, False, False),
    ({"data": chat({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]})}, True, False),
    ({"data": chat({"content": ""}, "stop")}, False, True),
]
OTHERS: list[tuple[object, bool, bool]] = [
    # OpenAI's stream() helper
    ({"type": "chunk", "chunk": chat({"content": "Hi"}), "snapshot": {}}, True, False),
    ({"type": "chunk", "chunk": chat({}, "stop"), "snapshot": {}}, False, True),
    ({"type": "chunk", "chunk": "what"}, False, False),
    ({"type": "content.delta", "delta": "Hi", "snapshot": "Hi"}, True, False),
    ({"type": "content.done", "content": "Hi"}, False, False),
    ({"type": "tool_calls.function.arguments.delta", "arguments_delta": "{"}, True, False),
    ({"type": "response.image_generation_call.partial_image", "partial_image_b64": "AA=="}, True, False),
    # Anthropic's helper
    ({"type": "text", "text": "Hi", "snapshot": "Hi"}, True, False),
    ({"type": "input_json", "partial_json": "", "snapshot": {}}, False, False),
    ({"type": "ping"}, False, False),
    # Bedrock's Converse
    ({"messageStart": {"role": "assistant"}}, False, False),
    (
        {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "1", "name": "f"}}, "contentBlockIndex": 0}},
        True,
        False,
    ),
    ({"contentBlockDelta": {"delta": {"text": "Hi"}, "contentBlockIndex": 0}}, True, False),
    ({"contentBlockDelta": {"delta": {"text": ""}, "contentBlockIndex": 0}}, False, False),
    ({"contentBlockDelta": {"delta": {"reasoningContent": {"text": "hm"}}, "contentBlockIndex": 0}}, True, False),
    ({"contentBlockStop": {"contentBlockIndex": 0}}, False, False),
    ({"messageStop": {"stopReason": "end_turn"}}, False, True),
    ({"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}}, False, False),
    # Cohere
    ({"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant"}}}, False, False),
    (cohere("content-start", content={"type": "text", "text": ""}), False, False),
    (cohere("content-delta", content={"text": "Hi"}), True, False),
    (cohere("content-delta", content={"thinking": "hm"}), True, False),
    (cohere("tool-plan-delta", tool_plan="first"), True, False),
    (cohere("tool-call-start", tool_calls={"id": "1"}), True, False),
    ({"type": "content-end", "index": 0}, False, False),
    ({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}, False, True),
    ({"type": "message-end", "delta": {"finish_reason": "MAX_TOKENS"}}, False, True),
    ({"type": "message-end", "delta": {"finish_reason": "ERROR"}}, False, False),
    ({"type": "message-end", "delta": {"finish_reason": "TIMEOUT"}}, False, False),
    ({"type": "message-end", "delta": {}}, False, True),
    ({"event_type": "stream-start", "is_finished": False}, False, False),
    ({"event_type": "text-generation", "text": "Hi", "is_finished": False}, True, False),
    ({"event_type": "stream-end", "is_finished": True}, False, True),
    ({"event_type": "stream-end", "finish_reason": "ERROR_TOXIC", "is_finished": True}, False, True),
    ({"event_type": "stream-end", "finish_reason": "ERROR_LIMIT", "is_finished": True}, False, True),
    ({"event_type": "stream-end", "finish_reason": "ERROR", "is_finished": True}, False, False),
    # OpenRouter's and Mistral's word for a provider that broke off
    ({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}, False, False),
    # Ollama
    ({"model": "m", "message": {"role": "assistant", "content": ""}, "done": False}, False, False),
    ({"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": False}, True, False),
    ({"model": "m", "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False}, True, False),
    ({"model": "m", "response": "Hi", "done": False}, True, False),
    ({"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}, False, True),
    # Texts and everything else
    (SimpleNamespace(choices=[SimpleNamespace(delta=SimpleNamespace(content="Hi"), finish_reason=None)]), True, False),
    (SimpleNamespace(token="Hi"), True, False),
    ({"type": "message", "text": "Hi"}, True, False),
    ({"metadata": {"a": 1}, "text": "Hi"}, True, False),
    ({"done": True}, True, False),
    ({"data": "Hi"}, True, False),
    ({"data": {"text": "Hi"}}, True, False),
    ({"choices": "Hi"}, True, False),
    ({"type": 5}, True, False),
    (("response", "chunk"), True, False),
    (None, True, False),
    (0, True, False),
    (object(), True, False),
]


def rows(items: list[tuple[Any, bool, bool]], model: Any = None) -> list[tuple[object, bool, bool]]:
    """Give the items as JSON, and as the SDK builds them."""
    adapter = None if model is None else TypeAdapter[Any](model)
    built = [] if adapter is None else [(adapter.validate_python(item), says, final) for item, says, final in items]
    return [*items, *built]


EVERYTHING = [
    *rows(OPENAI_CHAT, ChatCompletionChunk),
    *rows(OPENAI_COMPLETIONS),
    (Completion.construct(**completion("Hi")), True, False),
    *rows(OPENAI_RESPONSES, ResponseStreamEvent),
    *rows(ANTHROPIC, RawMessageStreamEvent),
    *rows(GOOGLE, GenerateContentResponse),
    *rows(MISTRAL, CompletionEvent),
    *OTHERS,
]


@pytest.mark.parametrize(("item", "says", "final"), EVERYTHING, ids=lambda value: repr(value)[:60])
def test_an_item_says_something_and_says_whether_it_is_the_last(item: object, says: bool, final: bool) -> None:
    """Roles, pings and usage win no race; a finish reason is no output, and output is no finish reason."""
    assert (has_output(item), is_final(item)) == (says, final)


@pytest.mark.parametrize("text", ["Hi", "", b"Hi", b"", bytearray(b"Hi")])
def test_a_text_is_output_unless_empty_and_cannot_be_asked_whether_it_is_the_last(text: str | bytes) -> None:
    """False would make every complete stream of texts look cut short."""
    assert has_output(text) is (len(text) > 0)
    with pytest.raises(TypeError, match=f"is_final cannot tell from {type(text).__name__}"):
        is_final(text)


def test_a_blocked_prompt_is_final_with_an_enum_too() -> None:
    """Google's SDK turns reasons into members of an enum."""
    reply = GenerateContentResponse.model_validate({"promptFeedback": {"blockReason": "SAFETY"}})

    assert reply.prompt_feedback is not None
    assert reply.prompt_feedback.block_reason is BlockedReason.SAFETY
    assert is_final(reply)


@pytest.mark.parametrize(
    ("item", "reasons"),
    [
        ({"choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}]}, ("stop", "length")),
        (GenerateContentResponse.model_validate({"candidates": [{"finishReason": "MAX_TOKENS"}]}), ("MAX_TOKENS",)),
        ({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, ("end_turn",)),
        ({"data": {"choices": [{"finish_reason": "tool_calls"}]}}, ("tool_calls",)),
        ({"messageStop": {"stopReason": "end_turn"}}, ("end_turn",)),
        ({"done": True, "done_reason": "stop", "message": {}}, ("stop",)),
        (
            {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}},
            ("max_output_tokens",),
        ),
        ({"choices": [{"finish_reason": None}]}, ()),
        ({"finish_reason": 3}, ()),
        ("stop", ()),
        (object(), ()),
    ],
)
def test_an_item_says_why_the_model_stopped(item: object, reasons: tuple[str, ...]) -> None:
    """As its API spells it."""
    assert finish_reasons(item) == reasons
