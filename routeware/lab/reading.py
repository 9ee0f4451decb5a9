"""Reads spans from a file or from a Jaeger.

A file holds Jaeger's JSON, OTLP JSON in its spellings, Tempo's, or the console exporter's. The content decides the
format, because file names lie. One document may follow another, and all of it may be gzipped. Spans are yielded one at
a time, so a million of them need no more memory than one.

A Jaeger has a query address, the one that its page is served from (``http://localhost:16686``). Only ``http`` and
``https``: the address comes from a command line or a document, and must not lead into files. The other side may be
anything, so all answers together get 30 seconds and 256 MiB: an answer is copied to a temporary file before it is read.
A time limit per read would not do, because a server that drips a byte a second never exceeds it.
"""

from __future__ import annotations

import base64
import itertools
import json
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlencode, urlsplit

import attrs

from routeware.lab.reading_bytes import Bytes, as_utf8, decompressed, opened
from routeware.lab.reading_json import EACH, Found, JsonValues
from routeware.lab.reading_json import Path as Keys
from routeware.lab.reading_spans import FIRST_KEYS, console_span, jaeger_span, otlp_span
from routeware.lab.spans import NothingFoundError, Span, TraceError

__all__ = ["SPAN_KEYS", "QueryAddress", "read_file", "read_stream", "without_userinfo"]

_NOT_FOUND = 404
_PORT_HINT = " (Jaeger's page is on port 16686, unless you moved it)"
_ALL_S = 30.0
_MIB = 1 << 20
_LONGEST_BYTES = 256 * _MIB
_LONGEST_NAMES_BYTES = 4 * _MIB

_OTHER_SIGNALS = frozenset(("resourceMetrics", "resourceLogs", "resource_metrics", "resource_logs"))
_RESOURCES = ("resourceSpans", "resource_spans", "batches")
_SCOPES = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
_WRAPPERS = ((), ("trace",), ("result",))


def _formats() -> dict[Keys, Callable[[object], Span]]:
    """Return what reads a span, by the path at which it lies.

    Jaeger's newer API wraps OTLP as ``result``, Tempo's newer one as ``trace``; Tempo's older API says ``batches``.
    """
    otlp = itertools.product(_WRAPPERS, _RESOURCES, _SCOPES)
    formats: dict[Keys, Callable[[object], Span]] = {
        (*wrapper, resources, EACH, scopes, EACH, "spans", EACH): otlp_span for wrapper, resources, scopes in otlp
    }
    return formats | {("data", EACH, "spans", EACH): jaeger_span, ("spans", EACH): jaeger_span, (): console_span}


_FORMATS = _formats()
SPAN_KEYS = frozenset(path[0] for path in _FORMATS if path) | _OTHER_SIGNALS
"""Keys at the top of a document that give it away as one of spans, or of other signals."""

_NAMED = "'data' or 'spans' or 'resourceSpans' or 'batches' or 'trace' or 'result'"


def read_file(path: str | Path) -> Iterator[Span]:
    """Yield the spans in the file at ``path``, in its order, while it is read; a ``TraceError`` where it is wrong."""
    source = str(path)
    with opened(path) as file:
        yield from read_stream(file, source)


def read_stream(file: Bytes, source: str) -> Iterator[Span]:
    """Yield the spans in ``file``, which is seekable and not compressed; ``source`` names it in errors."""
    values = JsonValues(as_utf8(file), source, _FORMATS, FIRST_KEYS)
    for found in values:
        if found.at_end:
            if SPAN_KEYS.isdisjoint(found.value):
                raise values.error(f"neither Jaeger JSON nor OTLP JSON: {_missing(found)}")
            continue
        try:
            span = _FORMATS[found.path](found.value)
        except (ValueError, OverflowError) as error:
            raise values.error(f"in the span that ends here, {error}") from None
        yield span


def _missing(found: Found) -> str:
    return f"no {_NAMED} in the object that ends here" if found.value else "not an object"


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
