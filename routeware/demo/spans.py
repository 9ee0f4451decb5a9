"""The spans of a run, in the providers' own time.

The demo runs faster than the providers did. What is drawn, saved and exported has to agree with the table, so times are
stretched: away from the end of the run, for a backend may turn down what lies in the future.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.util.types import AttributeValue

__all__ = ["Recorder", "in_own_time", "of_trace"]

# What routeware measured or was set to. What a provider said (`routeware.retry_after_s`) is in its own time already.
_MEASURED_S = frozenset(
    {
        "gen_ai.response.time_to_first_chunk",
        "routeware.attempt.cleanup_s",
        "routeware.attempt.timeout_s",
        "routeware.race.after_s",
    }
)


class Recorder:
    """A tracer provider that keeps its spans in memory."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        resource = Resource.create({"service.name": "routeware-demo"})
        self.tracer_provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._kept))

    def spans(self) -> tuple[ReadableSpan, ...]:
        """Return all that have ended, in that order."""
        return self._kept.get_finished_spans()


def in_own_time(spans: Sequence[ReadableSpan], speed_up: float) -> tuple[ReadableSpan, ...]:
    """Return the same spans as if nothing had been sped up; the last one ends when it ended."""
    end = max((span.end_time or 0 for span in spans), default=0)
    return tuple(_stretched(span, end, speed_up) for span in spans)


def of_trace(spans: Sequence[ReadableSpan], trace_id: str) -> tuple[ReadableSpan, ...]:
    """Return those of one trace (its id in hexadecimal)."""
    wanted = int(trace_id, 16)
    return tuple(span for span in spans if span.context is not None and span.context.trace_id == wanted)


def _stretched(span: ReadableSpan, end: int, speed_up: float) -> ReadableSpan:
    def moved(time_ns: int) -> int:
        return end - round((end - time_ns) * speed_up)

    events = [Event(event.name, event.attributes, moved(event.timestamp)) for event in span.events]
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={key: _value(key, value, speed_up) for key, value in (span.attributes or {}).items()},
        events=events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=None if span.start_time is None else moved(span.start_time),
        end_time=None if span.end_time is None else moved(span.end_time),
        instrumentation_scope=span.instrumentation_scope,
    )


def _value(key: str, value: AttributeValue, speed_up: float) -> AttributeValue:
    return value * speed_up if key in _MEASURED_S and isinstance(value, float) else value
