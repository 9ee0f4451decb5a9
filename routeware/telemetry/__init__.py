"""All that a call leaves behind for people to look at: spans, events, log lines and metrics.

The only place in the core that knows OpenTelemetry, and of that the API only. What leaves here is made of settings,
categories, counts and times. Never of prompts, answers, headers, keys or a provider's own words.
"""

from routeware.telemetry.events import Events, debugging
from routeware.telemetry.metrics import MeterProvider, Meters, Metrics
from routeware.telemetry.spans import (
    NO_SPAN,
    AttemptTelling,
    CallTrace,
    Context,
    Span,
    TracerProvider,
    Tracing,
    detach,
    usage_attributes,
)

__all__ = [
    "NO_SPAN",
    "AttemptTelling",
    "CallTrace",
    "Context",
    "Events",
    "MeterProvider",
    "Meters",
    "Metrics",
    "Span",
    "TracerProvider",
    "Tracing",
    "debugging",
    "detach",
    "usage_attributes",
]
