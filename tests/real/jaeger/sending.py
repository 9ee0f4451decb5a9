"""Spans on their way to Jaeger, as a user sends them: the SDK, its batches, OTLP over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import attrs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

__all__ = ["Sender"]


@attrs.frozen
class Sender:
    """A tracer provider, and the name of the service that it sends as."""

    provider: TracerProvider
    service: str

    @property
    def options(self) -> dict[str, Any]:
        """What ``routed`` is told."""
        return {"tracer_provider": self.provider}

    @classmethod
    @contextmanager
    def to(cls, otlp_url: str, *, service: str, timeout_s: float = 10.0, delay_ms: float = 5000.0) -> Iterator[Self]:
        """Send to the collector at ``otlp_url``; what is left is sent at the end."""
        provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{otlp_url}/v1/traces", timeout=timeout_s)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=delay_ms))
        try:
            yield cls(provider, service)
        finally:
            provider.shutdown()

    def flush(self) -> None:
        """Send what has ended so far."""
        assert self.provider.force_flush()
