"""Reads spans from Jaeger's query address, the one that its page is served from (``http://localhost:16686``).

Only ``http`` and ``https``: the address comes from a command line or a document, and must not lead into files. The
other side may be anything, so all answers together get 30 seconds and 256 MiB: an answer is copied to a temporary file
before it is read. A time limit per read would not do, because a server that drips a byte a second never exceeds it.
"""

from __future__ import annotations

import base64
import json
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlencode, urlsplit

import attrs

from routeware.lab.reading import read_stream
from routeware.lab.reading_bytes import decompressed
from routeware.lab.spans import NothingFoundError, Span, TraceError

__all__ = ["QueryAddress", "without_userinfo"]

_NOT_FOUND = 404
_PORT_HINT = " (Jaeger's page is on port 16686, unless you moved it)"
_ALL_S = 30.0
_MIB = 1 << 20
_LONGEST_BYTES = 256 * _MIB
_LONGEST_NAMES_BYTES = 4 * _MIB


class _Deadline:
    """A bound on everything that is asked of an address: when it is over, the open connections are shut down."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._ends_at

    def watch(self, connection: socket.socket) -> None:
        self._sockets.append(connection)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Shut down what is being watched if the time ends inside."""
        timer = threading.Timer(max(0.0, self._ends_at - time.monotonic()), self._shut_down)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            self._sockets.clear()

    def _shut_down(self) -> None:
        for connection in self._sockets:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was closed meanwhile


def _connections(deadline: _Deadline) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    """Return connection classes whose sockets ``deadline`` watches from before a TLS handshake on."""

    class Watched(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)

    class WatchedTls(HTTPSConnection, Watched):
        pass

    return Watched, WatchedTls


def _opener(deadline: _Deadline) -> urllib.request.OpenerDirector:
    """Return an opener without handlers for files, FTP and ``data:``."""
    plain, tls = _connections(deadline)

    class Http(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> HTTPResponse:
            return self.do_open(plain, req)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> HTTPResponse:
            return self.do_open(tls, req)

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        Http,
        Https,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


@attrs.frozen
class QueryAddress:
    """An address at which a Jaeger answers queries; what goes wrong there is a ``TraceError``.

    Attributes:
        base: its address, a base path included, without a user name or a password.
        trace_id: the trace that the address names, if it is that of a trace's page.
        timeout_s: how long to wait for each part of an answer.
        authorization: the header's value with the address's user name and password.
        deadline: when all answers together have to be there.
    """

    base: str
    trace_id: str | None = None
    timeout_s: float = 10.0
    authorization: str | None = attrs.field(default=None, repr=False)
    deadline: _Deadline = attrs.field(factory=lambda: _Deadline(_ALL_S), repr=False, eq=False)

    @classmethod
    def parse(cls, address: str, *, timeout_s: float = 10.0, all_s: float = _ALL_S) -> QueryAddress:
        """Return an address as people copy it: that of the page, or of one trace on it, on ``http`` or ``https``."""
        shown = without_userinfo(address)
        try:
            parts = urlsplit(address)
            host = parts.hostname
            if parts.port is not None:
                host = f"{host}:{parts.port}" if ":" not in (host or "") else f"[{host}]:{parts.port}"
            elif host is not None and ":" in host:
                host = f"[{host}]"
        except ValueError:
            raise TraceError(shown, "not an address") from None
        if parts.scheme.lower() not in ("http", "https") or not host:
            raise TraceError(shown, "not an http or https address with a host")
        before, found, after = parts.path.rstrip("/").rpartition("/trace/")
        path, trace_id = (before, after) if found else (after.removesuffix("/search"), None)
        user = None
        if parts.username is not None or parts.password is not None:
            pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
            user = "Basic " + base64.b64encode(pair.encode()).decode()
        return cls(f"{parts.scheme}://{host}{path}", trace_id, timeout_s, user, _Deadline(all_s))

    def trace(self, trace_id: str) -> Iterator[Span]:
        """Yield the spans of one trace."""
        return self._spans(f"/api/traces/{quote(trace_id, safe='')}")

    def services(self) -> list[str]:
        """Return the names of the services that sent spans."""
        url = f"{self.base}/api/services"
        try:
            with self._fetched(url, _LONGEST_NAMES_BYTES) as reply:
                found = json.load(reply)
        except NothingFoundError:
            raise TraceError(url, f"answered 404: not a Jaeger's query address{_PORT_HINT}") from None
        except TraceError:
            raise
        except (ValueError, RecursionError):
            raise TraceError(url, f"did not answer with JSON: not a Jaeger's query address{_PORT_HINT}") from None
        names = found.get("data") if isinstance(found, dict) else None
        if names is None and isinstance(found, dict):
            return []
        if not isinstance(names, list):
            raise TraceError(url, "did not answer with a list of services: not a Jaeger's query address")
        return sorted(name for name in names if isinstance(name, str))

    def recent(self, service: str, limit: int) -> Iterator[Span]:
        """Yield the spans of the latest traces of one service, ``limit`` traces at most."""
        return self._spans(f"/api/traces?{urlencode({'service': service, 'limit': limit}, errors='replace')}")

    def _spans(self, path: str) -> Iterator[Span]:
        url = self.base + path
        with self._fetched(url, _LONGEST_BYTES) as reply:
            yield from read_stream(decompressed(reply, url), url)

    @contextmanager
    def _fetched(self, url: str, longest: int) -> Iterator[IO[bytes]]:
        """Copy the answer into a temporary file; return the file."""
        with tempfile.TemporaryFile() as copy:
            stage = "no answer"
            try:
                with self.deadline.running(), self._open(url) as reply:
                    stage = "stopped answering"
                    self._copy(reply, copy, url, longest)
            except HTTPError as error:
                with error:
                    if error.code == _NOT_FOUND:
                        raise NothingFoundError(url, "no such trace") from None
                    raise TraceError(url, f"answered {error.code} {error.reason}") from None
            except TraceError:
                raise
            except (OSError, HTTPException, ValueError) as error:
                raise TraceError(url, f"{stage}: {self._reason(error)}") from None
            copy.seek(0)
            yield copy

    def _open(self, url: str) -> Any:
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310  parse() lets nothing else in
        if self.authorization is not None:
            # Not sent along to wherever an answer redirects to.
            request.add_unredirected_header("Authorization", self.authorization)
        if self.deadline.over:
            raise TimeoutError
        return _opener(self.deadline).open(request, timeout=self.timeout_s)

    def _copy(self, reply: HTTPResponse, copy: IO[bytes], url: str, longest: int) -> None:
        while piece := reply.read1(_MIB):
            copy.write(piece)
            if copy.tell() > longest:
                raise TraceError(url, f"the answer is longer than {longest // _MIB} MiB")
            if self.deadline.over:
                raise TimeoutError
        if self.deadline.over:
            raise TimeoutError
        if reply.length:
            raise HTTPException("the connection was closed in the middle of the answer")

    def _reason(self, error: Exception) -> str:
        """Return what went wrong in few words: urllib wraps the error that says it."""
        inner = error.reason if isinstance(error, URLError) else error
        if self.deadline.over:
            return f"it took longer than {self.deadline.seconds:g} s in all"
        if isinstance(inner, TimeoutError):
            return "it took too long"
        if isinstance(inner, ConnectionRefusedError):
            return f"{inner.strerror}{_PORT_HINT}"
        return (inner.strerror if isinstance(inner, OSError) else None) or str(inner) or type(inner).__name__


def without_userinfo(address: str) -> str:
    """Return an address without what stands before its host, which may be a password; other text as it is."""
    scheme, found, rest = address.partition("://")
    return f"{scheme}{found}{rest.rpartition('@')[2]}" if found else address
