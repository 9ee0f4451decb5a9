"""Keep track of failing links, and of how long to leave them alone.

Nothing here starts or refuses anything: the engine asks, and moves a cooling link to the end of the chain.
"""

from routeware.health.pauses import COUNTED, CooldownRule, LinkHealth, LinkStates, PauseStarted, Ticket
from routeware.health.shared import Health, RetryBudget, note_policy

__all__ = [
    "COUNTED",
    "CooldownRule",
    "Health",
    "LinkHealth",
    "LinkStates",
    "PauseStarted",
    "RetryBudget",
    "Ticket",
    "note_policy",
]
