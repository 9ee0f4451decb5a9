"""Loopback servers that answer chat completions as the recorded providers did, in a process of their own.

They do not share the caller's loop: a busy caller would slow its providers down, and the demo would measure itself.
The process is given a seed and a speed-up. It writes one line of JSON, provider to port, and lives until its standard
input ends: a parent that dies in any way takes its servers along.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from aiohttp import web

from routeware.demo import DemoError
from routeware.demo.draws import Draw, Draws, Fault, Incident, packaged_facts
from routeware.demo.replies import CHAT, Answer

__all__ = ["EVENTS", "INCIDENT_HEADER", "REQUEST_HEADER", "providers"]

EVENTS = "text/event-stream"

REQUEST_HEADER = "X-Demo-Request"
"""Says which request this is: its fate is drawn from its number, not from its place in a queue."""

INCIDENT_HEADER = "X-Demo-Incident"
"""Says what befalls the provider at this request: the scene is the caller's."""

_START_S = 30.0
_END_S = 5.0
# The role, six words and the end; the usage and the mark of the end come with the last of them.
_PIECES = 8
_WITH_USAGE = {"stream_options": {"include_usage": True}}
_REFUSALS = {
    Fault.RATE_LIMITED: (429, "rate_limit_exceeded"),
    Fault.SERVER_ERROR: (500, "server_error"),
    Fault.OUT: (503, "service_unavailable"),
}


@asynccontextmanager
async def providers(seed: int, speed_up: float) -> AsyncGenerator[Mapping[str, str]]:
    """Run the providers: yield provider to URL, and end their process on leaving, whatever the reason.

    Raises:
        DemoError: they do not start.
    """
    # A session of its own: Ctrl-C in a terminal goes to the caller alone, which then ends the servers in order.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, str(seed), str(speed_up), stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        yield {provider: f"http://127.0.0.1:{port}{CHAT.path}" for provider, port in (await _ports(process)).items()}
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


async def _serve(seed: int, speed_up: float) -> None:
    draws = Draws(packaged_facts(), seed)
    async with AsyncExitStack() as running:
        ports: dict[str, int] = {}
        for provider in packaged_facts().providers:
            runner = web.AppRunner(_app(provider, draws, speed_up), access_log=None, shutdown_timeout=0)
            await runner.setup()
            running.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ports[provider] = runner.addresses[0][1]
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


def _app(provider: str, draws: Draws, speed_up: float) -> web.Application:
    """Make one provider: it answers, refuses or hangs up as drawn, ``speed_up`` times as fast as recorded."""

    async def complete(request: web.Request) -> web.StreamResponse:
        number = request.headers.get(REQUEST_HEADER, "")
        if not number.isdecimal():
            raise web.HTTPBadRequest(text=f"{REQUEST_HEADER} must be the number of the request")
        incident = request.headers.get(INCIDENT_HEADER)
        draw = draws.of(int(number), Incident(incident) if incident else None)[provider]
        await asyncio.sleep(draw.after_ms / 1000 / speed_up)
        if draw.fault is not None:
            return _refused(request, draw.fault)
        if request.headers.get("Accept") == EVENTS:
            return await _streamed(request, provider, draw, speed_up)
        return web.json_response(CHAT.whole(_answer(provider, draw)))

    app = web.Application()
    app.router.add_post(CHAT.path, complete)
    return app


def _refused(request: web.Request, fault: Fault) -> web.Response:
    if fault is Fault.DROPPED:
        # Without one the caller has hung up first: its race was won by another.
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    status, code = _REFUSALS[fault]
    body = CHAT.error(status, code, "the demo's provider refuses this request")
    return web.json_response(body, status=status, headers={"Retry-After": "1"} if status == 429 else {})


async def _streamed(request: web.Request, provider: str, draw: Draw, speed_up: float) -> web.StreamResponse:
    """Send an answer in pieces: the first at once, the others evenly, with a pause in the middle if one is drawn."""
    reply = web.StreamResponse(headers={"Content-Type": EVENTS})
    with suppress(ConnectionResetError):  # its caller has hung up: the race was won by another
        await reply.prepare(request)
        for place, event in enumerate(CHAT.events(_answer(provider, draw), _WITH_USAGE)):
            await reply.write(event.encode())
            if place < _PIECES:
                pause_ms = draw.pause_ms if place == _PIECES // 2 else 0.0
                await asyncio.sleep((draw.after_ms / _PIECES + pause_ms) / 1000 / speed_up)
    return reply


def _answer(provider: str, draw: Draw) -> Answer:
    facts, text = packaged_facts(), f"an answer by {provider} in pieces"
    spent = {"input_tokens": facts.input_tokens, "output_tokens": draw.output_tokens}
    return Answer(number=0, model=facts.models[provider], text=text, **spent)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
