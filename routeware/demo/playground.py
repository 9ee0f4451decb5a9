"""Providers on loopback for your own code to call: they answer as OpenAI and Anthropic do, and need no key.

Every answer is the same sentence. How a provider behaves is named by the end of the model's name (``gpt-4o-down``) or,
for a program that you don't want to change, by the beginning of the base URL's path (``/down/openai/v1``).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, assert_never

import attrs
from aiohttp import web

from routeware.demo import DemoError
from routeware.demo.replies import CHAT, MESSAGES, RESPONSES, Answer, Api, prompt_tokens, tokens

__all__ = ["ANSWER", "Behaviour", "Exchange", "playground"]

ANSWER = "Air scatters blue light most."

_FIRST_S = 0.2
_SLOW_S = 3.0
_WORD_S = 0.03
_NO_HEADERS: Mapping[str, str] = {}
_RETRY_LATER = {"Retry-After": "1"}
_LARGEST_REQUEST = 64 * 2**20  # images travel in requests
_PROVIDERS: Mapping[str, tuple[Api, ...]] = {"openai": (CHAT, RESPONSES), "anthropic": (MESSAGES, CHAT)}
_OVERLOADED = {"openai": 503, "anthropic": 529}


class Behaviour(StrEnum):
    """The way in which a provider fails, where it is asked to."""

    SLOW = "slow"
    DOWN = "down"
    LIMITED = "limited"
    DROPPED = "dropped"


@attrs.frozen
class Exchange:
    """One request: the provider, the model, and its outcome (a status, ``hung up`` or ``caller left``)."""

    provider: str
    model: str
    outcome: str


@asynccontextmanager
async def playground(port: int, on_exchange: Callable[[Exchange], None]) -> AsyncGenerator[str]:
    """Serve both providers until left, and yield the address; port 0 takes a free one.

    Raises:
        DemoError: the port is in use, or this user may not open it.
    """
    app = web.Application(client_max_size=_LARGEST_REQUEST)
    numbers = itertools.count(1)
    for provider, apis in _PROVIDERS.items():
        for api in apis:
            endpoint = _Endpoint(provider, api, on_exchange, numbers)
            for behaviour in ("", *(f"/{each.value}" for each in Behaviour)):
                app.router.add_post(f"{behaviour}/{provider}{api.path}", endpoint.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            problem = error.strerror or str(error)
            raise DemoError(f"cannot listen on port {port}: {problem}; --port 0 takes a free one") from None
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@attrs.frozen
class _Endpoint:
    """One provider's endpoint."""

    provider: str
    api: Api
    on_exchange: Callable[[Exchange], None]
    numbers: itertools.count[int]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer, refuse or hang up, and report it."""
        asked = await _body(request)
        model, outcome = str(asked.get("model", "")), "caller left"
        try:
            reply = await self._reply(request, asked, model, _behaviour(request.path, model))
            outcome = "hung up" if reply is None else str(reply.status)
        except ConnectionResetError:
            reply = None
        finally:
            self.on_exchange(Exchange(self.provider, model, outcome))
        return web.Response() if reply is None else reply

    async def _reply(
        self, request: web.Request, asked: Mapping[str, Any], model: str, behaviour: Behaviour | None
    ) -> web.StreamResponse | None:
        """Return the reply, once a stream has been sent; ``None`` after hanging up."""
        if not model:
            return self._refusal(400, "invalid_request_error", "the body must be a JSON object with a model")
        match behaviour:
            case Behaviour.DOWN:
                return self._refusal(_OVERLOADED[self.provider], "server_overloaded", "this provider is down")
            case Behaviour.LIMITED:
                return self._refusal(429, "rate_limit_exceeded", "too many requests", _RETRY_LATER)
            case Behaviour.DROPPED:
                request.protocol.force_close()
                return None
            case Behaviour.SLOW | None:
                await asyncio.sleep(_FIRST_S if behaviour is None else _SLOW_S)
                answer = self._answer(model, asked)
                if asked.get("stream"):
                    return await _sent(request, self.api.events(answer, asked))
                return web.json_response(self.api.whole(answer))
            case other:
                assert_never(other)

    def _refusal(self, status: int, code: str, message: str, headers: Mapping[str, str] = _NO_HEADERS) -> web.Response:
        return web.json_response(self.api.error(status, code, message), status=status, headers=headers)

    def _answer(self, model: str, asked: Mapping[str, Any]) -> Answer:
        spent = {"input_tokens": prompt_tokens(asked), "output_tokens": tokens(ANSWER)}
        return Answer(number=next(self.numbers), model=model, text=ANSWER, **spent)


async def _sent(request: web.Request, events: Iterable[str]) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await reply.prepare(request)
    for event in events:
        await reply.write(event.encode())
        await asyncio.sleep(_WORD_S)
    return reply


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _behaviour(path: str, model: str) -> Behaviour | None:
    """Read how to behave off the beginning of the path, else off the end of the model's name."""
    words = (path.split("/")[1], model.rpartition("-")[2])
    return next((Behaviour(word) for word in words if word.upper() in Behaviour.__members__), None)
