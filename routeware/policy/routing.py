"""A routing policy: the chain, and the rules that a call along it follows. Data only: it is acted on elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Final, Self

import attrs

from routeware.errors import PolicyError
from routeware.policy import checks
from routeware.policy.checks import within
from routeware.policy.files import PolicyFile, read_table
from routeware.policy.parts import BudgetRules, FailoverRules, LatencyRules, Link, ObserveRules
from routeware.policy.shape import named, names_nearest, part, plain
from routeware.policy.spread import check_spreads

__all__ = ["SETTING_PATHS", "UNCHANGED", "RoutingPolicy", "Unchanged", "with_settings"]


class Unchanged(Enum):
    """The type of :data:`UNCHANGED`."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
"""Leave a setting as it is, for ``None`` switches it off."""


def _chain(value: Sequence[Link | Mapping[str, Any] | str]) -> tuple[Link, ...]:
    wanted = "a list of links"
    if isinstance(value, AbstractSet):
        raise checks.refusal("chain", wanted, value, "a set has no order")
    links = checks.items(value, "chain", wanted)
    if not links:
        raise checks.refusal("chain", "a list of at least one link", value)
    return tuple(_link(link, f"chain[{index}]") for index, link in enumerate(links))


def _link(value: object, key: str) -> Link:
    if not isinstance(value, str):
        if not isinstance(value, Link | Mapping):
            raise checks.refusal(key, 'a link: "provider:model", a mapping or a Link', value)
        return part(Link, value, key)
    provider, _, model = (half.strip() for half in value.partition(":"))
    if not provider or not model:
        advice = f"did you mean {value.replace('/', ':', 1)!r}?" if "/" in value.strip("/") else None
        raise checks.refusal(key, '"provider:model", neither of them empty', value, advice)
    return Link(provider=provider, model=model)


def _failover(value: FailoverRules | Mapping[str, Any]) -> FailoverRules:
    return part(FailoverRules, value, "failover")


def _latency(value: LatencyRules | Mapping[str, Any]) -> LatencyRules:
    return part(LatencyRules, value, "latency")


def _budget(value: BudgetRules | Mapping[str, Any]) -> BudgetRules:
    return part(BudgetRules, value, "budget")


def _observe(value: ObserveRules | Mapping[str, Any]) -> ObserveRules:
    return part(ObserveRules, value, "observe")


def _label(policy: RoutingPolicy) -> str:
    return f"routing_policy(chain={len(policy.chain)})"


@attrs.frozen(kw_only=True)
class RoutingPolicy:
    """The places where a call may go, in order, and the rules. Frozen, hashable, and valid once it exists.

    Attributes:
        chain: the links in order, at least one; each a :class:`Link`, a mapping, or ``"provider:model"`` (split at the
            first colon). The same link may stand twice.
        failover: when the next link is tried.
        latency: when a backup races a slow attempt, and the deadline of the whole call.
        budget: what a call and its session may cost.
        observe: what is recorded and logged about a call.
        label: its name in spans and records; ``routing_policy(chain=N)`` by default.

    Raises:
        PolicyError: a setting has the wrong type or value; names it, its value and what would be right.
    """

    chain: tuple[Link, ...] = attrs.field(converter=_chain)
    failover: FailoverRules = attrs.field(factory=FailoverRules, converter=_failover)
    latency: LatencyRules = attrs.field(factory=LatencyRules, converter=_latency)
    budget: BudgetRules = attrs.field(factory=BudgetRules, converter=_budget)
    observe: ObserveRules = attrs.field(factory=ObserveRules, converter=_observe)
    label: str = attrs.field(
        default=attrs.Factory(_label, takes_self=True), converter=checks.as_text, validator=checks.text
    )

    def __attrs_post_init__(self) -> None:
        target = "target_p95_ms" if self.latency.target_p95_ms is not None else None
        check_spreads(self.chain, target if self.latency.target_p99_ms is None else "target_p99_ms")

    @property
    def max_attempts(self) -> int:
        """The number of attempts that may be started: each link is tried at most once in each round."""
        most = len(self.chain) * (1 + self.failover.retries)
        return most if self.failover.max_attempts is None else min(self.failover.max_attempts, most)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], /) -> Self:
        """Make a policy from plain settings, as JSON or TOML give them.

        Raises:
            PolicyError: a setting that is unknown, missing or wrong.
        """
        if isinstance(settings, list):
            wanted, hint = "a mapping of settings or a RoutingPolicy", "RoutingPolicy(chain=[...]) takes links"
            raise checks.refusal(None, wanted, settings, hint)
        return cls(**named(cls, settings, SETTING_PATHS))

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], *, table: str | None = None) -> Self:
        """Read a policy from a TOML file, or from the table of it that a dotted path (``tool.shop.routing``) names.

        Raises:
            OSError: the file cannot be read; FileNotFoundError where there is none.
            PolicyError: it is not TOML, has no such table, or a setting is wrong. Names the file.
        """
        if isinstance(path, Mapping):
            raise TypeError("from_toml takes a file's path; RoutingPolicy.from_dict(...) takes a mapping")
        try:
            return cls.from_dict(read_table(path, table))
        except PolicyError as error:
            place = os.fspath(path) if table is None else f"{os.fspath(path)}, table {table}"
            raise PolicyError(f"{error.problem} (in {place})", key=error.key) from error.__cause__

    @classmethod
    def watch_toml(
        cls, path: str | os.PathLike[str], *, table: str | None = None, every_ms: float = 1_000
    ) -> PolicyFile[Self]:
        """Follow a TOML file: a function for :func:`~routeware.routed` that gives the policy in force.

        The file is read now, and looked at again when the function is called, at most every ``every_ms`` milliseconds.
        A file that is gone, unreadable or wrong leaves the last good policy in force, and is logged once, at WARNING,
        until it is right again.

        Raises:
            OSError: the file cannot be read now.
            PolicyError: it is wrong now, or ``every_ms`` is not a number above 0.
        """
        return PolicyFile(lambda: cls.from_toml(path, table=table), path, every_ms, _summary)

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain JSON: its chain, and every setting that is not at its default.

        ``RoutingPolicy.from_dict`` of it is equal to the policy.
        """
        return plain(self)


def _summary(policy: RoutingPolicy) -> str:
    return f"{policy.label}, along {', '.join(link.label for link in policy.chain)}"


_SECTIONS = {"failover": FailoverRules, "latency": LatencyRules, "budget": BudgetRules, "observe": ObserveRules}

SETTING_PATHS = {
    **{field.name: f"chain[].{field.name}" for field in attrs.fields(Link)},
    **{field.name: f"{section}.{field.name}" for section, kind in _SECTIONS.items() for field in attrs.fields(kind)},
}
"""The full paths of settings, by name: a flat file is the likeliest mistake."""

names_nearest(RoutingPolicy, SETTING_PATHS)


def with_settings(
    policy: RoutingPolicy,
    *,
    deadline_ms: float | Unchanged | None = UNCHANGED,
    race_after_ms: float | Unchanged | None = UNCHANGED,
    max_attempts: int | Unchanged | None = UNCHANGED,
    per_call_usd: float | Unchanged | None = UNCHANGED,
) -> RoutingPolicy:
    """Return the policy with single settings changed, and validated again. ``None`` switches one off.

    Gives the policy itself where nothing changes, so that what was prepared for it is found again.

    Raises:
        PolicyError: a value is wrong, or the rest of the policy doesn't allow it.
    """
    with within("latency"):
        latency = attrs.evolve(policy.latency, **_given(deadline_ms=deadline_ms, race_after_ms=race_after_ms))
    with within("failover"):
        failover = attrs.evolve(policy.failover, **_given(max_attempts=max_attempts))
    with within("budget"):
        budget = attrs.evolve(policy.budget, **_given(per_call_usd=per_call_usd))
    changed = attrs.evolve(policy, latency=latency, failover=failover, budget=budget)
    return policy if changed == policy else changed


def _given(**settings: float | Unchanged | None) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not UNCHANGED}
