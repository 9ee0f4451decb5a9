"""Metrics: what calls and attempts add up to, for dashboards and alarms.

A call is measured once, at its end: who won, what was wasted and what an attempt that was cut off is booked at is known
only then. What is in flight is the exception, for it is over by then.

Attributes are few and have few values: function, link, status, category. Never a session: every tenant may have one of
its own, and a series for each is what makes metrics dear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import Histogram, Meter, MeterProvider, NoOpMeter

from routeware.errors import ErrorCategory
from routeware.money import usd
from routeware.policy import Link
from routeware.records import AttemptStatus, AttemptTrigger, CallOutcome
from routeware.telemetry.names import otel_provider_name

__all__ = ["MeterProvider", "Meters", "Metrics"]

Attributes = Mapping[str, str | bool]

_BOUNDARIES_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""What the conventions for generative AI advise for the durations of their clients."""

_MANY = 1_000
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
        meter = provider.get_meter("routeware")
        if not isinstance(meter, NoOpMeter):
            self._meters = Meters(meter, self._name, self._operation)


class _Known(dict[tuple[Any, ...], Attributes]):
    """Attributes by what they are made of: a measurement that was made before needs no new ones."""

    def __init__(self, make: Callable[..., Attributes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: tuple[Any, ...]) -> Attributes:
        if len(self) >= _MANY:
            self.clear()  # of policies that are made anew all the time, none may stay for ever
        made = self[key] = self._make(*key)
        return made


class Meters:
    """The instruments of one decorated function, where somebody reads them."""

    def __init__(self, meter: Meter, name: str, operation: str | None) -> None:
        self._name = name
        self._operation = operation
        self._of_link = _Known(self._tell_link)
        self._of_attempt = _Known(self._tell_attempt)
        self._of_duration = _Known(self._tell_duration)
        self._of_cost = _Known(self._tell_cost)
        self._call_duration = _durations(
            meter, "routeware.call.duration", "From entering a routed function to leaving it."
        )
        self._attempt_duration = _durations(
            meter, "routeware.attempt.duration", "From an attempt's start to its end, or until it was cut off."
        )
        self._attempts = meter.create_counter("routeware.attempts", "{attempt}", "Attempts, skipped links included.")
        self._cost = meter.create_counter("routeware.cost", "{USD}", "What attempts are known to have cost.")
        self._uncertain_cost = meter.create_counter(
            "routeware.uncertain_cost", "{USD}", "What attempts may have cost besides, at their projections."
        )
        self._inflight = meter.create_up_down_counter("routeware.inflight", "{attempt}", "Attempts in flight.")
        self._race_threshold = meter.create_gauge(
            "routeware.race.threshold", "s", "How long after an attempt's start the next link is tried beside it."
        )

    def attempt_started(self, link: Link) -> None:
        """Count an attempt at ``link`` as in flight."""
        self._inflight.add(1, self._of_link[link.label, link.provider, link.model])

    def attempt_left(self, link: Link) -> None:
        """Count it no more: its function has ended, maybe long after its call."""
        self._inflight.add(-1, self._of_link[link.label, link.provider, link.model])

    def attempt_ended(
        self,
        link: Link,
        status: AttemptStatus,
        trigger: AttemptTrigger,
        category: ErrorCategory | None,
        duration_s: float,
    ) -> None:
        """Measure an attempt that took ``duration_s`` seconds. A skipped link took none, and is counted only."""
        self._attempts.add(1, self._of_attempt[link.label, link.provider, link.model, status, trigger, category])
        if status is not AttemptStatus.SKIPPED:
            attributes = self._of_duration[link.label, link.provider, link.model, status]
            self._attempt_duration.record(duration_s, attributes)

    def attempt_cost(
        self, link: Link, status: AttemptStatus, wasted: bool, settled: int | None, uncertain: int | None
    ) -> None:
        """Add up what an attempt cost, in nano-dollars; what is unknown cannot be added."""
        if settled:
            self._cost.add(usd(settled), self._of_cost[link.label, link.provider, link.model, status, wasted])
        if uncertain:
            attributes = self._of_cost[link.label, link.provider, link.model, status, wasted]
            self._uncertain_cost.add(usd(uncertain), attributes)

    def call_ended(self, outcome: CallOutcome, duration_s: float) -> None:
        """Measure a call that took ``duration_s`` seconds."""
        told = {"routeware.call.name": self._name, "routeware.call.outcome": outcome}
        self._call_duration.record(duration_s, told)

    def call_raced(self, after_s: float, source: str) -> None:
        """Set the threshold of the latest call that could race."""
        told = {"routeware.call.name": self._name, "routeware.race.source": source}
        self._race_threshold.set(after_s, told)

    def _tell_link(self, label: str, provider: str, model: str) -> Attributes:
        told = {"routeware.call.name": self._name, "routeware.link.label": label}
        if self._operation is not None:
            told["gen_ai.operation.name"] = self._operation
            told["gen_ai.provider.name"] = otel_provider_name(provider)
            told["gen_ai.request.model"] = model
        return told

    def _tell_duration(self, label: str, provider: str, model: str, status: AttemptStatus) -> Attributes:
        # A histogram has a series for each bucket, so it tells less than the counter beside it.
        return {**self._tell_link(label, provider, model), "routeware.attempt.status": status.value}

    def _tell_attempt(
        self,
        label: str,
        provider: str,
        model: str,
        status: AttemptStatus,
        trigger: AttemptTrigger,
        category: ErrorCategory | None,
    ) -> Attributes:
        told = {**self._tell_duration(label, provider, model, status), "routeware.attempt.trigger": trigger.value}
        return told if category is None else {**told, "routeware.error.category": category.value}

    def _tell_cost(self, label: str, provider: str, model: str, status: AttemptStatus, wasted: bool) -> Attributes:
        return {**self._tell_duration(label, provider, model, status), "routeware.cost.wasted": wasted}


def _durations(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_BOUNDARIES_S)
