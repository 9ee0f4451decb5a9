"""A loopback server of server-sent events: what each link sends, and when its client left."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

__all__ = ["CUT", "HANG", "Server", "running"]

CUT = "cut"
"""Close the connection in the middle of the body."""

HANG = "hang"
"""Send nothing any more."""


class Server:
    """One server for all links: the first part of the path is the link's label.

    Attributes:
        url: where it listens.
        scripts: by label, the events to send (mappings, bytes as they are, or one of the marks above), or a status to
            refuse with.
        asked: the labels that were asked, in order.
        left: when each label's client was seen to leave, by ``time.monotonic``.
        has_left: set when one has left.
    """

    def __init__(self) -> None:
        self.url = ""
        self.scripts: Mapping[str, Sequence[Any] | int] = {}
        self.asked: list[str] = []
        self.left: dict[str, float] = {}
        self.has_left = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Play the script of the link that is asked."""
        label = request.path.split("/")[1]
        self.asked.append(label)
        await request.read()
        script = self.scripts[label]
        if isinstance(script, int):
            return web.json_response({"error": {"message": "x", "type": "server_error"}}, status=script)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            await self._play(request, response, script)
        except (asyncio.CancelledError, ConnectionError):
            self.left[label] = time.monotonic()
            self.has_left.set()
            raise
        return response

    async def _play(self, request: web.BaseRequest, response: web.StreamResponse, script: Sequence[Any]) -> None:
        for event in script:
            if event == CUT:
                assert request.transport is not None
                request.transport.abort()
                return
            if event == HANG:
                await asyncio.sleep(30)
            if isinstance(event, bytes):  # of an API that frames its events otherwise
                await response.write(event)
                continue
            kind = event.get("type") if isinstance(event, dict) else None
            name = f"event: {kind}\n" if kind else ""
            text = event if isinstance(event, str) else json.dumps(event)
            await response.write(f"{name}data: {text}\n\n".encode())


@asynccontextmanager
async def running() -> AsyncIterator[Server]:
    """Run a server on a free port."""
    server = Server()
    runner = web.ServerRunner(web.Server(server.handle, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
