"""What only some policies ask of a call besides its chain: drawn links, cooldown, a latency target, further rounds.

A call whose policy asks none of it has no such object, and each of its steps asks for that once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from routeware.engine.prepared import PreparedLink, PreparedPolicy
from routeware.engine.registrations import Request
from routeware.health import Ticket
from routeware.policy import drawn_order
from routeware.threshold import Decision, Learner, Size

__all__ = ["Tactics", "drawn"]


def drawn(prepared: PreparedPolicy, links: tuple[PreparedLink, ...]) -> tuple[PreparedLink, ...]:
    """Draw the order of the links that share a place in the chain."""
    order = drawn_order([one.link for one in links], prepared.spreads, prepared.spread_key)
    return tuple([links[at] for at in order])


class Tactics:
    """The demands of a policy on one call besides its chain.

    Attributes:
        chain: the links in the order in which this call tries them, before any is passed over.
        health: which links keep failing; ``None`` without cooldown.
        decision: what the learner of the policy's target said; ``None`` without a target.
        size: the size of the request, where the learner wants to know it; ``None`` is unknown.
        rounds_begun: how many further rounds through the chain the call has begun.
        rounds_left: how many more it may begin.
    """

    __slots__ = ("_tickets", "chain", "decision", "health", "rounds_begun", "rounds_left", "size")

    def __init__(
        self, prepared: PreparedPolicy, chain: tuple[PreparedLink, ...], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.chain = chain
        self.health = None if prepared.health is None else prepared.health.states(loop)
        self.decision: Decision | None = None
        self.size: Size = None
        self.rounds_begun = 0
        self.rounds_left = prepared.retries
        self._tickets: dict[int, Ticket] = {}

    def ask(self, learner: Learner, request: Request, now: float) -> None:
        """Ask the learner when to race, unless one of the first two links cools: it knows the usual order only."""
        states = self.health
        if states is not None and any(states.cooling_until(one.label, now) is not None for one in self.chain[:2]):
            return
        if learner.by_size:
            self.size = request.registrations.measure(request)
        self.decision = learner.decide(self.size)
        if self.decision.swap:  # in an outage of the primary, the first two change places
            first, second, *rest = self.chain
            self.chain = (second, first, *rest)

    def claim(self, number: int, ticket: Ticket) -> None:
        """Keep what was claimed of a link's health for an attempt of this number."""
        self._tickets[number] = ticket

    def take_ticket(self, number: int) -> Ticket | None:
        """Hand over what was claimed, once, to be given back with an outcome."""
        return self._tickets.pop(number, None)

    def may_follow(self, number: int, links: Sequence[PreparedLink], now: float) -> bool:
        """Say whether one of ``links`` does not cool; after an attempt at a cooling link, any of them will do."""
        states, ticket = self.health, self._tickets.get(number)
        if states is None or not states.troubled or (ticket is not None and ticket.last_resort):
            return True
        return any(states.cooling_until(one.label, now) is None for one in links)

    def begin_round(self) -> None:
        """Take note that the call goes through its chain once more."""
        self.rounds_begun += 1
        self.rounds_left -= 1

    def give_up_rounds(self) -> None:
        """Begin no further round."""
        self.rounds_left = 0
