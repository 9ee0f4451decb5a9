"""The view that a session has of one ledger outside of this process."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import suppress

import attrs

from routeware.budget.caps import Account, lesser
from routeware.budget.ledger import Balance, Ledger, Tally, answer_of
from routeware.budget.offline import OfflineLedger
from routeware.errors import LedgerUnavailableError, PolicyError

__all__ = ["LedgerView", "view_of"]


class AnswerOrder:
    """Tells if the answer that came last is also the newest, for all views of one ledger around a session.

    Two questions may be on their way at once, on two connections, and be answered in another order than they were
    asked in. Then nothing says which of them the ledger dealt with last, and the tallies of the later answer are in
    doubt. A view of other tallies may be the one that finds out, so they are kept here and not in the view.
    """

    __slots__ = ("_asked", "_doubts", "_in_flight", "_latest")

    def __init__(self) -> None:
        self._asked = 0
        self._in_flight = 0
        self._latest = 0
        self._doubts: dict[str, tuple[Tally, Account]] = {}

    async def see(
        self, answer: Awaitable[Sequence[Balance]], tallies: Sequence[Tally], seen: Sequence[Account]
    ) -> None:
        """Wait for the answer to a question about these tallies, and take over what it says."""
        self._asked += 1
        self._in_flight += 1
        question = self._asked
        try:
            for account, balance in zip(seen, await answer_of(answer), strict=True):
                account.see(balance)
        finally:
            self._in_flight -= 1
            if question < self._latest:
                self._doubts.update((one.name, (one, account)) for one, account in zip(tallies, seen, strict=True))
            self._latest = max(self._latest, question)

    @property
    def doubtful(self) -> bool:
        """True if answers have crossed, and none is on its way that would settle the matter."""
        return bool(self._doubts) and not self._in_flight

    def take_doubts(self) -> list[tuple[Tally, Account]]:
        """Take the tallies that are in doubt, to ask the ledger once more."""
        doubts, self._doubts = [*self._doubts.values()], {}
        return doubts


@attrs.frozen(eq=False)
class LedgerView:
    """The tallies of one session and its enclosing ones that one ledger keeps, outermost first.

    Attributes:
        ledger: the ledger as it was given to the sessions.
        tallies: what is asked for.
        seen: what was last seen of each.
        answers: whether the last answer is the newest.
        offline: what is asked instead of the ledger where every session may spend a little while it is away.
    """

    ledger: Ledger
    tallies: tuple[Tally, ...]
    seen: tuple[Account, ...]
    offline: OfflineLedger | None
    answers: AnswerOrder

    @property
    def asked(self) -> Ledger:
        """The ledger that is really asked."""
        return self.offline or self.ledger

    def seen_of(self, name: str) -> Account:
        """Return what was last seen of the tally under ``name``."""
        return next(seen for tally, seen in zip(self.tallies, self.seen, strict=True) if tally.name == name)

    async def hold(self, id: str, nanos: int, own: Account, cap: int | None) -> None:
        """Ask the ledger to set ``nanos`` aside, for ``own`` under ``cap`` as well as under its own limit.

        Raises:
            BudgetExceededError: a limit would be passed.
            LedgerUnavailableError: it could not be asked.
            PolicyError: it knows a session by another limit.
        """
        tallies = self.tallies
        if cap is not None:
            tallies = tuple(
                tally if seen is not own else Tally(tally.name, lesser(tally.limit_nanos, cap), cap)
                for tally, seen in zip(tallies, self.seen, strict=True)
            )
        await self.answers.see(self.asked.hold(id, tallies, nanos), self.tallies, self.seen)

    async def settle(self, id: str, settled: int, uncertain: int) -> None:
        """Tell the ledger what an attempt cost.

        Raises:
            LedgerUnavailableError: it could not be reached.
        """
        await self.answers.see(self.asked.settle(id, self.tallies, settled, uncertain), self.tallies, self.seen)
        if self.answers.doubtful:
            await self._look_again()

    async def _look_again(self) -> None:
        with suppress(LedgerUnavailableError, PolicyError):
            while self.answers.doubtful:
                for tally, seen in self.answers.take_doubts():
                    # Counted like any other question: what is asked meanwhile may cross its answer, too.
                    await self.answers.see(_alone(self.asked.tally(tally)), (tally,), (seen,))


async def _alone(answer: Awaitable[Balance]) -> Sequence[Balance]:
    return [await answer]


def view_of(ledger: Ledger, tally: Tally, spare_usd: float | None, around: LedgerView | None) -> LedgerView:
    """Return the view of a session that counts ``tally`` in ``ledger``, inside those that ``around`` stands for.

    Args:
        ledger: the ledger.
        tally: of the session. A name that counts already is counted once, by the amounts of the outer session.
        spare_usd: what the session may spend while the ledger is away; ``None`` to refuse. Where one session refuses,
            none of them goes on: one hold is asked for them all.
        around: what the ledger keeps of the sessions around.
    """
    known = around is not None and any(one.name == tally.name for one in around.tallies)
    offline = None if around is None else around.offline
    if spare_usd is None:
        offline = None
    elif around is None:
        offline = OfflineLedger(ledger, spare_usd)
    elif offline is not None and not known:
        offline = offline.inside(tally.name, spare_usd)
    if around is None:
        return LedgerView(ledger, (tally,), (Account(tally.name, tally.limit_nanos),), offline, AnswerOrder())
    if known:
        return attrs.evolve(around, offline=offline)
    account = Account(tally.name, tally.limit_nanos)
    return LedgerView(ledger, (*around.tallies, tally), (*around.seen, account), offline, around.answers)
