"""The policy in force, prepared once for each policy object."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

from routeware.engine import PreparedPolicy, Registrations
from routeware.errors import PolicyError
from routeware.health import Health
from routeware.policy import UNCHANGED, PolicyFile, RoutingPolicy, Unchanged, with_settings
from routeware.pricing import PriceBook
from routeware.telemetry import Metrics, Tracing

__all__ = ["PolicyCache", "PolicySource"]

PolicySource = RoutingPolicy | Callable[[], RoutingPolicy]

_KEPT = 8


class PolicyCache:
    """The prepared policies of one view of a decorated function.

    Attributes:
        fixed: the one policy, prepared; ``None`` if a function gives it.
        health: which links keep failing; ``None`` for a view that does not care.
    """

    def __init__(
        self,
        source: PolicySource,
        changes: Mapping[str, Any],
        registrations: Registrations,
        telemetry: tuple[Tracing, Metrics],
        prices: PriceBook,
        *,
        health: Health | None,
        spread_key: str | None = None,
    ) -> None:
        self.source = source
        self.changes = changes
        self._registrations = registrations
        self._telemetry = telemetry
        self._prices = prices
        self.health = health
        self._spread_key = spread_key
        self._known: dict[int, tuple[RoutingPolicy, PreparedPolicy]] = {}
        self.fixed: PreparedPolicy | None = None
        if isinstance(source, RoutingPolicy):
            self.fixed = self._prepare(source)
        elif not callable(source) or inspect.iscoroutinefunction(source) or isinstance(source, type):
            raise TypeError(_not_a_policy(source))

    def now(self) -> PreparedPolicy:
        """Prepare the policy in force, or find it prepared.

        Raises:
            TypeError: the policy function gave something else.
            PolicyError: its policy cannot be followed.
        """
        if self.fixed is not None:
            return self.fixed
        assert not isinstance(self.source, RoutingPolicy)
        policy = self.source()
        known = self._known.get(id(policy))
        if known is not None:  # and is kept alive, so that its id is not another's
            return known[1]
        if not isinstance(policy, RoutingPolicy):
            hint = ": write RoutingPolicy.from_dict(...) around it" if isinstance(policy, Mapping) else ""
            raise TypeError(f"the policy function gave a {type(policy).__qualname__}, not a RoutingPolicy{hint}")
        while len(self._known) >= _KEPT:
            self._known.pop(next(iter(tuple(self._known)), 0), None)  # another thread may have been here
        try:
            prepared = self._prepare(policy)
        except PolicyError as error:
            # Such as a cap over a link without a price: a watched file goes on with the policy from before.
            before = self.source.refuse(policy, error) if isinstance(self.source, PolicyFile) else None
            if before is None:
                raise
            return self.now()
        self._known[id(policy)] = (policy, prepared)
        return prepared

    def under(self, source: PolicySource) -> PolicyCache:
        """Make the cache for another policy, with the same settings changed."""
        return self._made(source, self.changes, self.health, self._spread_key)

    def changed(self, spread_key: str | Unchanged | None, **settings: Any) -> PolicyCache:
        """Make the cache for the same policy with more settings changed."""
        changes = {**self.changes, **{key: value for key, value in settings.items() if value is not UNCHANGED}}
        key = self._spread_key if spread_key is UNCHANGED else spread_key
        if key is not None and (not isinstance(key, str) or not key):
            raise PolicyError(f"must be a text that is not empty, or None, not {key!r}", key="spread_key")
        return self._made(self.source, changes, self.health, key)

    def with_health(self, health: Health | None) -> PolicyCache:
        """Make the cache for the same policy with another memory of what failed."""
        return self._made(self.source, self.changes, health, self._spread_key)

    def _made(
        self, source: PolicySource, changes: Mapping[str, Any], health: Health | None, spread_key: str | None
    ) -> PolicyCache:
        return PolicyCache(
            source, changes, self._registrations, self._telemetry, self._prices, health=health, spread_key=spread_key
        )

    def _prepare(self, policy: RoutingPolicy) -> PreparedPolicy:
        tracing, metrics = self._telemetry
        changed = with_settings(policy, **self.changes)
        return PreparedPolicy(
            changed,
            self._registrations,
            tracing,
            metrics,
            self._prices,
            health=self.health,
            spread_key=self._spread_key,
        )


def _not_a_policy(source: object) -> str:
    if inspect.iscoroutinefunction(source):
        return "routed takes a policy first: write @routed(policy), and give a policy function that is not async"
    hint = ""
    if isinstance(source, Mapping):
        hint = ": write RoutingPolicy.from_dict(...) around it"
    elif isinstance(source, str | bytes | os.PathLike):
        hint = ": RoutingPolicy.from_toml(path) reads a file, RoutingPolicy.watch_toml(path) follows it"
    elif isinstance(source, list | tuple):
        hint = ": RoutingPolicy(chain=[...]) makes a policy of links, RoutingPolicy.from_dict(...) one of settings"
    elif isinstance(source, type):
        hint = " itself, which is a class: build one, RoutingPolicy(chain=[...])"
    name = source.__qualname__ if isinstance(source, type) else f"a {type(source).__qualname__}"
    return f"routed takes a RoutingPolicy, or a function without arguments that returns one, not {name}{hint}"
