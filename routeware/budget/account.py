"""The running sums of this process: checked and changed in one step, without suspending."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from routeware.budget.ledger import Balance
from routeware.errors import BudgetExceededError
from routeware.money import usd

__all__ = ["LOCK", "Account", "refusal", "reserve"]

# One lock for all tallies of the process: a hold covers several of them at once, and one lock cannot be taken in two
# orders. It is never held across an await.
LOCK = threading.Lock()


class Account:
    """The running sums of one tally in this process, in nano-dollars.

    For a tally of a remote ledger it is what was last seen there.
    """

    __slots__ = ("_seen", "name", "reserved", "settled", "uncertain")

    def __init__(self, name: str | None) -> None:
        self.name = name
        self._seen = 0
        self.settled = 0
        self.uncertain = 0
        self.reserved = 0

    @property
    def committed(self) -> int:
        """All that counts against a cap."""
        return self.settled + self.uncertain + self.reserved

    def balance(self) -> Balance:
        """The sums of this moment."""
        return Balance(self.settled, self.uncertain, self.reserved)

    def see(self, balance: Balance, question: int) -> None:
        """Take over what a remote ledger said, unless it answered a question with a higher number before."""
        if question >= self._seen:
            self._seen = question
            self.settled, self.uncertain, self.reserved = balance.settled, balance.uncertain, balance.reserved

    def change(self, reserved: int, settled: int, uncertain: int) -> None:
        """Add to the sums; the caller holds the lock."""
        self.reserved += reserved
        self.settled += settled
        self.uncertain += uncertain

    def refusal(self, limit: int, nanos: int) -> BudgetExceededError:
        """The error for a hold of ``nanos`` that does not fit ``limit``."""
        return refusal(self.name, self.committed, limit, nanos)


def refusal(name: str | None, committed: int, limit: int, nanos: int) -> BudgetExceededError:
    """The error for a hold of ``nanos`` that does not fit ``limit`` beside what is ``committed``."""
    return BudgetExceededError(
        kind="session",
        limit_usd=usd(limit),
        projected_usd=usd(nanos),
        committed_usd=usd(committed),
        session_name=name,
    )


def reserve(entries: Sequence[tuple[Account, int | None]], nanos: int) -> None:
    """Set ``nanos`` aside in all accounts, each under its limit, or in none; the caller holds the lock.

    Raises:
        BudgetExceededError: a limit would be passed; equality fits.
    """
    # All are asked before any is changed: a refusal leaves nothing to roll back.
    for account, limit in entries:
        if limit is not None and account.settled + account.uncertain + account.reserved + nanos > limit:
            raise account.refusal(limit, nanos)
    for account, _ in entries:
        account.reserved += nanos
