"""Traces are read from a query address as Jaeger has it, by HTTP on the loopback interface."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest
import typer
from typer.testing import CliRunner

from routeware.cli.trace import trace
from routeware.lab import reading
from routeware.lab.reading import QueryAddress
from routeware.lab.spans import TraceError
from tests.fakes.exported import Traced, jaeger

APP = typer.Typer()
APP.command()(trace)


class Handler(BaseHTTPRequestHandler):
    """Answers what the test has laid out, and notes what it was asked."""

    answers: ClassVar[dict[str, tuple[int, bytes]]] = {}
    asked: ClassVar[list[str]] = []
    reasons: ClassVar[dict[str, str]] = {}
    authorized: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.authorized.append(self.headers["Authorization"])
        status, body = self.answers.get(self.path, (404, b'{"data": null, "errors": [{"code": 404}]}'))
        self.send_response(status, self.reasons.get(self.path))
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
    Handler.reasons.clear()
    Handler.authorized.clear()
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


@pytest.mark.parametrize(("known", "listed"), [(["a", "b c"], "a, b c"), ([], "none")])
def test_a_service_that_is_not_there_is_answered_with_those_that_are(
    known: list[str], listed: str, address: str
) -> None:
    """A misspelt name looks like a service without spans otherwise."""
    lay_out("/api/services", {"data": known, "total": len(known)})
    lay_out("/api/traces?service=x&limit=100", {"data": []})

    assert drawn(address, "--service", "x") == (1, [], f"routeware: {address}: no service 'x'; there are {listed}\n")


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

    assert code == (1 if answer[0] == 404 else 2)
    assert err.startswith(f"routeware: {address}/api/traces/abc")
    assert said in err
    assert err.count("\n") == 1


def test_something_else_than_a_jaeger_is_told(address: str) -> None:
    """Any web server may listen there."""
    Handler.answers["/api/services"] = (200, b"hello")

    _, _, err = drawn(address)

    assert err == (
        f"routeware: {address}/api/services: did not answer with JSON: not a Jaeger's query address"
        " (Jaeger's page is on port 16686, unless you moved it)\n"
    )


def test_a_server_that_knows_no_services_is_no_jaeger(address: str) -> None:
    """The wrong port has often another web server."""
    Handler.answers["/api/services"] = (404, b"")

    code, _, err = drawn(address)

    assert code == 2
    assert "/api/services: answered 404: not a Jaeger's query address (Jaeger's page is on port 16686" in err


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

    assert code == 2
    assert err == (
        f"routeware: {address}/api/services: no answer: Connection refused"
        " (Jaeger's page is on port 16686, unless you moved it)\n"
    )


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


@pytest.mark.parametrize(
    "body",
    [b"[]", b"3", b'"data"', b'{"data": {}}', b'{"data": 3}', b"[" * 100_000, b'{"data": [null, 3]}', b"\xff\xfe"],
)
def test_a_reply_that_is_no_list_of_services_is_one_line(address: str, body: bytes) -> None:
    """Whatever listens there may say anything."""
    Handler.answers["/api/services"] = (200, body)

    code, _, err = drawn(address)

    assert code == (1 if b"null" in body else 2)
    assert err.count("\n") == 1
    assert err.startswith(f"routeware: {address}")


def test_a_reason_phrase_cannot_repaint_the_terminal(address: str) -> None:
    """Its control characters are spelled out."""
    Handler.answers["/api/traces/abc"] = (500, b"")
    Handler.reasons["/api/traces/abc"] = "\x1b[31mred"

    _, _, err = drawn(address, "abc")

    assert err == f"routeware: {address}/api/traces/abc: answered 500 \\x1b[31mred\n"


def test_a_user_name_and_a_password_are_sent_and_never_shown(address: str) -> None:
    """People copy addresses with them; a message ends up in a log."""
    host = address.removeprefix("http://")
    lay_out("/api/services", {"data": None})

    code, _, err = drawn(f"http://me:p%2Fw@{host}")
    assert (code, err) == (1, f"routeware: {address}: no spans\n")
    assert Handler.authorized == ["Basic " + base64.b64encode(b"me:p/w").decode()]

    _, _, err = drawn(f"http://me:secret@{host}", "abc")
    assert err == f"routeware: {address}/api/traces/abc: no such trace\n"
    assert "secret" not in drawn(f"ftp://me:secret@{host}")[2]
    assert "secret" not in drawn(f"http://me:secret@{host}:port")[2]
    assert "secret" not in repr(QueryAddress.parse(f"http://me:secret@{host}"))


def test_credentials_do_not_follow_a_redirect(address: str) -> None:
    """The answer of one server must not get them sent to another."""
    Handler.answers["/api/services"] = (302, f"{address}/elsewhere".encode())

    drawn(f"http://me:secret@{address.removeprefix('http://')}")

    assert Handler.authorized[1:] == [None]


def test_redirects_without_end_are_one_line(address: str) -> None:
    """Each leads to the next."""
    Handler.answers["/api/services"] = (302, f"{address}/api/services".encode())

    code, _, err = drawn(address)

    assert (code, err.count("\n")) == (2, 1)


def keep_sending(listening: socket.socket, begun: bytes, piece: bytes, every_s: float) -> None:
    """Accept one connection and send ``piece`` again and again until the other side gives up."""
    connection, _ = listening.accept()
    with connection, suppress(OSError):
        connection.recv(4096)
        connection.sendall(begun)
        while True:
            connection.sendall(piece)
            time.sleep(every_s)


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b" ", id="a body that drips"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"a", id="a header that drips"),
    ],
)
@pytest.mark.parametrize("wanted", ["trace", "services"])
def test_a_server_that_drips_gets_no_more_than_the_time_in_all(begun: bytes, piece: bytes, wanted: str) -> None:
    """Each byte comes in time, and the answer never."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = QueryAddress.parse(f"http://127.0.0.1:{listening.getsockname()[1]}", all_s=0.3)
        thread = Thread(target=keep_sending, args=(listening, begun, piece, 0.01))
        thread.start()

        with pytest.raises(TraceError, match=r"it took longer than 0\.3 s in all"):
            list(address.trace("abc") if wanted == "trace" else address.services())
        thread.join()


def test_after_the_time_in_all_nothing_more_is_asked() -> None:
    """Many services share one limit."""
    address = QueryAddress.parse("http://127.0.0.1:9", all_s=0.0)

    with pytest.raises(TraceError, match="it took longer than 0 s in all"):
        address.services()


def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 256 MiB of spans; here at a hundredth of it."""
    monkeypatch.setattr(reading, "_LONGEST_BYTES", 3 << 20)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = QueryAddress.parse(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread = Thread(target=keep_sending, args=(listening, b"HTTP/1.1 200 OK\r\n\r\n", b" " * (1 << 20), 0.0))
        thread.start()

        with pytest.raises(TraceError, match="the answer is longer than 3 MiB"):
            list(address.trace("abc"))
        thread.join()
