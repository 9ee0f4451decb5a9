"""Three APIs of other shapes: Bedrock's binary frames, Cohere's events, and Ollama's lines of JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Mapping
from typing import Any
from zlib import crc32

from routeware import Attempt

__all__ = ["BEDROCK", "BEDROCK_ERROR", "COHERE", "OLLAMA", "OLLAMA_ERROR", "bedrock", "cohere", "ollama"]

QUESTION: Any = [{"role": "user", "content": "Why?"}]


async def bedrock(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    """Ask Bedrock's Converse."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    settings = {"aws_access_key_id": "k", "aws_secret_access_key": "k", "region_name": "us-east-1"}
    config = AioConfig(retries={"max_attempts": 0})
    endpoint = f"{url}/{attempt.label}"
    async with get_session().create_client(
        "bedrock-runtime", endpoint_url=endpoint, config=config, **settings
    ) as client:
        question = [{"role": "user", "content": [{"text": "Why?"}]}]
        reply = await client.converse_stream(modelId=attempt.model, messages=question)
        events = reply["stream"]
        try:
            async for event in events:
                yield attempt.report(event)
        finally:
            events.close()


async def cohere(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    """Ask Cohere's second version."""
    import httpx
    from cohere import AsyncClientV2

    async with httpx.AsyncClient() as http:
        client = AsyncClientV2(api_key="k", base_url=f"{url}/{attempt.label}", httpx_client=http, max_retries=0)
        async for event in client.chat_stream(model=attempt.model, messages=QUESTION):
            yield attempt.report(event)


async def ollama(attempt: Attempt, url: str) -> AsyncIterator[Any]:
    """Ask Ollama's chat."""
    from ollama import AsyncClient

    async with AsyncClient(host=f"{url}/{attempt.label}") as client:
        async for part in await client.chat(model=attempt.model, messages=QUESTION, stream=True):
            yield attempt.report(part)


def _frame(headers: Mapping[str, str], payload: object) -> bytes:
    """Encode a message of Amazon's event streams: lengths and a checksum, headers, payload, a checksum."""
    head = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in {**headers, ":content-type": "application/json"}.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", len(head) + len(body) + 16, len(head))
    message = prelude + struct.pack("!I", crc32(prelude)) + head + body
    return message + struct.pack("!I", crc32(message))


def _event(name: str, payload: object) -> bytes:
    return _frame({":message-type": "event", ":event-type": name}, payload)


def _text(text: str) -> bytes:
    return _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})


BEDROCK = [
    _event("messageStart", {"role": "assistant"}),
    _text("Ray"),
    _text("leigh"),
    _event("contentBlockStop", {"contentBlockIndex": 0}),
    _event("messageStop", {"stopReason": "end_turn"}),
    _event(
        "metadata", {"usage": {"inputTokens": 20, "outputTokens": 6, "totalTokens": 26}, "metrics": {"latencyMs": 9}}
    ),
]
BEDROCK_ERROR = _frame({":message-type": "exception", ":exception-type": "internalServerException"}, {"message": "x"})


def _content(kind: str, text: str) -> dict[str, Any]:
    return {"type": kind, "index": 0, "delta": {"message": {"content": {"type": "text", "text": text}}}}


_COUNTED = {"input_tokens": 20, "output_tokens": 6}
COHERE = [
    {"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant", "content": []}}},
    _content("content-start", ""),
    _content("content-delta", "Ray"),
    _content("content-delta", "leigh"),
    {"type": "content-end", "index": 0},
    {
        "type": "message-end",
        "id": "c",
        "delta": {"finish_reason": "COMPLETE", "usage": {"billed_units": _COUNTED, "tokens": _COUNTED}},
    },
    "[DONE]",
]


def _line(**part: Any) -> bytes:
    return json.dumps(part).encode() + b"\n"


def _part(text: str, **more: Any) -> bytes:
    done = bool(more)
    return _line(model="m-1", created_at="x", message={"role": "assistant", "content": text}, done=done, **more)


OLLAMA = [_part(""), _part("Ray"), _part("leigh"), _part("", done_reason="stop", prompt_eval_count=20, eval_count=6)]
OLLAMA_ERROR = _line(error="an error was encountered while running the model")
