"""Metrics: sums over calls and attempts, for dashboards and alarms.

A call is measured once, at its end: only then is it known who won, what was wasted and what an attempt that was cut off
is booked at. Attempts in flight are the exception, for they are over by then.

Attributes are few and have few values: function, link, status, category. Never a session: every tenant may have one of
its own, and a series for each is what makes metrics expensive.
"""

from __future__ import annotations

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider

from routeware.observers import AttemptFacts, CallFacts
from routeware.policy import Link
from routeware.records import AttemptStatus
from routeware.telemetry.instruments import Instruments, instruments_of
from routeware.telemetry.series import AtLink

__all__ = ["MeterProvider", "Meters", "Metrics"]

_ASK_AGAIN_S = 1.0


class Metrics:
    """The measuring of one decorated function, prepared once."""

    __slots__ = ("_asked", "_decided", "_meters", "_name", "_operation", "_provider")

    def __init__(self, name: str, operation: str | None, provider: MeterProvider | None) -> None:
        self._name = name
        self._operation = operation
        self._provider = provider
        self._meters: Meters | None = None
        self._decided = False
        self._asked = float("-inf")

    def live(self, now: float) -> Meters | None:
        """Find the meters; ``None`` where nothing reads them, so that a call need not measure at all.

        A program may set its provider up after its functions were decorated, and even called. Asking for it takes as
        long as everything else in an unobserved call, so while there is none it is asked for once a second.

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
    """Measures the calls of one decorated function, where the measurements are read. A listener, once per call."""

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

    def cooling(self, link: Link, *, cooling: bool, category: str | None) -> None:
        """Measure that a link begins a pause, because of a failure of ``category``, or that an answer has ended it."""
        at = self._at(link)
        self._instruments.cooling.put(at, float(cooling))
        if category is not None:
            self._instruments.cooldowns.add((at, category), 1)

    def call_ended(self, call: CallFacts) -> None:
        """Measure a call that has ended, and its attempts."""
        for attempt in call.attempts:
            self._measure_attempt(call, attempt)
        self._instruments.call_duration.record((self._name, call.outcome), call.ended - call.began)
        if call.race_after_s is not None and call.race_source is not None:
            self._instruments.race_threshold.put((self._name, call.race_source), call.race_after_s)

    def _measure_attempt(self, call: CallFacts, attempt: AttemptFacts) -> None:
        status, failure, cost = attempt.status, attempt.failure, attempt.cost
        link = self._at(attempt.link)
        category = None if failure is None else failure.snapshot.category
        self._instruments.attempts.add((link, status, attempt.trigger, category, attempt.skip_reason), 1)
        if status is not AttemptStatus.SKIPPED:  # a skipped link took no time
            ended = call.ended if attempt.ended is None else attempt.ended
            self._instruments.attempt_duration.record((link, status), ended - attempt.started)
        if attempt.first_item_s is not None:
            self._instruments.time_to_first_item.record((link, status), attempt.first_item_s)
        spent = (link, status, attempt is not call.winner)
        # What is unknown cannot be added up.
        if cost.settled:
            self._instruments.cost.add(spent, cost.settled)
        if cost.uncertain:
            self._instruments.uncertain_cost.add(spent, cost.uncertain)

    def _at(self, link: Link) -> AtLink:
        return self._name, self._operation, link.label, link.provider, link.model
