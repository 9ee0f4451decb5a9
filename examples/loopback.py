"""What the examples talk to: providers on loopback, each on a free port of its own, with OpenAI's form of answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
URLS: dict[str, str] = {}  # of the running providers, by name


def says(text: str = "", *, status: int = 200, after_ms: float = 0) -> Handler:
    async def answer(request: web.BaseRequest) -> web.Response:
        told = {"model": (await request.json())["model"], "choices": [{"message": {"content": text}}]}
        await asyncio.sleep(after_ms / 1000)
        return web.json_response({**told, "usage": {"prompt_tokens": 20, "completion_tokens": 600}}, status=status)

    return answer


@asynccontextmanager
async def providers(**handlers: Handler) -> AsyncIterator[None]:
    async with AsyncExitStack() as running:
        for name, handler in handlers.items():
            runner = web.ServerRunner(web.Server(handler, handler_cancellation=True))
            await runner.setup()
            running.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            URLS[name] = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield


async def post(provider: str, **body: object) -> Any:
    async with aiohttp.request("POST", URLS[provider], json=body) as reply:
        reply.raise_for_status()
        return await reply.json()
