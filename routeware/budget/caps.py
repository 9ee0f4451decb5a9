"""The caps of this process: its running sums, checked and changed in one step, without suspending.

One lock guards all sums. It is re-entrant, because the collector may run while it is held: it may close the coroutine
of a call that was lost with its loop, and that call settles what it had reserved, in the middle of another change. With
a plain lock the process would wait for itself. Changes are additions only, so a change inside another one leaves both
sums right.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from routeware.budget.ledger import Balance, refusal

__all__ = ["LOCK", "Account", "OfflineAllowance", "change", "charge", "lesser", "reserve"]

# One lock for all accounts of the process: a hold covers several of them at once, and one lock cannot be taken in two
# orders. It is never held across an await. Other modules take it as `caps.LOCK`, for a fork replaces it.
LOCK = threading.RLock()


def _replace_lock() -> None:
    global LOCK  # noqa: PLW0603 - there is one lock for the process, and this is another process
    LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    # Otherwise a child that is forked while another thread changes sums finds the lock taken by a thread that it does
    # not have, and waits forever. Waiting for that thread before the fork would change nothing: whatever it has
    # reserved stays reserved in the child, which cannot settle for it.
    os.register_at_fork(after_in_child=_replace_lock)


class Account:
    """The running sums under one name, in nano-dollars, and the limit that a hold has to fit.

    For a tally of a remote ledger it is what was last seen there.
    """

    __slots__ = ("limit", "name", "reserved", "settled", "uncertain")

    def __init__(self, name: str | None, limit: int | None = None) -> None:
        self.name = name
        self.limit = limit
        self.settled = 0
        self.uncertain = 0
        self.reserved = 0

    @property
    def committed(self) -> int:
        """All that counts against a cap."""
        return self.settled + self.uncertain + self.reserved

    def open(self, limit: int | None) -> None:
        """Fix the limit that holds have to fit from now on."""
        self.limit = limit

    def balance(self) -> Balance:
        """Return the sums of this moment."""
        with LOCK:
            return Balance(self.settled, self.uncertain, self.reserved)

    def see(self, balance: Balance) -> None:
        """Take over what a remote ledger answered. The last answer wins: it is the newest that anyone here knows."""
        with LOCK:
            self.settled, self.uncertain, self.reserved = balance.settled, balance.uncertain, balance.reserved


class OfflineAllowance:
    """The sums of one name while its ledger may be away; shared by all sessions of that name.

    Attributes:
        seen: what the ledger answered last.
        untold: what was reserved and spent under the name, and the ledger has not been told of.
        settlements: how many settlements under the name the ledger has not been told of.
    """

    __slots__ = ("__weakref__", "seen", "settlements", "untold")

    def __init__(self, name: str) -> None:
        self.seen = Account(name)
        self.untold = Account(name)
        self.settlements = 0

    def balance(self) -> Balance:
        """Return the sums of the name, with those that the ledger does not know."""
        with LOCK:
            seen, untold = self.seen, self.untold
            return Balance(
                seen.settled + untold.settled, seen.uncertain + untold.uncertain, seen.reserved + untold.reserved
            )

    def owe(self) -> None:
        """Note one more settlement for the ledger."""
        self.settlements += 1

    def told(self) -> None:
        """Note that the ledger has been told of one of them, or never will be."""
        self.settlements -= 1

    def check(self, nanos: int, spare: int, limit: int | None) -> None:
        """Refuse ``nanos`` more without the ledger's knowing; the caller holds the lock.

        Raises:
            BudgetExceededError: the spare amount would be passed, or the limit by what was last seen.
        """
        untold = self.untold.committed
        if untold + nanos > spare:
            raise refusal(self.seen.name, untold, spare, nanos)
        committed = self.seen.committed + untold
        if limit is not None and committed + nanos > limit:
            raise refusal(self.seen.name, committed, limit, nanos)


def charge(accounts: Iterable[Account], settled: int, uncertain: int) -> None:
    """Book amounts for which nothing was set aside. Any thread may call it."""
    with LOCK:
        for account in accounts:
            account.settled += settled
            account.uncertain += uncertain


def change(accounts: Iterable[Account], reserved: int, settled: int, uncertain: int) -> None:
    """Add to the sums of all accounts; the caller holds the lock."""
    for account in accounts:
        account.reserved += reserved
        account.settled += settled
        account.uncertain += uncertain


def reserve(accounts: Iterable[Account], nanos: int, own: Account | None = None, cap: int | None = None) -> None:
    """Set ``nanos`` aside in all accounts, each under its limit, or in none; the caller holds the lock.

    Args:
        accounts: outermost first; the first one that refuses is named.
        nanos: the amount.
        own: the account that has to stay under ``cap``, too, where there is one.
        cap: one more limit for ``own``, for this hold only.

    Raises:
        BudgetExceededError: a limit would be passed; equality fits.
    """
    # The amount is added before it is compared. The other way round, a hold that the collector makes in between (a
    # lost coroutine whose clean-up makes a call) would find room that is already promised.
    for account in accounts:
        account.reserved += nanos
    for account in accounts:
        limit = account.limit
        if account is own:
            limit = lesser(limit, cap)
        if limit is not None and account.settled + account.uncertain + account.reserved > limit:
            committed = account.committed - nanos
            change(accounts, -nanos, 0, 0)
            raise refusal(account.name, committed, limit, nanos)


def lesser(limit: int | None, cap: int | None) -> int | None:
    """Return the lower of two limits, of which either may be missing."""
    if limit is None or cap is None:
        return cap if limit is None else limit
    return min(limit, cap)
