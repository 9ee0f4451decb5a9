"""The replies of providers: whole answers, streamed answers and refusals in the forms of OpenAI and Anthropic.

Only the shapes are here. When they are sent, and over what, is the servers' concern.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs

__all__ = [
    "CHAT",
    "MESSAGES",
    "RESPONSES",
    "Answer",
    "Api",
    "prompt_tokens",
    "tokens",
]

Json = dict[str, Any]

_TEXT_KEYS = ("messages", "input", "instructions", "system", "content", "text")
_CHARACTERS_PER_TOKEN = 4


@attrs.frozen(kw_only=True)
class Answer:
    """The reply of a provider to one request, the ``number``-th of its server: ids are made from that."""

    number: int
    model: str
    text: str
    input_tokens: int
    output_tokens: int

    def words(self) -> list[str]:
        """Return the pieces of a stream."""
        return re.findall(r"\S+\s*", self.text)


@attrs.frozen(kw_only=True)
class Api:
    """One endpoint's form: its path below the provider's base URL, and what makes an answer, a stream and a refusal."""

    path: str
    whole: Callable[[Answer], Json]
    events: Callable[[Answer, Mapping[str, Any]], Iterator[str]]
    error: Callable[[int, str, str], Json]


def tokens(text: str) -> int:
    """Count a text's tokens roughly: four characters each, as in English."""
    return max(1, len(text) // _CHARACTERS_PER_TOKEN)


def prompt_tokens(asked: Mapping[str, Any]) -> int:
    """Count the tokens of a request's texts."""
    return tokens("".join(_texts(asked)))


def _completion(answer: Answer) -> Json:
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {**_chat(answer, "chat.completion"), "choices": [choice], "usage": _chat_usage(answer)}


def _openai_error(_status: int, code: str, message: str) -> Json:
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        for key in _TEXT_KEYS:
            yield from _texts(part.get(key))
    elif isinstance(part, list):
        for each in part:
            yield from _texts(each)


def _chat(answer: Answer, kind: str) -> Json:
    return {"id": f"chatcmpl-{answer.number}", "object": kind, "created": 0, "model": answer.model}


def _chat_usage(answer: Answer) -> Json:
    total = answer.input_tokens + answer.output_tokens
    return {"prompt_tokens": answer.input_tokens, "completion_tokens": answer.output_tokens, "total_tokens": total}


def _chat_events(answer: Answer, asked: Mapping[str, Any]) -> Iterator[str]:
    chunk = _chat(answer, "chat.completion.chunk")

    def event(delta: Json, finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"

    yield event({"role": "assistant", "content": ""})
    yield from (event({"content": word}) for word in answer.words())
    yield event({}, "stop")
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield f"data: {json.dumps({**chunk, 'choices': [], 'usage': _chat_usage(answer)})}\n\n"
    yield "data: [DONE]\n\n"


def _response(answer: Answer, status: str = "completed") -> Json:
    done = status == "completed"
    total = answer.input_tokens + answer.output_tokens
    usage = {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": total,
    }
    return {
        "id": f"resp_{answer.number}",
        "object": "response",
        "created_at": 0,
        "status": status,
        "model": answer.model,
        "output": [_output_item(answer, status)] if done else [],
        "usage": usage if done else None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }


def _output_item(answer: Answer, status: str) -> Json:
    content = [_output_text(answer.text)] if status == "completed" else []
    item = {"id": f"msg_{answer.number}", "type": "message", "role": "assistant"}
    return {**item, "status": status, "content": content}


def _output_text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def _response_events(answer: Answer, _asked: Mapping[str, Any]) -> Iterator[str]:
    place = {"item_id": f"msg_{answer.number}", "output_index": 0, "content_index": 0}
    events: Iterable[Json] = (
        {"type": "response.created", "response": _response(answer, "in_progress")},
        {"type": "response.in_progress", "response": _response(answer, "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": _output_item(answer, "in_progress")},
        {"type": "response.content_part.added", **place, "part": _output_text("")},
        *({"type": "response.output_text.delta", **place, "delta": word, "logprobs": []} for word in answer.words()),
        {"type": "response.output_text.done", **place, "text": answer.text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": _output_text(answer.text)},
        {"type": "response.output_item.done", "output_index": 0, "item": _output_item(answer, "completed")},
        {"type": "response.completed", "response": _response(answer)},
    )
    counter = itertools.count()
    yield from (_named_event({**event, "sequence_number": next(counter)}) for event in events)


def _message(answer: Answer) -> Json:
    return {
        "id": f"msg_{answer.number}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [{"type": "text", "text": answer.text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens},
    }


def _message_events(answer: Answer, _asked: Mapping[str, Any]) -> Iterator[str]:
    whole = _message(answer)
    start = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    events: Iterable[Json] = (
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in answer.words()
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": answer.output_tokens}},
        {"type": "message_stop"},
    )
    yield from map(_named_event, events)


def _named_event(event: Json) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _anthropic_error(status: int, _code: str, message: str) -> Json:
    error = {"type": _ANTHROPIC_TYPES.get(status, "api_error"), "message": message}
    return {"type": "error", "error": error, "request_id": None}


CHAT = Api(path="/v1/chat/completions", whole=_completion, events=_chat_events, error=_openai_error)
RESPONSES = Api(path="/v1/responses", whole=_response, events=_response_events, error=_openai_error)
MESSAGES = Api(path="/v1/messages", whole=_message, events=_message_events, error=_anthropic_error)
