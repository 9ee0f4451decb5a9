"""Policies: what a call may do, as frozen data that is valid once it exists."""

from routeware.policy.parts import BudgetRules, FailoverRules, LatencyRules, Link, ObserveRules, OnExceed
from routeware.policy.routing import UNCHANGED, RoutingPolicy, Unchanged, with_settings

__all__ = [
    "UNCHANGED",
    "BudgetRules",
    "FailoverRules",
    "LatencyRules",
    "Link",
    "ObserveRules",
    "OnExceed",
    "RoutingPolicy",
    "Unchanged",
    "with_settings",
]
