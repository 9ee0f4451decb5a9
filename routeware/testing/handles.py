"""An attempt to call a provider function with by itself, and what is to be seen of it and of a call."""

from __future__ import annotations

from typing import Any

from routeware.engine import Attempt, reported_usage
from routeware.money import Usage
from routeware.policy import RoutingPolicy
from routeware.records import CallRecord

__all__ = ["attempt", "reported", "trail"]


def attempt(link: str, /, **settings: Any) -> Attempt:
    """Make an attempt at a link, to call a provider function by itself with: ``await ask.__wrapped__(attempt(...))``.

    Args:
        link: ``provider:model``.
        settings: further settings of the link: ``timeout_ms``, ``max_output_tokens``, ``price``.

    Raises:
        PolicyError: a setting that a link can't have.
    """
    named = RoutingPolicy(chain=[link]).chain[0]
    full = RoutingPolicy(chain=[{"provider": named.provider, "model": named.model, **settings}])
    return Attempt(full.chain[0])


def reported(attempt: Attempt, /) -> Usage | None:
    """Return what was reported on ``attempt``; ``None`` if nothing was."""
    return reported_usage(attempt)


def trail(record: CallRecord, /) -> list[str]:
    """Return what happened in a call, an attempt a line: ``["p:a failed:rate_limit", "p:b selected"]``."""
    return [f"{one.label} {one.reason}" for one in record.decision().alternatives]
