"""The ledger of one process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routeware.budget import caps
from routeware.budget.caps import Account, change, reserve
from routeware.budget.ledger import Balance, Tally, different_limit, refusal
from routeware.errors import PolicyError

__all__ = ["MemoryLedger"]

_REMEMBERED = 10_000
"""The number of settled ids that are known, to recognise a question that is asked twice."""


class MemoryLedger:
    """A ledger for the sessions of one process. Threads may share it. It never suspends."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._limited: set[str] = set()
        self._replaced: set[str] = set()
        self._held: dict[str, tuple[int, tuple[Account, ...]]] = {}
        self._settled: dict[str, None] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have sessions ask a subclass that answers in its own way, instead of changing the sums directly."""
        super().__init_subclass__(**kwargs)
        if not {"tally", "hold", "settle"}.isdisjoint(vars(cls)) and "account" not in vars(cls):
            cls.account = None  # type: ignore[method-assign,assignment]  # what has no account is asked

    def account(self, tally: Tally) -> Account:
        """Return the running sums under the tally's name, which its limit is fixed to from the first time on.

        Raises:
            PolicyError: the name was opened with another limit.
        """
        with caps.LOCK:
            account = self._find(tally.name)
            if tally.name not in self._limited:
                self._limited.add(tally.name)
                account.open(tally.limit_nanos)
            elif account.limit != tally.limit_nanos:
                raise PolicyError(different_limit(tally.name, account.limit, tally.limit_nanos), key="limit_usd")
            return account

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally`` and return its sums. Raises :class:`PolicyError` for another limit than it has."""
        return MemoryLedger.account(self, tally).balance()

    async def set_limit(self, tally: Tally, /) -> Balance:
        """Fix the limit of the tally's name from now on, for all who share it, and return its sums."""
        with caps.LOCK:
            self._limited.add(tally.name)
            self._replaced.add(tally.name)
            account = self._find(tally.name)
            account.open(tally.limit_nanos)
            return account.balance()

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none.

        A coroutine that never suspends: nothing runs between the check and the hold, so calls on one loop cannot
        overspend together. A lock that is never held across an await keeps threads apart.

        Raises:
            BudgetExceededError: a cap would be passed; equality fits.
        """
        with caps.LOCK:
            accounts = tuple(self._find(tally.name) for tally in tallies)
            if id not in self._held and id not in self._settled:
                for account, tally in zip(accounts, tallies, strict=True):
                    # Its own limit is compared by `reserve`. Where that was replaced, a session that is open still
                    # brings the old one.
                    limit = tally.cap_nanos if tally.name in self._replaced else tally.limit_nanos
                    if limit is not None and account.committed + nanos > limit:
                        raise refusal(tally.name, account.committed, limit, nanos)
                reserve(accounts, nanos)
                self._held[id] = (nanos, accounts)
            return [account.balance() for account in accounts]

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds, if anything, by what it cost; an ``id`` that was settled changes nothing."""
        with caps.LOCK:
            if id not in self._settled:
                self._remember(id)
                nanos, accounts = self._held.pop(id, (0, tuple(self._find(tally.name) for tally in tallies)))
                change(accounts, -nanos, settled, uncertain)
            return [self._find(tally.name).balance() for tally in tallies]

    def _remember(self, id: str) -> None:
        self._settled[id] = None
        if len(self._settled) > _REMEMBERED:
            del self._settled[next(iter(self._settled))]

    def _find(self, name: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = Account(name)
        return account
