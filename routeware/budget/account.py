"""The running sums of this process: checked and changed in one step, without suspending."""

from __future__ import annotations

from collections.abc import Iterable

from routeware.budget import guard
from routeware.budget.ledger import Balance, refusal

__all__ = ["Account", "change", "charge", "lesser", "reserve"]


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
        with guard.LOCK:
            return Balance(self.settled, self.uncertain, self.reserved)

    def see(self, balance: Balance) -> None:
        """Take over what a remote ledger answered. The last answer wins: it is the newest that anyone here knows."""
        with guard.LOCK:
            self.settled, self.uncertain, self.reserved = balance.settled, balance.uncertain, balance.reserved


def charge(accounts: Iterable[Account], settled: int, uncertain: int) -> None:
    """Book amounts for which nothing was set aside. Any thread may call it."""
    with guard.LOCK:
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
