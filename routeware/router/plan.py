"""A policy, prepared: what every call under it would work out again is worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routeware.attempt import Hooks, Lane
from routeware.classify import statuses_taken
from routeware.errors import PolicyError
from routeware.money import nanos
from routeware.policy import RoutingPolicy
from routeware.pricing import PriceBook, tariff_of
from routeware.telemetry import Events, Tracing

__all__ = ["DEFAULT_TIMEOUT_MS", "Plan"]

DEFAULT_TIMEOUT_MS = 120_000.0
"""The time-out of an attempt after which another may follow, where nothing else is set."""


class Plan:
    """One policy for one decorated function.

    Attributes:
        policy: what it was made from.
        lanes: the chain's links, prepared; empty until :meth:`ask_prices` was called.
        learner: finds the race threshold of each call; ``None`` where the policy has no target.
        unpriced: labels of links that nobody knows the price of.

    Raises:
        PolicyError: a cap stands in the policy, and a link has no price.
    """

    def __init__(self, policy: RoutingPolicy, hooks: Hooks, tracing: Tracing, prices: PriceBook) -> None:
        self.policy = policy
        self.tracing = tracing
        self.events = Events(policy.observe.emit_event)
        self.max_attempts = policy.max_attempts
        self.rules = policy.failover
        self.statuses_taken = statuses_taken(policy.failover)
        # Where there is no second attempt there is no race.
        self.race_after_s = _seconds(policy.latency.race_after_ms) if self.max_attempts > 1 else None
        self.learner = hooks.memory.learner(policy)
        self.race_width = policy.latency.race_width
        self.deadline_s = _seconds(policy.latency.deadline_ms)
        self.per_call_cap = _nanos(policy.budget.per_call_usd)
        self.session_cap = _nanos(policy.budget.session_usd)
        self.capped = policy.budget.capped
        self.on_exceed = policy.budget.on_exceed
        self.allow_unpriced = policy.budget.allow_unpriced
        self.error_messages = policy.observe.error_messages
        self.span_attributes: dict[str, Any] = {
            "routeware.call.name": tracing.name,
            "routeware.policy.label": policy.label,
            "routeware.policy.chain": [link.label for link in policy.chain],
            "routeware.policy.max_attempts": self.max_attempts,
        }
        self._hooks = hooks
        self._prices = prices
        self.lanes: tuple[Lane, ...] = ()
        self.unpriced: tuple[str, ...] = ()
        if self.capped:
            self.ask_prices()  # now, so that a missing one is said at decoration
            self.refuse_unpriced("the policy's budget")

    def ask_prices(self) -> tuple[Lane, ...]:
        """Prepare the chain. What the price book raises comes out here, before anything is called."""
        timeout_ms = self.policy.failover.on_timeout_ms
        lanes = tuple(
            Lane(
                link,
                tariff_of(link.price, link.provider, link.model, self._prices),
                timeout_ms if link.timeout_ms is None else link.timeout_ms,
                self._hooks.habits(link),
                self.tracing.attempt_span(link.provider, link.model, link.label),
            )
            for link in self.policy.chain
        )
        self.unpriced = tuple(lane.link.label for lane in lanes if lane.tariff is None)
        self.lanes = lanes
        return lanes

    def refuse_unpriced(self, whose: str) -> None:
        """Refuse links without a price under a cap: nobody could say what they may cost.

        Raises:
            PolicyError: there is one, and the policy does not allow it.
        """
        if self.unpriced and not self.allow_unpriced:
            index = [lane.link.label for lane in self.lanes].index(self.unpriced[0])
            raise PolicyError(
                f"nobody knows what {self.unpriced[0]} costs, and {whose} caps spending: give the link a price (or"
                " routed(prices=...)), or set budget.allow_unpriced",
                key=f"chain[{index}].price",
            )

    def fields(self) -> Mapping[str, Any]:
        """The policy as the ``decision`` event tells it."""
        return {
            "policy": self.policy.label,
            "chain_length": len(self.policy.chain),
            "max_attempts": self.max_attempts,
            "chain": [link.label for link in self.policy.chain],
        }


def _seconds(amount_ms: float | None) -> float | None:
    return None if amount_ms is None else amount_ms / 1000


def _nanos(amount_usd: float | None) -> int | None:
    return None if amount_usd is None else nanos(amount_usd)
