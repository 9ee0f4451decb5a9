"""What one remote ledger keeps of a session and those around it, and what may be spent while it cannot be reached."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence

import attrs

from routeware.budget.account import LOCK, Account, refusal
from routeware.budget.ledger import Balance, Ledger, Tally
from routeware.budget.stopgap import Stopgap
from routeware.errors import LedgerUnavailableError

__all__ = ["Sheet", "lesser"]

# Answers may overtake one another; the figures to show are those of the question that was asked last.
_questions = itertools.count(1)


@attrs.frozen(eq=False)
class Sheet:
    """The tallies of one session and its enclosing ones that one remote ledger keeps, outermost first.

    Attributes:
        ledger: who keeps them.
        tallies: what is asked for.
        accounts: what was last seen of each.
        stopgaps: what each may spend while the ledger is away; empty unless all of them may.
    """

    ledger: Ledger
    tallies: tuple[Tally, ...]
    accounts: tuple[Account, ...]
    stopgaps: tuple[Stopgap, ...] = ()

    def capped(self, account: Account, cap: int | None) -> tuple[Tally, ...]:
        """The tallies for one hold, that of ``account`` under ``cap`` as well as under its own limit."""
        if cap is None:
            return self.tallies
        return tuple(
            tally if account is not own else attrs.evolve(tally, limit_nanos=lesser(tally.limit_nanos, cap))
            for tally, own in zip(self.tallies, self.accounts, strict=True)
        )

    async def settle(self, id: str, settled: int, uncertain: int) -> None:
        """Tell the ledger what an attempt cost.

        Raises:
            LedgerUnavailableError: it could not be told.
        """
        question = next(_questions)
        self._see(await self.ledger.settle(id, self.tallies, settled, uncertain), question)

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int) -> None:
        """Ask the ledger, which is told first what it was not there to hear when the session was entered.

        Raises:
            BudgetExceededError: a limit would be passed.
            LedgerUnavailableError: it could not be asked, or was not reached a moment ago.
            PolicyError: it knows the session by another limit.
        """
        question = next(_questions)
        if not self.stopgaps:
            self._see(await self.ledger.hold(id, tallies, nanos), question)
            return
        if any(gap.away for gap in self.stopgaps):
            raise LedgerUnavailableError("the ledger could not be reached a moment ago")
        try:
            for gap in self.stopgaps:
                if gap.unopened is not None:
                    await self.ledger.tally(gap.unopened)
                    gap.unopened = None
            self._see(await self.ledger.hold(id, tallies, nanos), question)
        except LedgerUnavailableError:
            self.stopgaps[0].missed()
            raise

    def hold_locally(self, tallies: Sequence[Tally], nanos: int) -> None:
        """Set ``nanos`` aside in every stopgap, or in none, for the ledger is away.

        Raises:
            BudgetExceededError: a stopgap would be passed, or a limit by what was last seen and what was spent since.
        """
        with LOCK:
            for tally, seen, gap in zip(tallies, self.accounts, self.stopgaps, strict=True):
                spare = gap.untold.committed
                if spare + nanos > gap.limit:
                    raise refusal(tally.name, spare, gap.limit, nanos)
                if tally.limit_nanos is not None and seen.committed + spare + nanos > tally.limit_nanos:
                    raise refusal(tally.name, seen.committed + spare, tally.limit_nanos, nanos)
            for gap in self.stopgaps:
                gap.change(nanos, 0, 0)

    def change_locally(self, reserved: int, settled: int, uncertain: int) -> None:
        """Add to what the ledger has not been told of yet."""
        with LOCK:
            for gap in self.stopgaps:
                gap.change(reserved, settled, uncertain)

    def leave_behind(self, send: Callable[[], Awaitable[bool]]) -> None:
        """Keep a message of what was spent locally for the next session that reaches the ledger."""
        self.stopgaps[0].leave_behind(send)

    def _see(self, balances: Sequence[Balance], question: int) -> None:
        for account, balance in zip(self.accounts, balances, strict=True):
            account.see(balance, question)


def lesser(limit: int | None, cap: int) -> int:
    """``cap``, or ``limit`` where that is lower."""
    return cap if limit is None else min(cap, limit)
