"""Where sums are kept: what a ledger is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from routeware.money import usd

__all__ = ["Balance", "Ledger", "Tally", "different_limit"]


@attrs.frozen
class Tally:
    """A name to count under, and the cap that a hold has to fit.

    Attributes:
        name: what the sum is kept under; the same name is the same sum.
        limit_nanos: the cap in nano-dollars; ``None`` for none.
    """

    name: str
    limit_nanos: int | None = None


@attrs.frozen
class Balance:
    """What one tally stands at, in nano-dollars."""

    settled: int = 0
    uncertain: int = 0
    reserved: int = 0

    @property
    def committed(self) -> int:
        """All that counts against a cap."""
        return self.settled + self.uncertain + self.reserved


class Ledger(Protocol):
    """Where sessions of one name keep one sum: across tasks, processes or machines.

    Every change carries an ``id`` that the caller made, so that asking twice changes nothing twice: whoever lost a
    reply asks again. All amounts are nano-dollars. Each method raises :class:`~routeware.LedgerUnavailableError` when
    nobody can be asked, and may have been acted upon all the same.
    """

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally``, or go on with it, and say what it stands at.

        Raises:
            PolicyError: it was opened with another limit (names both), or its limit does not fit in this ledger.
        """
        ...

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none; what they stand at then, in their order.

        An ``id`` that holds already, or was settled, is answered as granted, and holds nothing more.

        Raises:
            BudgetExceededError: a tally's limit would be passed; equality fits.
        """
        ...

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds by what it cost; what the tallies stand at then, in their order.

        It counts once per ``id``. One that holds nothing is counted all the same: a correction, what was spent while
        nobody could be asked, what a ledger that lost its memory has forgotten. Either amount may be negative.
        """
        ...


def different_limit(name: str, known: int | None, asked: int | None) -> str:
    """The text of the error for a tally that is opened with two limits."""

    def shown(limit: int | None) -> str:
        return "no limit" if limit is None else f"a limit of ${usd(limit):g}"

    both = f"{shown(known)} in this ledger, and was entered with {shown(asked)}"
    return f"session {name!r} has {both}; all must bring the same"
