"""The series of metrics: which values tell one from another, and the attributes under which it is exported.

A series is kept as a plain tuple, which is made and looked up at every call; its attributes are made when it is
exported, by the function here that takes the parts of the tuple.
"""

from __future__ import annotations

from collections.abc import Mapping

from routeware.errors import ErrorCategory
from routeware.records import AttemptStatus, AttemptTrigger, CallOutcome, SkipReason
from routeware.telemetry import attributes as names

__all__ = ["AtLink", "Attributes", "at_link", "called", "cooled", "ended", "raced", "spent", "tried"]

Attributes = Mapping[str, str | bool]

AtLink = tuple[str, str | None, str, str, str]
"""Attempts of a function at one link: function, operation, and the link's label, provider and model."""


def called(name: str, outcome: CallOutcome) -> Attributes:
    """Describe calls of a function, by their outcome."""
    return {names.CALL_NAME: name, names.CALL_OUTCOME: outcome}


def raced(name: str, source: str) -> Attributes:
    """Describe race thresholds of a function, by where they come from."""
    return {names.CALL_NAME: name, names.RACE_SOURCE: source}


def at_link(name: str, operation: str | None, label: str, provider: str, model: str) -> Attributes:
    """Describe attempts of a function at one link."""
    found = {names.CALL_NAME: name, names.LINK_LABEL: label}
    if operation is not None:
        found[names.OPERATION] = operation
        found[names.PROVIDER] = names.otel_provider_name(provider)
        found[names.REQUEST_MODEL] = model
    return found


def ended(link: AtLink, status: AttemptStatus) -> Attributes:
    """Describe attempts by their status."""
    return {**at_link(*link), names.ATTEMPT_STATUS: status.value}


def tried(
    link: AtLink,
    status: AttemptStatus,
    trigger: AttemptTrigger,
    category: ErrorCategory | None,
    skip_reason: SkipReason | None,
) -> Attributes:
    """Describe attempts by their status and its reason."""
    found = {**ended(link, status), names.ATTEMPT_TRIGGER: trigger.value}
    if category is not None:
        found[names.ERROR_CATEGORY] = category.value
    if skip_reason is not None:
        found[names.SKIP_REASON] = skip_reason
    return found


def cooled(link: AtLink, category: str) -> Attributes:
    """Describe pauses of a link by the failure that began them."""
    return {**at_link(*link), names.ERROR_CATEGORY: category}


def spent(link: AtLink, status: AttemptStatus, wasted: bool) -> Attributes:
    """Describe what attempts cost, by whether their answer was the one that the caller got."""
    return {**ended(link, status), names.COST_WASTED: wasted}
