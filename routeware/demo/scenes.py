"""The scenes of the demo: what happens to whom, and the policy that meets it."""

from __future__ import annotations

from importlib import resources

import attrs

from routeware import RoutingPolicy
from routeware.demo.draws import Incident

__all__ = ["SCENES", "Scene", "own_scene", "packaged_policy", "packaged_scenes"]

_THIRD = 1 / 3


@attrs.frozen(kw_only=True)
class Scene:
    """A number of requests, what befalls a provider meanwhile, and the policy for them.

    Attributes:
        name: what ``--scene`` calls it.
        title: what it shows, in a few words.
        policy: in the providers' own time.
        streams: whether answers are streamed; times are then those to the first item.
        incident: what befalls the first provider of the chain.
        begins: the share of the requests before the incident.
        ends: the share of the requests at its end.
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


def packaged_policy(name: str = "policy") -> RoutingPolicy:
    """Return a policy that comes with the demo, in the providers' own time."""
    with resources.as_file(resources.files(__package__).joinpath(f"{name}.toml")) as path:
        return RoutingPolicy.from_toml(path)


def packaged_scenes() -> tuple[Scene, ...]:
    """Return the scenes, in the order in which they are shown."""
    return (
        Scene(name="even", title="An even provider", policy=packaged_policy("even")),
        Scene(
            name="stalls",
            title="A provider with stalls",
            policy=packaged_policy("stalls"),
            incident=Incident.STALLS,
        ),
        Scene(
            name="outage",
            title="An outage",
            policy=packaged_policy("outage"),
            incident=Incident.OUTAGE,
            begins=_THIRD,
            ends=2 * _THIRD,
        ),
        Scene(
            name="streams",
            title="Streams that stall before their first item, and in the middle",
            policy=packaged_policy("streams"),
            streams=True,
            incident=Incident.STALLS,
        ),
    )


SCENES = ("even", "stalls", "outage", "streams")
"""Their names."""


def own_scene(policy: RoutingPolicy) -> Scene:
    """Return the scene for a policy of the user's, against the providers as they were recorded."""
    return Scene(name="own", title="Your policy", policy=policy)
