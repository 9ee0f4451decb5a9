"""One settlement on its way to a ledger, and what the log says of one that does not arrive."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from routeware.errors import RoutewareError
from routeware.money import usd

__all__ = ["FIRST_PAUSE_S", "LONGEST_PAUSE_S", "SettlementMessage", "reason_of", "say_undelivered"]

logger = logging.getLogger("routeware")

FIRST_PAUSE_S = 0.05
"""The pause before a settlement that did not arrive is sent again; it doubles each time."""
LONGEST_PAUSE_S = 2.0


class SettlementMessage:
    """The cost of one attempt, or a correction of it. A ledger counts it once, however often it is sent.

    Attributes:
        id: what the ledger knows it by.
        settled: what is added to the settled sum, in nano-dollars; a correction may be negative.
        uncertain: what is added to the uncertain sum.
        reported_lost: True once the log said that it was not delivered.
    """

    __slots__ = ("id", "reported_lost", "settled", "uncertain")

    def __init__(self, id: str, settled: int, uncertain: int) -> None:
        self.id = id
        self.settled = settled
        self.uncertain = uncertain
        self.reported_lost = False

    def withhold(self, settled: int, uncertain: int) -> None:
        """Take less away than the correction would: the ledger may never have heard of so much."""
        self.settled += settled
        self.uncertain += uncertain

    def report_lost(self) -> None:
        """Note that the log says of it that it was not delivered."""
        self.reported_lost = True


def say_undelivered(messages: Iterable[SettlementMessage], why: str, then: str = "") -> None:
    """Log what a ledger was not told, once for each message."""
    unsaid = [message for message in messages if not message.reported_lost]
    if not unsaid:
        return
    for message in unsaid:
        message.report_lost()
    logger.warning(
        "Settlement not delivered, the ledger could not be told (%s): $%.9f settled, $%.9f uncertain.%s",
        why,
        usd(sum(message.settled for message in unsaid)),
        usd(sum(message.uncertain for message in unsaid)),
        then,
    )


def reason_of(error: Exception) -> str:
    """Return what the log says of an error that a ledger raised: our own text, or a class name, never foreign text."""
    return str(error) if isinstance(error, RoutewareError) else type(error).__qualname__
