"""The listeners of one call: its spans, its meters, and the log. Made only where something listens."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from routeware.budget import Session
from routeware.engine.execution import Execution
from routeware.engine.prepared import PreparedPolicy
from routeware.observers import FOREIGN, CallFacts, report_broken
from routeware.telemetry import CallTrace, EventLog, Metrics

__all__ = ["Listeners", "listen"]

_DEBUG = logging.DEBUG
# Bound once: a method of an object that is imported would be bound anew at every call.
_is_logged = logging.getLogger("routeware").isEnabledFor


class Listeners:
    """The listeners of one call.

    Attributes:
        trace: its spans; ``None`` where nothing traces.
        meters: what it is measured with; ``None`` where nothing reads them.
    """

    __slots__ = ("_broken", "_log", "meters", "trace")

    def __init__(self, trace: CallTrace | None, meters: Metrics | None, log: EventLog | None, broken: set[str]) -> None:
        self.trace = trace
        self.meters = meters
        self._log = log
        self._broken = broken

    @property
    def hear_ends(self) -> bool:
        """True unless all that listens is spans that a sampler has dropped: these need no end, and no facts."""
        return self.trace is None or self.trace.recorded or self.meters is not None or self._log is not None

    def attempt_ended(self, call: CallFacts, execution: Execution) -> None:
        """Tell that an attempt has ended, with all of its facts."""
        if self.trace is not None:
            try:
                self.trace.attempt_ended(call, execution, execution.span)
            except FOREIGN as error:
                report_broken(self._broken, "CallTrace", error)
        if self._log is not None:
            try:
                self._log.attempt_ended(execution)
            except FOREIGN as error:
                report_broken(self._broken, "EventLog", error)

    def call_ended(self, call: CallFacts) -> None:
        """Tell that the call has ended, with all of its facts."""
        trace = self.trace
        if trace is not None:
            try:
                trace.call_ended(call)
            except FOREIGN as error:
                report_broken(self._broken, "CallTrace", error)
        if self.meters is not None:
            # In the call's context: what is measured there leads back to its trace (an exemplar).
            attached = None if trace is None else trace.attach()
            try:
                self.meters.call_ended(call)
            except FOREIGN as error:
                report_broken(self._broken, "Metrics", error)
            if attached is not None:
                CallTrace.detach(attached)


def listen(
    prepared: PreparedPolicy, session: Session | None, attributes: Mapping[str, Any] | None, now: float
) -> Listeners | None:
    """Find the listeners of a call that begins; ``None`` without any, so that it need not ask again."""
    trace = prepared.tracing.start_call(prepared.span_attributes, session, attributes)
    meters = prepared.metrics.live(now)
    if not _is_logged(_DEBUG):
        return None if trace is None and meters is None else Listeners(trace, meters, None, prepared.tracing.broken)
    prepared.log.call_started()
    return Listeners(trace, meters, prepared.log, prepared.tracing.broken)
