"""The same situations at a gRPC server, as far as gRPC has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.real.sdks.situations import Situation, loopback, unused_port

__all__ = ["ANSWERS", "grpc_loopback", "has_grpc"]

ANSWERS: dict[str, tuple[str, str]] = {
    "400, the prompt is too long": (
        "INVALID_ARGUMENT",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    ),
    "401": ("UNAUTHENTICATED", "no"),
    "403, refused for content": ("PERMISSION_DENIED", "Content violates usage guidelines."),
    "404": ("NOT_FOUND", "no"),
    "408": ("DEADLINE_EXCEEDED", "no"),
    "429": ("RESOURCE_EXHAUSTED", "no"),
    "429 with Retry-After: 3": ("RESOURCE_EXHAUSTED", "no"),
    "429, the quota is spent": ("RESOURCE_EXHAUSTED", "Your team has used all available credits."),
    "499": ("CANCELLED", "no"),
    "500": ("INTERNAL", "no"),
    "503": ("UNAVAILABLE", "no"),
}
"""The code and the text that stand for an HTTP status."""

_FAULTS = frozenset({"refused", "reset", "silence", "garbage"})


def has_grpc(situation: Situation) -> bool:
    """Tell whether a situation can arise in gRPC: it has no 413 or 529, and no error under 200."""
    return situation.name in ANSWERS or situation.fault in _FAULTS


@asynccontextmanager
async def grpc_loopback(situation: Situation) -> AsyncIterator[int]:
    """Serve one situation over gRPC."""
    if situation.fault == "refused":
        async with loopback(situation, None) as port:
            yield port
        return
    import grpc.aio

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_handler(situation),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        if situation.fault == "reset":
            async with _cutting_off(port) as between:
                yield between
        else:
            yield port
    finally:
        await server.stop(0)


def _handler(situation: Situation) -> Any:
    import grpc

    async def answer(_request: bytes, context: Any) -> bytes:
        if situation.fault in {"silence", "reset"}:
            await asyncio.sleep(60)
        if situation.fault is None:
            code, text = ANSWERS[situation.name]
            metadata = () if situation.retry_after is None else (("retry-after", situation.retry_after),)
            await context.abort(getattr(grpc.StatusCode, code), text, metadata)
        return b"\xff\xff\xff"

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc comes without types
        def service(self, _details: object) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer)

    return Handler()


@asynccontextmanager
async def _cutting_off(port: int) -> AsyncIterator[int]:
    """Stand between client and server, and cut the connection off when the request is under way."""
    writers: list[asyncio.StreamWriter] = []
    running: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except ConnectionError:
            pass  # cut off

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writers.extend((writer, back))
        running.update(asyncio.ensure_future(forward(*ends)) for ends in ((reader, back), (there, writer)))
        await asyncio.sleep(0.15)
        for end in (writer, back):
            end.transport.abort()

    between = await asyncio.start_server(connect, "127.0.0.1", unused_port())
    try:
        yield between.sockets[0].getsockname()[1]
    finally:
        between.close()
        for end in writers:
            end.transport.abort()
        await asyncio.gather(*running)
