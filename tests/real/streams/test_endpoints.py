"""FastAPI under uvicorn: a stream behind an endpoint, refused before its first item, and left by its reader."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

import routeware
from routeware import Attempt, CallRecord, RoutewareError, RoutingPolicy, Session, routed


class OutageError(Exception):
    """A provider's own error with a status."""

    status_code = 503


class Service:
    """An application over two links, and what became of its streams."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.sessions: list[Session] = []
        self.ended: dict[str, float] = {}
        self.down: set[str] = set()
        self.words = 3
        price = {"request_usd": 0.25}
        chain = [{"provider": one, "model": "m", "label": one, "price": price} for one in "ab"]
        self.ask = routed(RoutingPolicy.from_dict({"chain": chain}), on_call=self.records.append)(self._function())
        self.app = FastAPI()
        self.app.get("/chat")(self.chat)
        self.app.get("/budget")(self.with_budget)

    def _function(self) -> Any:
        async def ask(attempt: Attempt) -> AsyncIterator[str]:
            if attempt.provider in self.down:
                raise OutageError
            try:
                for word in range(self.words):
                    yield f"data: {word}\n\n"
                    await asyncio.sleep(0.02)
            finally:
                self.ended[attempt.provider] = time.monotonic()

        return ask

    async def chat(self) -> StreamingResponse:
        """Answer 502 where no link answers."""
        try:
            stream = await self.ask().start()
        except (RoutewareError, OutageError) as error:
            raise HTTPException(502) from error
        return StreamingResponse(stream, media_type="text/event-stream", headers={"x-answered-by": stream.link.label})

    async def with_budget(self) -> StreamingResponse:
        """Keep a session open for as long as the response streams."""

        async def body() -> AsyncIterator[str]:
            async with routeware.session("tenant", limit_usd=1) as spending:
                self.sessions.append(spending)
                async with self.ask() as stream:
                    async for item in stream:
                        yield item

        return StreamingResponse(body(), media_type="text/event-stream")


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[str]:
    """Serve it with uvicorn; the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(service.app, log_level="error", lifespan="off", timeout_graceful_shutdown=2))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


async def settled(service: Service) -> CallRecord:
    """Wait until a call is told."""
    async with asyncio.timeout(5):
        while not service.records:  # noqa: ASYNC110 - a hook of a record sets no event
            await asyncio.sleep(0.01)
    return service.records[0]


async def test_a_whole_answer_is_streamed_and_says_who_answers() -> None:
    """In a header, which goes out before the first byte of the body."""
    service = Service()
    service.down = {"a"}
    async with served(service) as url, httpx.AsyncClient() as client:
        reply = await client.get(f"{url}/chat")
    assert (reply.status_code, reply.headers["x-answered-by"]) == (200, "b")
    assert reply.text.count("data: ") == 3
    assert service.records[0].ended == "completed"


async def test_where_no_link_answers_a_502_is_still_possible() -> None:
    """Nothing has been sent."""
    service = Service()
    service.down = {"a", "b"}
    async with served(service) as url, httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/chat")).status_code == 502
    assert service.records[0].outcome == "failed"


async def test_a_reader_that_disconnects_ends_the_provider_and_is_settled() -> None:
    """Within a second."""
    service = Service()
    service.words = 1_000
    async with served(service) as url, httpx.AsyncClient() as client:
        async with client.stream("GET", f"{url}/chat") as reply:
            async for _ in reply.aiter_lines():
                break
        left = time.monotonic()
        record = await settled(service)
        assert service.ended["a"] - left < 1
    assert record.ended in {"closed", "cancelled"}
    assert record.uncertain_usd == 0.25


async def test_a_session_around_the_stream_is_settled_when_the_reader_disconnects() -> None:
    """And is left with nothing reserved."""
    service = Service()
    service.words = 1_000
    async with served(service) as url, httpx.AsyncClient() as client:
        async with client.stream("GET", f"{url}/budget") as reply:
            async for _ in reply.aiter_lines():
                break
        record = await settled(service)
    assert record.session_name == "tenant"
    (spending,) = service.sessions
    assert (spending.reserved_usd, spending.uncertain_usd) == (0, 0.25)
