"""What the examples of streams talk to: providers that send OpenAI's events, and a client that reads them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import web
from loopback import URLS, Handler


def streams(*words: str, after_ms: float = 0) -> Handler:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        chunks: list[Any] = [{"choices": [{"delta": {"role": "assistant"}}]}]
        chunks += [{"choices": [{"delta": {"content": word}}]} for word in words]
        chunks += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}]
        chunks += [{"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 600}}]
        for chunk in chunks:
            await reply.write(f"data: {json.dumps(chunk)}\n\n".encode())
            await asyncio.sleep(after_ms / 1000)
        return reply

    return answer


async def events(provider: str, **body: object) -> AsyncIterator[Any]:
    async with aiohttp.request("POST", URLS[provider], json=body) as reply:
        reply.raise_for_status()
        async for line in reply.content:
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
