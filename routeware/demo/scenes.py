"""The scenes of the demo: what happens to whom, and the policy that meets it, on the demo's faster clock."""

from __future__ import annotations

from importlib import resources
from typing import Any, TypeVar

import attrs

from routeware import AttemptRecord, CallRecord, FailoverRules, LatencyRules, Link, Price, RoutingPolicy
from routeware.demo import DemoError
from routeware.demo.draws import Facts, Incident

__all__ = ["Prices", "Scene", "check_providers", "in_own_time", "own_scene", "packaged_scenes", "sped_up"]

Part = TypeVar("Part", Link, FailoverRules, LatencyRules, AttemptRecord, CallRecord)


@attrs.frozen(kw_only=True)
class Scene:
    """A number of requests, their policy, and what befalls the chain's first provider between two shares of them.

    Times are the providers' own, and of streams those to the first item.
    """

    name: str
    title: str
    policy: RoutingPolicy
    streams: bool = False
    incident: Incident | None = None
    begins: float = 0.0
    ends: float = 1.0

    @property
    def provider(self) -> str:
        """The first provider of the chain."""
        return self.policy.chain[0].provider

    def during(self, requests: int) -> range:
        """Return the numbers of the requests during the incident, of so many requests."""
        return range(round(requests * self.begins), round(requests * self.ends) if self.incident else 0)


def packaged_scenes() -> tuple[Scene, ...]:
    """Return the scenes, in the order in which they are shown."""
    later = "Streams that stall before their first item, and in the middle"
    return (
        _packaged("even", "An even provider"),
        _packaged("stalls", "A provider with stalls", incident=Incident.STALLS),
        _packaged("outage", "An outage", incident=Incident.OUTAGE, begins=1 / 3, ends=2 / 3),
        _packaged("streams", later, incident=Incident.STALLS, streams=True),
    )


def _packaged(name: str, title: str, **settings: Any) -> Scene:
    with resources.as_file(resources.files(__package__).joinpath("scenes.toml")) as path:
        return Scene(name=name, title=title, policy=RoutingPolicy.from_toml(path, table=name), **settings)


def own_scene(policy: RoutingPolicy) -> Scene:
    """Return the scene for a policy of the user's, against the providers as they were recorded."""
    return Scene(name="own", title="Your policy", policy=policy)


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


def in_own_time(record: CallRecord, factor: float) -> CallRecord:
    """Return the record as if nothing had been sped up."""
    attempts = tuple(_faster(attempt, 1 / factor) for attempt in record.attempts)
    return attrs.evolve(_faster(record, 1 / factor), attempts=attempts)


class Prices:
    """A price book for links without a price of their own: what the provider's recorded model cost."""

    def __init__(self) -> None:
        self._prices = {link.provider: link.price for scene in packaged_scenes() for link in scene.policy.chain}

    def find(self, provider: str, _model: str, /) -> Price | None:
        """Return the price of whatever this provider's server answers with."""
        return self._prices.get(provider)
