"""What leaves a call by OpenTelemetry and by logging, gathered for tests."""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

__all__ = ["Traces", "attributes", "fields_of", "logged"]


class Traces:
    """A tracer provider that keeps what it exports."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def options(self) -> dict[str, Any]:
        """What ``routed`` is told."""
        return {"tracer_provider": self.provider}

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Everything that was ended, in that order."""
        return self._exporter.get_finished_spans()

    @property
    def call(self) -> ReadableSpan:
        """The call's span: there is one."""
        (span,) = [span for span in self.spans if span.name.startswith("routeware.call ")]
        return span

    @property
    def attempts(self) -> dict[str, ReadableSpan]:
        """The attempts' spans, by the label of their link: there is one of each."""
        spans = [span for span in self.spans if "routeware.attempt.number" in (span.attributes or {})]
        labels = [label_of(span) for span in spans]
        assert set(Counter(labels).values()) <= {1}, labels
        return dict(zip(labels, spans, strict=True))

    @property
    def events(self) -> list[str]:
        """Names of the events on the call's span."""
        return [event.name for event in self.call.events]

    def event(self, name: str) -> dict[str, Any]:
        """The fields of an event on the call's span: there is one of this name."""
        (found,) = [event for event in self.call.events if event.name == name]
        return dict(found.attributes or {})

    def text(self) -> str:
        """Everything that left, as a backend would store it."""
        return json.dumps([json.loads(span.to_json()) for span in self.spans])


def attributes(span: Any) -> dict[str, Any]:
    """A span's attributes as a plain dict."""
    return dict(span.attributes or {})


def label_of(span: ReadableSpan) -> str:
    """The label of an attempt's link."""
    return str((span.attributes or {})["routeware.link.label"])


def logged(records: list[logging.LogRecord]) -> dict[str, list[logging.LogRecord]]:
    """What routeware logged, by the event's name without its prefix."""
    found: dict[str, list[logging.LogRecord]] = {}
    for record in records:
        if record.name == "routeware":
            found.setdefault(record.getMessage().split()[0].rpartition(".")[2], []).append(record)
    return found


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What came with a log record as ``extra``."""
    plain = vars(logging.LogRecord("", 0, "", 0, "", None, None))
    return {key: value for key, value in vars(record).items() if key not in plain and key != "message"}
