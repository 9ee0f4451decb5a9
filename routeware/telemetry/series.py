"""The series of a metric: what tells one from another, as plain values, and as attributes when it is exported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from routeware.errors import ErrorCategory
from routeware.records import AttemptStatus, AttemptTrigger, CallOutcome
from routeware.telemetry.names import otel_provider_name

__all__ = ["AtLink", "Attributes", "Called", "Ended", "Raced", "Series", "Spent", "Tried"]

Attributes = Mapping[str, str | bool]


class Series(Protocol):
    """What can be measured apart from others of its kind. Equal ones are one series."""

    def attributes(self) -> Attributes:
        """As OpenTelemetry tells it."""
        ...

    def __hash__(self) -> int: ...


class Called(NamedTuple):
    """Calls of a function, by what became of them."""

    name: str
    outcome: CallOutcome

    def attributes(self) -> Attributes:
        """As OpenTelemetry tells it."""
        return {"routeware.call.name": self.name, "routeware.call.outcome": self.outcome}


class Raced(NamedTuple):
    """Thresholds of a function, by where they come from."""

    name: str
    source: str

    def attributes(self) -> Attributes:
        """As OpenTelemetry tells it."""
        return {"routeware.call.name": self.name, "routeware.race.source": self.source}


class AtLink(NamedTuple):
    """Attempts of a function at one link."""

    name: str
    operation: str | None
    label: str
    provider: str
    model: str

    def attributes(self) -> Attributes:
        """As OpenTelemetry tells it."""
        told = {"routeware.call.name": self.name, "routeware.link.label": self.label}
        if self.operation is not None:
            told["gen_ai.operation.name"] = self.operation
            told["gen_ai.provider.name"] = otel_provider_name(self.provider)
            told["gen_ai.request.model"] = self.model
        return told


class Ended(NamedTuple):
    """Attempts, by what became of them."""

    link: AtLink
    status: AttemptStatus

    def attributes(self) -> Attributes:
        """As OpenTelemetry tells it."""
        return {**self.link.attributes(), "routeware.attempt.status": self.status.value}


class Tried(NamedTuple):
    """Attempts, by what became of them and why."""

    ended: Ended
    trigger: AttemptTrigger
    category: ErrorCategory | None

    def attributes(self) -> Attributes:
        """As OpenTelemetry tells it."""
        told = {**self.ended.attributes(), "routeware.attempt.trigger": self.trigger.value}
        return told if self.category is None else {**told, "routeware.error.category": self.category.value}


class Spent(NamedTuple):
    """What attempts cost, by whether their answer was the one that the caller got."""

    ended: Ended
    wasted: bool

    def attributes(self) -> Attributes:
        """As OpenTelemetry tells it."""
        return {**self.ended.attributes(), "routeware.cost.wasted": self.wasted}
