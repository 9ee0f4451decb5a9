"""Spans, log lines and metrics.

The only place in the core that knows OpenTelemetry, and of that the API only. What leaves here is made of settings,
categories, counts and times. Never of prompts, answers, headers, keys or a provider's own words.
"""

from routeware.telemetry.log import EventLog
from routeware.telemetry.metrics import MeterProvider, Metrics
from routeware.telemetry.spans import NO_SPAN, CallTrace, Context, LinkSpans, Span, TracerProvider, Tracing

__all__ = [
    "NO_SPAN",
    "CallTrace",
    "Context",
    "EventLog",
    "LinkSpans",
    "MeterProvider",
    "Metrics",
    "Span",
    "TracerProvider",
    "Tracing",
]
