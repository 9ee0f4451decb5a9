"""Metrics: what calls and attempts add up to, for dashboards and alarms.

A call is measured once, at its end: who won, what was wasted and what an attempt that was cut off is booked at is known
only then. What is in flight is the exception, for it is over by then.

Attributes are few and have few values: function, link, status, category. Never a session: every tenant may have one of
its own, and a series for each is what makes metrics dear.
"""

from __future__ import annotations

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider

from routeware.errors import ErrorCategory
from routeware.policy import Link
from routeware.records import AttemptStatus, AttemptTrigger, CallOutcome
from routeware.telemetry.instruments import Instruments, instruments_of
from routeware.telemetry.series import AtLink, Called, Ended, Raced, Spent, Tried

__all__ = ["MeterProvider", "Meters", "Metrics"]

_ASK_AGAIN_S = 1.0


class Metrics:
    """What one decorated function knows about metrics; prepared once."""

    __slots__ = ("_asked", "_decided", "_meters", "_name", "_operation", "_provider")

    def __init__(self, name: str, operation: str | None, provider: MeterProvider | None) -> None:
        self._name = name
        self._operation = operation
        self._provider = provider
        self._meters: Meters | None = None
        self._decided = False
        self._asked = float("-inf")

    def live(self, now: float) -> Meters | None:
        """What to measure with; ``None`` where nobody reads it, so that a call need not measure at all.

        A program may set its provider up after its functions were decorated, and even called. Asking for it takes as
        long as all else that is done for nobody, so while there is none it is asked for once a second.

        Args:
            now: seconds, on any clock.
        """
        if not self._decided and not 0.0 <= now - self._asked < _ASK_AGAIN_S:
            self._asked = now
            self._decide(metrics.get_meter_provider() if self._provider is None else self._provider)
        return self._meters

    def _decide(self, provider: MeterProvider) -> None:
        # The API's own providers stand in for one that is still to come, or do nothing: what they are given is gone.
        if type(provider).__module__.startswith("opentelemetry.metrics"):
            self._decided = self._provider is not None
            return
        self._decided = True
        instruments = instruments_of(provider)
        if instruments is not None:
            self._meters = Meters(instruments, self._name, self._operation)


class Meters:
    """What calls of one decorated function are measured with, where somebody reads it."""

    def __init__(self, instruments: Instruments, name: str, operation: str | None) -> None:
        self._instruments = instruments
        self._name = name
        self._operation = operation

    def attempt_started(self, link: Link) -> None:
        """Count an attempt at ``link`` as in flight."""
        self._instruments.inflight.add(self._at(link), 1)

    def attempt_left(self, link: Link) -> None:
        """Count it no more: its function has ended, maybe long after its call."""
        self._instruments.inflight.add(self._at(link), -1)

    def attempt_ended(
        self,
        link: Link,
        status: AttemptStatus,
        trigger: AttemptTrigger,
        category: ErrorCategory | None,
        duration_s: float,
    ) -> None:
        """Measure an attempt that took ``duration_s`` seconds. A skipped link took none, and is counted only."""
        ended = Ended(self._at(link), status)
        self._instruments.attempts.add(Tried(ended, trigger, category), 1)
        if status is not AttemptStatus.SKIPPED:
            self._instruments.attempt_duration.record(ended, duration_s)

    def attempt_cost(
        self, link: Link, status: AttemptStatus, wasted: bool, settled: int | None, uncertain: int | None
    ) -> None:
        """Add up what an attempt cost, in nano-dollars; what is unknown cannot be added."""
        spent = Spent(Ended(self._at(link), status), wasted)
        if settled:
            self._instruments.cost.add(spent, settled)
        if uncertain:
            self._instruments.uncertain_cost.add(spent, uncertain)

    def call_ended(self, outcome: CallOutcome, duration_s: float) -> None:
        """Measure a call that took ``duration_s`` seconds."""
        self._instruments.call_duration.record(Called(self._name, outcome), duration_s)

    def call_raced(self, after_s: float, source: str) -> None:
        """Set the threshold of the latest call that could race."""
        self._instruments.race_threshold.put(Raced(self._name, source), after_s)

    def _at(self, link: Link) -> AtLink:
        return AtLink(self._name, self._operation, link.label, link.provider, link.model)
