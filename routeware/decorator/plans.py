"""Which plan is in force: the policy's, prepared once for each policy object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from routeware.attempt import Hooks
from routeware.policy import UNCHANGED, RoutingPolicy, with_settings
from routeware.pricing import PriceBook
from routeware.router import Plan
from routeware.telemetry import Tracing

__all__ = ["Plans", "PolicySource"]

PolicySource = RoutingPolicy | Callable[[], RoutingPolicy]

_KEPT = 8


class Plans:
    """The plans of one view of a decorated function.

    Attributes:
        fixed: the one plan, where the policy is one; ``None`` where a function gives it.
    """

    def __init__(
        self, source: PolicySource, changes: Mapping[str, Any], hooks: Hooks, tracing: Tracing, prices: PriceBook
    ) -> None:
        self.source = source
        self.changes = changes
        self._hooks = hooks
        self._tracing = tracing
        self._prices = prices
        self._known: dict[int, tuple[RoutingPolicy, Plan]] = {}
        self.fixed: Plan | None = None
        if isinstance(source, RoutingPolicy):
            self.fixed = self._prepare(source)
        elif not callable(source) or inspect.iscoroutinefunction(source) or isinstance(source, type):
            raise TypeError(_not_a_policy(source))

    def now(self) -> Plan:
        """The plan in force.

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
            raise TypeError(f"the policy function gave {type(policy).__qualname__}, not a RoutingPolicy")
        while len(self._known) >= _KEPT:
            self._known.pop(next(iter(tuple(self._known)), 0), None)  # another thread may have been here
        plan = self._prepare(policy)
        self._known[id(policy)] = (policy, plan)
        return plan

    def under(self, source: PolicySource) -> Plans:
        """The plans for another policy, with the same settings changed."""
        return Plans(source, self.changes, self._hooks, self._tracing, self._prices)

    def changed(self, **settings: Any) -> Plans:
        """The plans for the same policy with more settings changed."""
        changes = {**self.changes, **{key: value for key, value in settings.items() if value is not UNCHANGED}}
        return Plans(self.source, changes, self._hooks, self._tracing, self._prices)

    def _prepare(self, policy: RoutingPolicy) -> Plan:
        return Plan(with_settings(policy, **self.changes), self._hooks, self._tracing, self._prices)


def _not_a_policy(source: object) -> str:
    if inspect.iscoroutinefunction(source):
        return "routed takes a policy first: write @routed(policy), and give a policy function that is not async"
    name = source.__qualname__ if isinstance(source, type) else f"a {type(source).__qualname__}"
    return f"routed takes a RoutingPolicy, or a function without arguments that returns one, not {name}"
