"""Policies made fit for the demo: known providers, prices for all, and the demo's faster clock."""

from __future__ import annotations

from typing import TypeVar

import attrs

from routeware import FailoverRules, LatencyRules, Link, Price, RoutingPolicy
from routeware.demo.errors import DemoError
from routeware.demo.facts import Facts
from routeware.demo.scenes import packaged_policy, packaged_scenes

__all__ = ["Prices", "check_providers", "sped_up"]

Part = TypeVar("Part", Link, FailoverRules, LatencyRules)


def check_providers(policy: RoutingPolicy, facts: Facts) -> None:
    """Check that there is a server for every link.

    Raises:
        DemoError: a link has a provider that the demo does not play.
    """
    for link in policy.chain:
        if link.provider not in facts.providers:
            known = ", ".join(facts.providers)
            raise DemoError(f"the demo has no provider {link.provider!r} (of the link {link.label}); it has {known}")


def sped_up(policy: RoutingPolicy, factor: float) -> RoutingPolicy:
    """Return the same policy on a clock that runs ``factor`` times as fast: every time in it is divided."""
    return attrs.evolve(
        policy,
        chain=tuple(_faster(link, factor) for link in policy.chain),
        failover=_faster(policy.failover, factor),
        latency=_faster(policy.latency, factor),
    )


def _faster(part: Part, factor: float) -> Part:
    """Divide every field that is a time: their names end in the unit."""
    times = {field.name: getattr(part, field.name) for field in attrs.fields(type(part)) if field.name.endswith("_ms")}
    return attrs.evolve(part, **{name: each / factor for name, each in times.items() if each is not None})


class Prices:
    """A price book for links without a price of their own: what the provider's recorded model cost."""

    def __init__(self) -> None:
        policies = (packaged_policy(), *(scene.policy for scene in packaged_scenes()))
        self._prices = {link.provider: link.price for policy in policies for link in policy.chain}

    def find(self, provider: str, _model: str, /) -> Price | None:
        """Return the price of whatever this provider's server answers with."""
        return self._prices.get(provider)
