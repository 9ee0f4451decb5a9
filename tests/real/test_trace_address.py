"""Traces are read from a query address as Jaeger has it, by HTTP on the loopback interface."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest
import typer
from typer.testing import CliRunner

from routeware.cli.trace import trace
from routeware.lab.reading_query import QueryAddress
from routeware.lab.spans import TraceError
from tests.fakes.exported import Traced, jaeger

APP = typer.Typer()
APP.command()(trace)


class Handler(BaseHTTPRequestHandler):
    """Answers what the test has laid out, and notes what it was asked."""

    answers: ClassVar[dict[str, tuple[int, bytes]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body = self.answers.get(self.path, (404, b'{"data": null, "errors": [{"code": 404}]}'))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(len(body) + (5 if self.path.endswith("cut") else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing to say."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that answers like a Jaeger with nothing in it."""
    monkeypatch.setenv("no_proxy", "*")
    Handler.answers.clear()
    Handler.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def lay_out(path: str, document: object) -> None:
    """What is answered at ``path``."""
    Handler.answers[path] = (200, json.dumps(document).encode())


def one_call(name: str) -> Traced:
    """One call that was traced."""
    traced = Traced()
    traced.call(name).attempt("a:b", 0, 10).end(10, routeware__call__selected="a:b")
    return traced


def drawn(*arguments: str) -> tuple[int, list[str], str]:
    """``routeware trace``: its exit code, the calls that it drew, and what it complains of."""
    result = CliRunner().invoke(APP, list(arguments))
    return (
        result.exit_code,
        [line.split()[0] for line in result.stdout.splitlines() if "succeeded after" in line],
        result.stderr,
    )


@pytest.mark.parametrize("form", ["{0} abc", "{0}/ abc", "{0}/search abc", "{0}/trace/abc", "{0}/trace/abc/?uiFind=x"])
def test_a_trace_is_fetched_by_its_id_or_its_pages_address(address: str, form: str) -> None:
    """The address is copied from the browser as it stands there."""
    lay_out("/api/traces/abc", jaeger(one_call("ask").spans()))

    assert drawn(*form.format(address).split()) == (0, ["ask"], "")


def test_a_base_path_is_kept(address: str) -> None:
    """Jaeger is often served below one."""
    lay_out("/jaeger/api/traces/a%2Fb", jaeger(one_call("ask").spans()))

    assert drawn(f"{address}/jaeger", "a/b") == (0, ["ask"], "")


def test_without_an_id_all_services_are_asked_for_their_latest(address: str) -> None:
    """Who looks at a new Jaeger does not know ids."""
    lay_out("/api/services", {"data": ["b c", "a"], "total": 2})
    lay_out("/api/traces?service=a&limit=100", jaeger(one_call("one").spans()))
    lay_out("/api/traces?service=b+c&limit=100", jaeger(one_call("two").spans()))

    code, names, err = drawn(address)

    assert (code, sorted(names), err) == (0, ["one", "two"], "")


def test_a_service_may_be_named(address: str) -> None:
    """Then it alone is asked."""
    lay_out("/api/traces?service=a&limit=150", jaeger(one_call("one").spans()))

    assert drawn(address, "--service", "a", "--limit", "150") == (0, ["one"], "")
    assert len(Handler.asked) == 1


def test_a_jaeger_with_nothing_in_it_has_no_spans(address: str) -> None:
    """Its list of services is null then."""
    lay_out("/api/services", {"data": None})

    assert drawn(address) == (1, [], f"routeware: {address}: no spans\n")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((404, b""), "no such trace"),
        ((500, b""), "answered 500 Internal Server Error"),
        ((200, b"<html>"), "neither Jaeger JSON nor OTLP JSON: not an object"),
        ((302, b"ftp://127.0.0.1/x"), "no answer: unknown url type: ftp"),
        ((302, b"file:///etc/hostname"), "answered 302 Found"),
    ],
)
def test_what_is_no_answer_is_told_in_one_line(address: str, answer: tuple[int, bytes], said: str) -> None:
    """With the address that was asked."""
    Handler.answers["/api/traces/abc"] = answer

    code, _, err = drawn(address, "abc")

    assert code == 1
    assert err.startswith(f"routeware: {address}/api/traces/abc")
    assert said in err
    assert err.count("\n") == 1


def test_something_else_than_a_jaeger_is_told(address: str) -> None:
    """Any web server may listen there."""
    Handler.answers["/api/services"] = (200, b"hello")

    _, _, err = drawn(address)

    assert err == f"routeware: {address}/api/services: did not answer with JSON: not a Jaeger's query address\n"


def test_an_answer_that_breaks_off_is_told(address: str) -> None:
    """The connection may end before the answer does."""
    Handler.answers["/api/traces/cut"] = (200, b'{"data": [')

    _, _, err = drawn(address, "cut")

    assert err.startswith(f"routeware: {address}/api/traces/cut")


def test_where_nobody_listens_is_told() -> None:
    """A port that is bound and not listened on refuses."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"

        code, _, err = drawn(address)

    assert code == 1
    assert err == f"routeware: {address}/api/services: no answer: Connection refused\n"


@pytest.mark.parametrize("wanted", ["trace", "services"])
@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (b"", "no answer: it took too long"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"data": [', "stopped answering: it took too long"),
    ],
)
def test_nobody_waits_for_ever(wanted: str, begun: bytes, said: str) -> None:
    """A server that accepts and says nothing, or nothing more, is given up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = QueryAddress.parse(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout_s=1.0 if begun else 0.1)
        thread = Thread(target=say_and_fall_silent, args=(listening, begun))
        thread.start()

        with pytest.raises(TraceError, match=said):
            list(address.trace("abc") if wanted == "trace" else address.services())
        thread.join()


def say_and_fall_silent(listening: socket.socket, begun: bytes) -> None:
    """Accept one connection, begin an answer, and wait for the other side to give up."""
    connection, _ = listening.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(begun)
        connection.recv(4096)
