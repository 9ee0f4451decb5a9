"""One attempt: reserve, call the provider function, say what became of it, settle."""

from routeware.attempt.calling import perform
from routeware.attempt.handle import Attempt, current_attempt
from routeware.attempt.lane import Hooks, Lane, ProviderFunction
from routeware.attempt.run import Run, Scope, live_run

__all__ = [
    "Attempt",
    "Hooks",
    "Lane",
    "ProviderFunction",
    "Run",
    "Scope",
    "current_attempt",
    "live_run",
    "perform",
]
