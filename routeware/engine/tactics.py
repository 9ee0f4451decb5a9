"""The seldom part of a call: drawn links, a latency target, further rounds through the chain.

A call that needs none of it has no such object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from routeware.engine.prepared import PreparedLink, PreparedPolicy
from routeware.engine.registrations import Request
from routeware.policy import drawn_order

if TYPE_CHECKING:
    from routeware.threshold import Decision, Learner, Size

__all__ = ["Tactics", "drawn"]


def drawn(prepared: PreparedPolicy, links: tuple[PreparedLink, ...]) -> tuple[PreparedLink, ...]:
    """Draw the order of the links that share a place in the chain."""
    order = drawn_order([one.link for one in links], prepared.spreads, prepared.spread_key)
    return tuple([links[at] for at in order])


class Tactics:
    """The order of one call's chain, what a latency target decides of it, and its further rounds.

    Attributes:
        chain: the links in the order in which this call tries them, before any is passed over.
        decision: what the learner of the policy's target said; ``None`` without a target.
        size: the size of the request, where the learner wants to know it; ``None`` is unknown.
        rounds_begun: how many further rounds through the chain the call has begun.
        rounds_left: how many more it may begin.
    """

    __slots__ = ("chain", "decision", "rounds_begun", "rounds_left", "size")

    def __init__(self, chain: tuple[PreparedLink, ...], rounds: int) -> None:
        self.chain = chain
        self.decision: Decision | None = None
        self.size: Size = None
        self.rounds_begun = 0
        self.rounds_left = rounds

    def ask(self, learner: Learner, request: Request) -> Decision:
        """Ask the learner when to race; in an outage of the primary, the first two links change places."""
        if learner.by_size:
            self.size = request.registrations.measure(request)
        self.decision = decision = learner.decide(self.size)
        if decision.swap:
            first, second, *rest = self.chain
            self.chain = (second, first, *rest)
        return decision

    def begin_round(self) -> None:
        """Take note that the call goes through its chain once more."""
        self.rounds_begun += 1
        self.rounds_left -= 1

    def give_up_rounds(self) -> None:
        """Begin no further round."""
        self.rounds_left = 0
