"""One attempt: reserve, call the provider function, say what became of it, settle."""

from routeware.attempt.calling import perform
from routeware.attempt.handle import CURRENT, Attempt, current_attempt
from routeware.attempt.lane import UNBOUND, Hooks, Lane, ProviderFunction
from routeware.attempt.run import Run, Scope, live_run
from routeware.attempt.settling import open_container, project, settle, settle_late

__all__ = [
    "CURRENT",
    "UNBOUND",
    "Attempt",
    "Hooks",
    "Lane",
    "ProviderFunction",
    "Run",
    "Scope",
    "current_attempt",
    "live_run",
    "open_container",
    "perform",
    "project",
    "settle",
    "settle_late",
]
