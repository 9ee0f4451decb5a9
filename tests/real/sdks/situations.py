"""What can go wrong at a provider, and a loopback server at which it does."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Literal

import attrs

__all__ = ["SITUATIONS", "Situation", "body_of", "loopback", "unused_port"]

Fault = Literal["refused", "reset", "silence", "garbage", "blank"]


@attrs.frozen
class Situation:
    """One thing that goes wrong.

    Attributes:
        name: as the table calls it.
        status: the status of the answer.
        kind: the kind of error that the provider's body describes; ``None`` for a body that describes none.
        retry_after: the header.
        fault: goes wrong without an answer, or with one that is no JSON.
    """

    name: str
    status: int = 200
    kind: str | None = None
    retry_after: str | None = None
    fault: Fault | None = None

    @property
    def timeout_s(self) -> float:
        """Choose the client's time-out: long where it must not matter, however busy the machine is."""
        return 1.0 if self.fault == "silence" else 20.0


SITUATIONS = (
    Situation("400, the prompt is too long", 400, "too_long"),
    Situation("401", 401, "auth"),
    Situation("403, refused for content", 403, "content"),
    Situation("404", 404, "not_found"),
    Situation("408", 408),
    Situation("413", 413),
    Situation("429", 429, "rate_limit"),
    Situation("429 with Retry-After: 3", 429, "rate_limit", retry_after="3"),
    Situation("429, the quota is spent", 429, "quota"),
    Situation("499", 499),
    Situation("500", 500, "server"),
    Situation("503", 503, "overloaded"),
    Situation("529", 529, "overloaded"),
    Situation("connection refused", fault="refused"),
    Situation("reset while reading", fault="reset"),
    Situation("read time-out", fault="silence"),
    Situation("a page of HTML under 200", fault="garbage"),
    Situation("blank lines under 200", fault="blank"),
    Situation("an error under 200", 200, "server"),
)

_REASONS = {499: "Client Closed Request", 529: "Site is overloaded"}
_PAGE = b"<html><title>502 Bad Gateway</title></html>"
_BLANK = b"\n\n\n\n"


@asynccontextmanager
async def loopback(situation: Situation, body: object) -> AsyncIterator[int]:
    """Serve one situation on a port of this machine, with this body where it is an answer."""
    if situation.fault == "refused":
        yield unused_port()
        return
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read_request(reader)
            await _answer(situation, _in_reply_to(asked, body), writer, over)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()
        await server.wait_closed()


def unused_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        return await reader.readuntil(b"0\r\n\r\n")
    lengths = [int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
    return await reader.readexactly(lengths[0] if lengths else 0)


def _in_reply_to(asked: bytes, body: object) -> object:
    """Give a JSON-RPC error the number of its request."""
    if isinstance(body, dict) and "jsonrpc" in body:
        return {**body, "id": json.loads(asked).get("id")}
    return body


async def _answer(situation: Situation, body: object, writer: asyncio.StreamWriter, over: asyncio.Event) -> None:
    if situation.fault == "silence":
        await over.wait()
        return
    text = {"garbage": _PAGE, "blank": _BLANK}.get(situation.fault or "", json.dumps(body).encode())
    kind = "text/html" if situation.fault == "garbage" else "application/json"
    length = len(text) + 100 if situation.fault == "reset" else len(text)
    reason = _REASONS.get(situation.status, "Reason")
    head = f"HTTP/1.1 {situation.status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
    head += "Connection: close\r\n"
    if situation.retry_after is not None:
        head += f"Retry-After: {situation.retry_after}\r\n"
    writer.write(head.encode() + b"\r\n" + text)
    await writer.drain()
    if situation.fault == "reset":
        await asyncio.sleep(0.05)
        # Closing with data unread, or lingering for no time, sends a reset and not an end.
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
        )
        writer.transport.abort()


def body_of(bodies: Mapping[str | None, object], situation: Situation) -> object:
    """Choose the body that a provider sends in a situation."""
    return bodies.get(situation.kind, bodies[None])
