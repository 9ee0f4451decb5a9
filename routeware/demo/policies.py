"""The demo's policy, and any other made fit for it: known providers, prices for all, and the demo's faster clock."""

from __future__ import annotations

from importlib import resources

import attrs

from routeware import Price, RoutingPolicy
from routeware.demo.errors import DemoError
from routeware.demo.facts import Facts

__all__ = ["Prices", "check_providers", "packaged_policy", "sped_up"]


def packaged_policy() -> RoutingPolicy:
    """The policy that comes with the demo, in the providers' own time."""
    with resources.as_file(resources.files(__package__).joinpath("policy.toml")) as path:
        return RoutingPolicy.from_toml(path)


def check_providers(policy: RoutingPolicy, facts: Facts) -> None:
    """See that there is a server for every link.

    Raises:
        DemoError: a link has a provider that the demo does not play.
    """
    for link in policy.chain:
        if link.provider not in facts.providers:
            known = ", ".join(facts.providers)
            raise DemoError(f"the demo has no provider {link.provider!r} (of the link {link.label}); it has {known}")


def sped_up(policy: RoutingPolicy, factor: float) -> RoutingPolicy:
    """The same policy on a clock that runs ``factor`` times as fast: every time in it is divided."""

    def faster(time_ms: float | None) -> float | None:
        return None if time_ms is None else time_ms / factor

    failover, latency = policy.failover, policy.latency
    return attrs.evolve(
        policy,
        chain=tuple(attrs.evolve(link, timeout_ms=faster(link.timeout_ms)) for link in policy.chain),
        failover=attrs.evolve(failover, on_timeout_ms=faster(failover.on_timeout_ms)),
        latency=attrs.evolve(
            latency,
            race_after_ms=faster(latency.race_after_ms),
            target_p95_ms=faster(latency.target_p95_ms),
            deadline_ms=faster(latency.deadline_ms),
        ),
    )


class Prices:
    """A price book for links without a price of their own: what the provider's recorded model cost."""

    def __init__(self) -> None:
        self._prices = {link.provider: link.price for link in packaged_policy().chain}

    def find(self, provider: str, _model: str, /) -> Price | None:
        """The price of whatever this provider's server answers with."""
        return self._prices.get(provider)
