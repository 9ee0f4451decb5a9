"""The demo's providers on real sockets: what they answer, and that their process goes when its parent does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from routeware.demo import DemoError, servers
from routeware.demo.draws import Draw, Draws, Fault, packaged_facts
from routeware.demo.servers import REQUEST_HEADER, providers

FACTS = packaged_facts()
SEED = 3
AT_ONCE = 1e6
PARENT = f"""
import asyncio
from routeware.demo import servers

async def main():
    async with servers.providers(seed=1, speed_up={AT_ONCE}) as urls:
        children = open(f"/proc/self/task/{{__import__('os').getpid()}}/children").read()
        print(children, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def drawn(provider: str, fault: Fault | None) -> tuple[int, Draw]:
    """A request that meets this fate at ``provider``, and the fate."""
    draws = Draws(FACTS, SEED)
    return next((n, d) for n in range(100_000) if (d := draws.of(n)[provider]).fault is fault)


def alive(pid: int) -> bool:
    """Whether there is a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone_soon(pid: int) -> bool:
    """Whether the process is gone within a minute."""
    until = time.monotonic() + 60
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


async def ask(url: str, number: object) -> tuple[int, dict[str, object], str | None]:
    """Status, body and Retry-After of the answer to this request."""
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json={"model": "m"}, headers={REQUEST_HEADER: str(number)}) as reply,
    ):
        body = await reply.json() if reply.content_type == "application/json" else {}
        return reply.status, body, reply.headers.get("Retry-After")


async def test_a_provider_streams_where_events_are_accepted() -> None:
    """Pieces of the answer, and the usage with the last event. Who hangs up in the middle does no harm."""
    number, draw = drawn("anthropic", None)
    headers = {REQUEST_HEADER: str(number), "Accept": "text/event-stream"}

    async with providers(SEED, AT_ONCE) as urls, aiohttp.ClientSession() as http:
        async with http.post(urls["anthropic"], json={}, headers=headers) as reply:
            first = await reply.content.readline()
        async with http.post(urls["anthropic"], json={}, headers=headers) as reply:
            lines = [line async for line in reply.content if line.strip()]

    assert first == lines[0]
    *pieces, usage, done = lines
    assert (len(pieces), done) == (8, b"data: [DONE]\n")
    assert json.loads(usage.removeprefix(b"data: "))["usage"]["completion_tokens"] == draw.output_tokens


async def test_a_provider_answers_as_openai_does() -> None:
    """With a choice, and the usage that a price is put on."""
    number, draw = drawn("anthropic", None)

    async with providers(SEED, AT_ONCE) as urls:
        status, body, _ = await ask(urls["anthropic"], number)

    assert status == 200
    assert body["model"] == FACTS.models["anthropic"]
    assert body["usage"] == {
        "prompt_tokens": FACTS.input_tokens,
        "completion_tokens": draw.output_tokens,
        "total_tokens": FACTS.input_tokens + draw.output_tokens,
    }


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"), [(Fault.RATE_LIMITED, 429, "1"), (Fault.SERVER_ERROR, 500, None)]
)
async def test_a_provider_refuses_as_drawn(fault: Fault, status: int, retry_after: str | None) -> None:
    """A 429 says when to come back."""
    number, _ = drawn("openai", fault)

    async with providers(SEED, AT_ONCE) as urls:
        told, body, asked = await ask(urls["openai"], number)

    assert (told, asked) == (status, retry_after)
    assert "error" in body


async def test_a_provider_hangs_up_as_drawn() -> None:
    """In the middle of a request, without an answer."""
    number, _ = drawn("openai", Fault.DROPPED)

    async with providers(SEED, AT_ONCE) as urls:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await ask(urls["openai"], number)


async def test_a_caller_may_hang_up_before_a_provider_does(capfd: pytest.CaptureFixture[str]) -> None:
    """As a race's loser does; the provider's process says nothing of it."""
    number, draw = drawn("openai", Fault.DROPPED)
    after_s = draw.after_ms / 1000 / 4

    async with providers(SEED, 4) as urls:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(urls["openai"], number), after_s / 2)
        await asyncio.sleep(after_s)

    assert capfd.readouterr().err == ""


async def test_an_answer_takes_as_long_as_drawn() -> None:
    """Divided by the speed-up."""
    number, draw = drawn("openai", None)

    async with providers(SEED, 4) as urls:
        start = time.perf_counter()
        await ask(urls["openai"], number)

    assert time.perf_counter() - start >= draw.after_ms / 4 / 1000


@pytest.mark.parametrize("number", ["", "x", "-1"])
async def test_a_request_without_its_number_is_turned_down(number: str) -> None:
    """Nothing could be drawn for it."""
    async with providers(SEED, AT_ONCE) as urls:
        status, _, _ = await ask(urls["openai"], number)

    assert status == 400


async def test_providers_that_do_not_start_are_an_error_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a JSON error about an empty line."""
    monkeypatch.setattr(servers.sys, "executable", "false")

    with pytest.raises(DemoError, match="providers did not start"):
        async with providers(SEED, AT_ONCE):
            pass


async def test_the_providers_end_when_their_user_is_cancelled() -> None:
    """Ctrl-C is a cancellation by the time it comes here."""
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def use() -> None:
        async with providers(SEED, AT_ONCE) as urls:
            started.set_result(urls["openai"])
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    url = await started
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(url, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="a script that starts by its first line")
async def test_providers_that_do_not_go_by_themselves_are_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The demo ends in time, whatever hangs."""
    stubborn = tmp_path / "stubborn"
    stubborn.write_text("#!/bin/sh\necho '{\"openai\": 1}'\nexec sleep 60\n")
    stubborn.chmod(0o700)
    monkeypatch.setattr(servers.sys, "executable", str(stubborn))
    monkeypatch.setattr(servers, "_END_S", 0.05)

    async with asyncio.timeout(50):
        async with providers(SEED, AT_ONCE) as urls:
            assert urls == {"openai": "http://127.0.0.1:1/v1/chat/completions"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the providers' process in /proc")
def test_the_providers_die_with_a_parent_that_was_killed() -> None:
    """Nobody is left to clean up, so they watch for the end of their standard input."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)

        parent.send_signal(signal.SIGKILL)

    assert gone_soon(child)
