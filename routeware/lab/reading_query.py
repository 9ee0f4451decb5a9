"""Spans out of Jaeger's query address, the one that its page is served from (``http://localhost:16686``).

Only ``http`` and ``https``: the address comes from a command line or a document, and must not lead into files.
"""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit

import attrs

from routeware.lab.reading import read_stream
from routeware.lab.spans import Span, TraceError

__all__ = ["QueryAddress"]

_NOT_FOUND = 404
_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
)


@attrs.frozen
class QueryAddress:
    """Where a Jaeger answers queries.

    Attributes:
        base: its address, a base path included.
        trace_id: the trace that the address names, if it is that of a trace's page; else ``None``.
        timeout_s: how long to wait for it, each time that it is waited for.
    """

    base: str
    trace_id: str | None = None
    timeout_s: float = 10.0

    @classmethod
    def parse(cls, address: str, *, timeout_s: float = 10.0) -> QueryAddress:
        """An address as people copy it: the page's own, or that of one trace on it.

        Raises:
            TraceError: it is not an address on ``http`` or ``https``.
        """
        try:
            parts = urlsplit(address)
        except ValueError as error:
            raise TraceError(address, f"not an address: {error}") from None
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise TraceError(address, "not an http or https address with a host")
        before, found, after = parts.path.rstrip("/").rpartition("/trace/")
        path, trace_id = (before, after) if found else (after.removesuffix("/search"), None)
        return cls(f"{parts.scheme}://{parts.netloc}{path}", trace_id, timeout_s)

    def trace(self, trace_id: str) -> Iterator[Span]:
        """The spans of one trace.

        Raises:
            TraceError: there is no such trace, or no Jaeger.
        """
        return self._spans(f"/api/traces/{quote(trace_id, safe='')}")

    def services(self) -> list[str]:
        """The names of the services that sent spans.

        Raises:
            TraceError: there is no Jaeger.
        """
        url = f"{self.base}/api/services"
        with self._open(url) as reply:
            try:
                found = json.load(reply)
            except ValueError:
                raise TraceError(url, "did not answer with JSON: not a Jaeger's query address") from None
            except (OSError, HTTPException) as error:
                raise TraceError(url, f"stopped answering: {_reason(error)}") from None
        names = found.get("data") if isinstance(found, dict) else None
        return sorted(name for name in names or [] if isinstance(name, str))

    def recent(self, service: str, limit: int) -> Iterator[Span]:
        """The spans of the latest traces of one service, ``limit`` traces at most.

        Raises:
            TraceError: there is no Jaeger.
        """
        return self._spans(f"/api/traces?{urlencode({'service': service, 'limit': limit})}")

    def _spans(self, path: str) -> Iterator[Span]:
        url = self.base + path
        with self._open(url) as reply:
            try:
                yield from read_stream(reply, url)
            except (OSError, HTTPException) as error:
                raise TraceError(url, f"stopped answering: {_reason(error)}") from None

    def _open(self, url: str) -> IO[bytes]:
        """The body of the answer, buffered so that it can be read as text."""
        opener = urllib.request.OpenerDirector()
        for handler in _HANDLERS:
            opener.add_handler(handler())
        request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310  parse() lets nothing else in
        try:
            return io.BufferedReader(opener.open(request, timeout=self.timeout_s))
        except HTTPError as error:
            with error:
                problem = "no such trace" if error.code == _NOT_FOUND else f"answered {error.code} {error.reason}"
            raise TraceError(url, problem) from None
        except (OSError, HTTPException, ValueError) as error:
            raise TraceError(url, f"no answer: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """What went wrong in few words: urllib wraps the error that says it."""
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, TimeoutError):
        return "it took too long"
    return (inner.strerror if isinstance(inner, OSError) else None) or str(inner) or type(inner).__name__
