"""Who listens to one call: its spans, what it is measured with, and the log. Made only where something listens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from routeware.budget import Session
from routeware.engine.prepared import PreparedPolicy
from routeware.observers import AttemptFacts, CallFacts, notify
from routeware.telemetry import CallTrace, Meters

__all__ = ["Listeners", "listen"]

logger = logging.getLogger("routeware")


class Listeners:
    """The listeners of one call.

    Attributes:
        trace: its spans; ``None`` where nothing traces.
        meters: what it is measured with; ``None`` where nothing reads them.
    """

    __slots__ = ("_attempt_ended", "_broken", "meters", "trace")

    def __init__(self, prepared: PreparedPolicy, trace: CallTrace | None, meters: Meters | None) -> None:
        self.trace = trace
        self.meters = meters
        self._broken = prepared.tracing.broken
        self._attempt_ended: tuple[Callable[[CallFacts, AttemptFacts], None], ...] = ()
        if trace is not None:
            self._attempt_ended = (trace.attempt_ended,)
        if logger.isEnabledFor(logging.DEBUG):
            self._attempt_ended += (prepared.log.attempt_ended,)

    def attempt_ended(self, call: CallFacts, attempt: AttemptFacts) -> None:
        """Tell that an attempt has ended, with all of its facts."""
        notify(self._attempt_ended, self._broken, call, attempt)

    def call_ended(self, call: CallFacts) -> None:
        """Tell that the call has ended, with all of its facts."""
        if self.trace is not None:
            notify((self.trace.call_ended,), self._broken, call)
        if self.meters is not None:
            # In the call's context: what is measured there leads back to its trace (an exemplar).
            attached = None if self.trace is None else self.trace.attach()
            notify((self.meters.call_ended,), self._broken, call)
            if attached is not None:
                CallTrace.detach(attached)


def listen(
    prepared: PreparedPolicy, session: Session | None, attributes: Mapping[str, Any] | None, now: float
) -> Listeners | None:
    """Find who listens to a call that begins; ``None`` where nobody does, so that it need not ask again."""
    trace = prepared.tracing.start_call(prepared.span_attributes, session, attributes)
    meters = prepared.metrics.live(now)
    if logger.isEnabledFor(logging.DEBUG):
        prepared.log.call_started()
    elif trace is None and meters is None:
        return None
    return Listeners(prepared, trace, meters)
