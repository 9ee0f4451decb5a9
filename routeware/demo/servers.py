"""Loopback servers that answer chat completions as the recorded providers did, in a process of their own.

They do not share the caller's loop: a busy caller would slow its providers down, and the demo would measure itself. Run
as ``python -m routeware.demo.servers --seed 1 --speed-up 10``. The process writes one line of JSON, provider to port,
and lives until its standard input ends: a parent that dies in any way takes its servers along.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import assert_never

from aiohttp import web

from routeware.demo import DemoError
from routeware.demo.draws import Draw, Draws, Facts, Fault, Incident, packaged_facts
from routeware.demo.replies import CHAT, Answer, completion, openai_error

__all__ = ["INCIDENT_HEADER", "PATH", "REQUEST_HEADER", "DemoError", "main", "provider_app", "providers"]

_START_S = 30.0
_END_S = 5.0


@asynccontextmanager
async def providers(seed: int, speed_up: float) -> AsyncGenerator[Mapping[str, str]]:
    """Run the providers: yield provider to URL, and end their process on leaving, whatever the reason.

    Raises:
        DemoError: they do not start.
    """
    arguments = ("-m", "routeware.demo.servers", "--seed", str(seed), "--speed-up", str(speed_up))
    # A session of its own: Ctrl-C in a terminal goes to the caller alone, which then ends the servers in order.
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        ports = await _ports(process)
        yield {provider: f"http://127.0.0.1:{port}{PATH}" for provider, port in ports.items()}
    finally:
        await _end(process)


async def _ports(process: Process) -> Mapping[str, int]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
        ports: dict[str, int] = json.loads(line)
    except (TimeoutError, ValueError):
        raise DemoError("the demo's providers did not start") from None
    return ports


async def _end(process: Process) -> None:
    """Close its standard input, which is what it lives by; kill it if that does not help."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


PATH = CHAT.path
REQUEST_HEADER = "X-Demo-Request"
"""Says which request this is: its fate is drawn from its number, not from its place in a queue."""

INCIDENT_HEADER = "X-Demo-Incident"
"""Says what befalls the provider at this request: the scene is the caller's."""

_RETRY_AFTER_S = 1
_PIECES = 8
_EVENTS = "text/event-stream"


def provider_app(provider: str, facts: Facts, draws: Draws, speed_up: float) -> web.Application:
    """Make one provider: it answers, refuses or hangs up as drawn, ``speed_up`` times as fast as recorded."""

    async def complete(request: web.Request) -> web.StreamResponse:
        number = request.headers.get(REQUEST_HEADER, "")
        if not number.isdecimal():
            raise web.HTTPBadRequest(text=f"{REQUEST_HEADER} must be the number of the request")
        incident = request.headers.get(INCIDENT_HEADER)
        draw = draws.of(int(number), Incident(incident) if incident else None)[provider]
        await asyncio.sleep(draw.after_ms / 1000 / speed_up)
        if draw.fault is None and request.headers.get("Accept") == _EVENTS:
            return await _streamed(request, facts, provider, draw, speed_up)
        return _reply(request, facts, provider, draw)

    app = web.Application()
    app.router.add_post(PATH, complete)
    return app


def _reply(request: web.Request, facts: Facts, provider: str, draw: Draw) -> web.StreamResponse:
    match draw.fault:
        case None:
            return web.json_response(_completion(facts, provider, draw))
        case Fault.DROPPED:
            # Without one the caller has hung up first: its race was won by another.
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        case Fault.RATE_LIMITED:
            return _refusal(429, "rate_limit_exceeded", {"Retry-After": str(_RETRY_AFTER_S)})
        case Fault.SERVER_ERROR:
            return _refusal(500, "server_error", {})
        case Fault.OUT:
            return _refusal(503, "service_unavailable", {})
        case other:
            assert_never(other)


async def _streamed(
    request: web.Request, facts: Facts, provider: str, draw: Draw, speed_up: float
) -> web.StreamResponse:
    """Send an answer in pieces: the first at once, the others evenly, with a pause in the middle if one is drawn."""
    reply = web.StreamResponse(headers={"Content-Type": _EVENTS})
    whole = _completion(facts, provider, draw)
    with suppress(ConnectionResetError):  # its caller has hung up: the race was won by another
        await reply.prepare(request)
        for place in range(_PIECES):
            piece = {"choices": [{"index": 0, "delta": {"content": f"piece {place} by {provider} "}}]}
            await reply.write(_event(piece))
            pause_ms = draw.pause_ms if place == _PIECES // 2 else 0.0
            await asyncio.sleep((draw.after_ms / _PIECES + pause_ms) / 1000 / speed_up)
        await reply.write(_event({"choices": [], "usage": whole["usage"]}) + b"data: [DONE]\n\n")
    return reply


def _event(data: object) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _completion(facts: Facts, provider: str, draw: Draw) -> dict[str, object]:
    return completion(
        Answer(
            number=0,
            model=facts.models[provider],
            text=f"an answer by {provider}",
            input_tokens=facts.input_tokens,
            output_tokens=draw.output_tokens,
        )
    )


def _refusal(status: int, code: str, headers: dict[str, str]) -> web.Response:
    body = openai_error(status, code, "the demo's provider refuses this request")
    return web.json_response(body, status=status, headers=headers)


async def _serve(seed: int, speed_up: float) -> None:
    facts = packaged_facts()
    draws = Draws(facts, seed)
    async with AsyncExitStack() as running:
        ports: dict[str, int] = {}
        for provider in facts.providers:
            runner = web.AppRunner(provider_app(provider, facts, draws, speed_up), access_log=None, shutdown_timeout=0)
            await runner.setup()
            running.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ports[provider] = runner.addresses[0][1]
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m routeware.demo.servers", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what is drawn")
    parser.add_argument("--speed-up", type=float, default=1.0, help="how much faster than recorded")
    options = parser.parse_args(arguments)
    asyncio.run(_serve(options.seed, options.speed_up))


if __name__ == "__main__":
    main()
