"""``routeware demo --serve``: what it prints, what it answers to plain HTTP, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from routeware.cli.app import app
from routeware.cli.demo import ADDRESS, SNIPPET
from routeware.demo.playground import ANSWER, Exchange, playground
from tests.docs.readme import blocks


@contextmanager
def serving() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and all that it prints before its first request."""
    # A shell starts background jobs with SIGINT ignored, and children inherit that; a handled signal is reset.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-m", "routeware", "demo", "--serve", "--port", "0"]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            lines = []
            while not lines or lines[-1] not in {"Requests:\n", ""}:
                lines.append(server.stdout.readline())
            try:
                yield server, "".join(lines)
            finally:
                server.kill()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Where the providers are."""
    async with playground(0, lambda _: None) as url:
        yield url


async def post(url: str, body: object, **headers: str) -> tuple[int, Any, str | None]:
    """Status, body and Retry-After of the reply."""
    data = body if isinstance(body, str) else json.dumps(body)
    async with aiohttp.request("POST", url, data=data, headers=headers) as reply:
        return reply.status, json.loads(await reply.text()), reply.headers.get("Retry-After")


@pytest.mark.skipif(sys.platform == "win32", reason="sends the signal of Ctrl-C")
def test_the_printed_script_runs_as_it_stands_and_ctrl_c_stops_the_server() -> None:
    """A new user pastes it and sees a failover and a race; the server shows the requests and ends with 0."""
    pytest.importorskip("openai")
    with serving() as (server, greeting):
        script = greeting.partition("<<'END'\n")[2].partition("END\n")[0]
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        server.send_signal(signal.SIGINT)
        printed, complaints = server.communicate(timeout=60)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        ANSWER,
        "gpt-4o-down 503 overloaded, gpt-4o-slow lost the race, claude-sonnet-4-6 answered",
    ]
    assert (server.returncode, complaints) == (0, "")
    *requests, stopped = printed.splitlines()
    assert stopped == "Stopped."
    assert sorted(requests) == [
        "anthropic  200          claude-sonnet-4-6",
        "openai     503          gpt-4o-down",
        "openai     caller left  gpt-4o-slow",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell reads the variables")
def test_the_printed_variables_are_for_the_sdks() -> None:
    """Both base URLs are those of the running server, and the text fits a terminal."""
    with serving() as (_, greeting):
        exports = "\n".join(line for line in greeting.splitlines() if line.startswith("export "))
        shown = subprocess.run(["sh", "-c", f"{exports}\nenv"], capture_output=True, text=True, check=True).stdout

    variables = dict(line.split("=", 1) for line in shown.splitlines())
    url = re.search(r"http://127\.0\.0\.1:\d+", greeting)
    assert url is not None
    assert variables["OPENAI_BASE_URL"] == f"{url[0]}/openai/v1"
    assert variables["ANTHROPIC_BASE_URL"] == f"{url[0]}/anthropic"
    assert variables["OPENAI_API_KEY"]
    assert variables["ANTHROPIC_API_KEY"]
    assert max(map(len, greeting.partition("python -")[0].splitlines())) <= 80


def test_a_port_that_is_taken_is_an_error_with_the_remedy() -> None:
    """In one line, with the exit code of a wrong argument."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["demo", "--serve", "--port", str(port)])

    assert done.exit_code == 2
    assert done.stderr.startswith(f"routeware: cannot listen on port {port}: ")
    assert done.stderr.endswith("--port 0 takes a free one\n")


def test_the_readme_shows_the_printed_script() -> None:
    """There is one script to keep right."""
    shown = [block.text for block in blocks("python") if ADDRESS in block.text]

    assert shown == [SNIPPET]


async def test_curl_needs_no_key(address: str) -> None:
    """Plain HTTP will do."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": [{"type": "text", "text": "Why?" * 10}]}]}

    status, reply, _ = await post(f"{address}/openai/v1/chat/completions", body)

    assert status == 200
    assert reply["choices"][0]["message"]["content"] == ANSWER
    assert reply["usage"] == {"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17}


async def test_a_stream_comes_as_server_sent_events(address: str) -> None:
    """OpenAI's have no names and end with [DONE]; Anthropic's have names."""
    asked = {"model": "m", "messages": [], "stream": True, "max_tokens": 5}
    async with aiohttp.request("POST", f"{address}/openai/v1/chat/completions", json=asked) as reply:
        ours = await reply.text()
    async with aiohttp.request("POST", f"{address}/anthropic/v1/messages", json=asked) as reply:
        kind, theirs = reply.content_type, await reply.text()

    assert kind == "text/event-stream"
    assert ours.endswith("data: [DONE]\n\n")
    assert "event:" not in ours
    assert theirs.startswith("event: message_start\ndata: {")


@pytest.mark.parametrize("body", ["no JSON", "[]", "{}", '{"model": ""}'])
async def test_a_request_without_a_model_is_turned_down(address: str, body: str) -> None:
    """In each API's own form."""
    status, ours, _ = await post(f"{address}/openai/v1/responses", body)
    _, theirs, _ = await post(f"{address}/anthropic/v1/messages", body)

    assert status == 400
    assert ours["error"]["code"] == "invalid_request_error"
    assert theirs["error"]["type"] == "invalid_request_error"


async def test_a_rate_limit_says_when_to_come_back(address: str) -> None:
    """As the providers' own do."""
    status, _, retry_after = await post(f"{address}/openai/v1/chat/completions", {"model": "gpt-4o-limited"})

    assert (status, retry_after) == (429, "1")


async def test_a_reader_who_leaves_in_the_middle_of_a_stream_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where writing notices it first."""
    exchanges: list[Exchange] = []

    async def broken(*_: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("routeware.demo.playground._sent", broken)
    async with playground(0, exchanges.append) as url:
        asked = {"model": "m", "stream": True}
        async with aiohttp.request("POST", f"{url}/openai/v1/chat/completions", json=asked) as reply:
            await reply.read()

    assert exchanges == [Exchange("openai", "m", "caller left")]


async def test_a_provider_hangs_up_without_a_reply(address: str) -> None:
    """The connection ends, for a stream as for a whole answer."""
    for stream in (False, True):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await post(f"{address}/dropped/openai/v1/chat/completions", {"model": "m", "stream": stream})


async def test_what_a_request_asks_for_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A model's name comes from outside."""
    from routeware.cli.demo import _show

    _show(Exchange("openai", "a\nopenai  200  b\x1b[2J", "503"))

    assert capsys.readouterr().out == "openai     503          a\\x0aopenai  200  b\\x1b[2J\n"
