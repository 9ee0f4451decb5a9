"""The policy in force, prepared once for each policy object."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from routeware.engine import PreparedPolicy, Registrations
from routeware.errors import PolicyError
from routeware.health import Health
from routeware.policy import UNCHANGED, PolicyFile, RoutingPolicy, Unchanged, with_settings
from routeware.pricing import PriceBook
from routeware.telemetry import Metrics, Tracing

__all__ = ["PolicyCache", "PolicySource", "check_source"]

PolicySource = RoutingPolicy | Callable[[], RoutingPolicy]

_KEPT = 8


@attrs.define(eq=False)
class PolicyCache:
    """The prepared policies of one view of a decorated function."""

    source: PolicySource
    _registrations: Registrations
    _telemetry: tuple[Tracing, Metrics]
    _prices: PriceBook
    health: Health | None  # which links keep failing; ``None`` for a view that does not care
    _changes: Mapping[str, Any] = attrs.field(factory=dict)  # settings that differ from the policy's
    _spread_key: str | None = None
    fixed: PreparedPolicy | None = attrs.field(init=False)  # the one policy, prepared; ``None`` if a function gives it
    _known: dict[int, tuple[RoutingPolicy, PreparedPolicy]] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        check_source(self.source)
        self.fixed = self._prepare(self.source) if isinstance(self.source, RoutingPolicy) else None

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

    def changed(self, spread_key: str | Unchanged | None, **settings: Any) -> PolicyCache:
        """Make the cache for the same policy with more settings changed."""
        changes = {**self._changes, **{key: value for key, value in settings.items() if value is not UNCHANGED}}
        key = self._spread_key if spread_key is UNCHANGED else spread_key
        if key is not None and (not isinstance(key, str) or not key):
            raise PolicyError(f"must be a text that is not empty, or None, not {key!r}", key="spread_key")
        return attrs.evolve(self, changes=changes, spread_key=key)

    def _prepare(self, policy: RoutingPolicy) -> PreparedPolicy:
        tracing, metrics = self._telemetry
        return PreparedPolicy(
            with_settings(policy, **self._changes),
            self._registrations,
            tracing,
            metrics,
            self._prices,
            health=self.health,
            spread_key=self._spread_key,
        )


def check_source(source: object) -> None:
    """Refuse what neither is a policy nor gives one.

    Raises:
        TypeError: it is something else; names the remedy.
    """
    if isinstance(source, RoutingPolicy):
        return
    if inspect.iscoroutinefunction(source):
        takes_any = inspect.signature(source).parameters
        remedy = " above the function" if takes_any else ", and give a policy function that is not async"
        raise TypeError(f"routed takes a policy first: write @routed(policy){remedy}")
    if callable(source) and not isinstance(source, type):
        return
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
    raise TypeError(f"routed takes a RoutingPolicy, or a function without arguments that returns one, not {name}{hint}")
