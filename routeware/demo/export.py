"""Spans to a collector, by OTLP over HTTP."""

from __future__ import annotations

import logging
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan

from routeware.demo.errors import DemoError

__all__ = ["collector_url", "export", "reach"]

_BATCH = 512
_REACH_S = 3.0
_PORTS = {"http": 80, "https": 443}


def collector_url(given: str) -> str:
    """Return the whole address, from what people give: ``http://localhost:4318`` stands for its ``/v1/traces``.

    Raises:
        DemoError: it is not an HTTP address.
    """
    problem = DemoError(f"{given!r} is not an address like http://localhost:4318")
    try:
        parts = urlsplit(given)
        valid = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise problem from None
    if not valid:
        raise problem
    return given if parts.path.strip("/") else parts._replace(path="/v1/traces").geturl()


def reach(url: str) -> None:
    """Check that something listens at ``url``, before the run.

    Raises:
        DemoError: nothing does.
    """
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or _PORTS[parts.scheme]), _REACH_S).close()
    except OSError as error:
        raise DemoError(f"nothing listens at {url}: {error.strerror or error}") from None


def export(spans: Sequence[ReadableSpan], url: str) -> None:
    """Send ``spans`` to the collector at ``url``, in batches.

    Raises:
        DemoError: it did not take them all.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    exporter = OTLPSpanExporter(endpoint=url)
    with _complaints() as complaints:
        for start in range(0, len(spans), _BATCH):
            if exporter.export(spans[start : start + _BATCH]) is not SpanExportResult.SUCCESS:
                raise DemoError(
                    f"{url} did not take the spans: {complaints[-1] if complaints else 'it does not say why'}"
                )
    exporter.shutdown()  # type: ignore[no-untyped-call]  # the exporter's own signature lacks types


@contextmanager
def _complaints() -> Generator[list[str]]:
    """Yield what the exporter logs, and keep it off the terminal: that gets one line of it, not ten."""
    heard = _Heard()
    logger = logging.getLogger("opentelemetry")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(heard)
    try:
        yield heard.lines
    finally:
        logger.removeHandler(heard)
        logger.propagate = propagate


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().splitlines()[0])
