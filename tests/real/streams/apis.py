"""What real clients send and read: one generator function per API, as its users would write it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import attrs

from routeware import Attempt
from tests.real.streams import frames

__all__ = ["APIS", "Api"]

MESSAGES: Any = [{"role": "user", "content": "Why?"}]


@attrs.frozen(kw_only=True)
class Api:
    """How one API is read.

    Attributes:
        ask: the generator function, over ``(attempt, url)``.
        events: a whole answer.
        after: how many of them come up to the first that has output, that one included.
        error: what it sends where it fails after a 200; ``None`` where that is a finish reason among others.
        unfinished: how many events stand before the one that says that the answer is complete.
        hands_errors_on: True if its SDK gives an error event like any other.
        module: its SDK, where that is not among the tools for development: its tests are skipped without it.
    """

    ask: Callable[[Attempt, str], AsyncIterator[Any]]
    events: Sequence[Any]
    after: int
    error: Mapping[str, Any] | bytes | None
    unfinished: int
    hands_errors_on: bool = False
    module: str | None = None


async def openai_chat(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    import openai

    async with openai.AsyncOpenAI(api_key="k", base_url=f"{url}/{attempt.label}", max_retries=0) as client:
        chunks = await client.chat.completions.create(
            model=attempt.model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        async with chunks:
            async for chunk in chunks:
                yield attempt.report(chunk)


async def openai_helper(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    import openai

    async with (
        openai.AsyncOpenAI(api_key="k", base_url=f"{url}/{attempt.label}", max_retries=0) as client,
        client.chat.completions.stream(
            model=attempt.model, messages=MESSAGES, stream_options={"include_usage": True}
        ) as events,
    ):
        async for event in events:
            yield attempt.report(event)


async def openai_responses(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    import openai

    async with (
        openai.AsyncOpenAI(api_key="k", base_url=f"{url}/{attempt.label}", max_retries=0) as client,
        await client.responses.create(model=attempt.model, input="Why?", stream=True) as events,
    ):
        async for event in events:
            yield attempt.report(event)


async def anthropic_events(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    import anthropic

    async with (
        anthropic.AsyncAnthropic(api_key="k", base_url=f"{url}/{attempt.label}", max_retries=0) as client,
        await client.messages.create(model=attempt.model, max_tokens=5, messages=MESSAGES, stream=True) as events,
    ):
        async for event in events:
            yield attempt.report(event)


async def anthropic_helper(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    import anthropic

    async with (
        anthropic.AsyncAnthropic(api_key="k", base_url=f"{url}/{attempt.label}", max_retries=0) as client,
        client.messages.stream(model=attempt.model, max_tokens=5, messages=MESSAGES) as events,
    ):
        async for event in events:
            yield attempt.report(event)


async def google(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    import httpx
    from google import genai
    from google.genai import types

    async with httpx.AsyncClient() as http:
        options = types.HttpOptions(base_url=f"{url}/{attempt.label}", httpx_async_client=http)
        client = genai.Client(api_key="k", http_options=options)
        try:
            chunks = await client.aio.models.generate_content_stream(model=attempt.model, contents="Why?")
            async for chunk in chunks:
                yield attempt.report(chunk)
        finally:
            await client.aio.aclose()
            client.close()


async def mistral(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    from mistralai.client import Mistral

    async with (
        Mistral(api_key="k", server_url=f"{url}/{attempt.label}") as client,
        await client.chat.stream_async(model=attempt.model, messages=MESSAGES) as events,
    ):
        async for event in events:
            yield attempt.report(event)


def _chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-1", "choices": [choice], **more}


_CHAT_USAGE = {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26}
CHAT = [
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"content": "Ray"}),
    _chunk({"content": "leigh"}),
    _chunk({}, "stop"),
    {**_chunk({}), "choices": [], "usage": _CHAT_USAGE},
    "[DONE]",
]
MISTRAL = [*CHAT[:3], _chunk({"content": "."}, "stop", usage=_CHAT_USAGE), "[DONE]"]


def _response(status: str, **more: Any) -> dict[str, Any]:
    fixed = {"id": "r", "object": "response", "created_at": 1, "model": "m-1", "parallel_tool_calls": True}
    return {**fixed, "output": [], "tool_choice": "auto", "tools": [], "status": status, **more}


_RESPONSE_USAGE = {
    "input_tokens": 20,
    "output_tokens": 6,
    "total_tokens": 26,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
_DELTA = {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0, "logprobs": []}
RESPONSES = [
    {"type": "response.created", "sequence_number": 0, "response": _response("in_progress")},
    {**_DELTA, "sequence_number": 1, "delta": "Ray"},
    {**_DELTA, "sequence_number": 2, "delta": "leigh"},
    {
        "type": "response.completed",
        "sequence_number": 3,
        "response": _response("completed", usage=_RESPONSE_USAGE),
    },
]


def _block_delta(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


ANTHROPIC = [
    {
        "type": "message_start",
        "message": {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "m-1",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 20, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    _block_delta("Ray"),
    _block_delta("leigh"),
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 6},
    },
    {"type": "message_stop"},
]


def _google(text: str, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}
    usage = {"promptTokenCount": 20, "candidatesTokenCount": 6, "totalTokenCount": 26}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m-1"}


GOOGLE = [_google(""), _google("Ray"), _google("leigh", finishReason="STOP")]

_OPENAI_ERROR = {"error": {"message": "x", "type": "server_error", "code": None}}

APIS = {
    "openai chat": Api(ask=openai_chat, events=CHAT, after=2, error=_OPENAI_ERROR, unfinished=3),
    "openai stream()": Api(ask=openai_helper, events=CHAT, after=2, error=_OPENAI_ERROR, unfinished=3),
    "openai responses": Api(
        ask=openai_responses,
        events=RESPONSES,
        after=2,
        error={"type": "error", "code": "server_error", "message": "x", "param": None, "sequence_number": 1},
        unfinished=3,
        hands_errors_on=True,
    ),
    "anthropic events": Api(
        ask=anthropic_events,
        events=ANTHROPIC,
        after=4,
        error={"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
        unfinished=6,
    ),
    "anthropic stream()": Api(
        ask=anthropic_helper,
        events=ANTHROPIC,
        after=4,
        error={"type": "error", "error": {"type": "overloaded_error", "message": "x"}},
        unfinished=6,
    ),
    "google": Api(
        ask=google,
        events=GOOGLE,
        after=2,
        error={"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}},
        unfinished=2,
    ),
    "mistral": Api(
        ask=mistral,
        events=MISTRAL,
        after=2,
        error={"object": "error", "message": "x", "type": "internal_server_error", "code": "1000"},
        unfinished=3,
    ),
    "bedrock": Api(
        ask=frames.bedrock,
        events=frames.BEDROCK,
        after=2,
        error=frames.BEDROCK_ERROR,
        unfinished=4,
        module="aiobotocore",
    ),
    "cohere": Api(ask=frames.cohere, events=frames.COHERE, after=3, error=None, unfinished=5, module="cohere"),
    "ollama": Api(
        ask=frames.ollama,
        events=frames.OLLAMA,
        after=2,
        error=frames.OLLAMA_ERROR,
        unfinished=3,
        module="ollama",
    ),
}
