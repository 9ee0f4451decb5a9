"""Policies: what a call may do, as frozen data that is valid once it exists."""

from routeware.policy.checks import nearest
from routeware.policy.files import PolicyFile
from routeware.policy.parts import BudgetRules, FailoverRules, LatencyRules, Link, ObserveRules, OnExceed
from routeware.policy.routing import SETTING_PATHS, UNCHANGED, RoutingPolicy, Unchanged, with_settings
from routeware.policy.shape import keywords_named
from routeware.policy.spread import drawn_order, spread_places

__all__ = [
    "SETTING_PATHS",
    "UNCHANGED",
    "BudgetRules",
    "FailoverRules",
    "LatencyRules",
    "Link",
    "ObserveRules",
    "OnExceed",
    "PolicyFile",
    "RoutingPolicy",
    "Unchanged",
    "drawn_order",
    "keywords_named",
    "nearest",
    "spread_places",
    "with_settings",
]
