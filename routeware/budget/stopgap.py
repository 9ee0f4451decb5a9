"""What may be spent while a ledger cannot be reached, and what it has to be told when it is back.

That is kept for each ledger and name, not for each session: a service that enters a session for every request would
otherwise spend its little again and again, and wait for the ledger's time-out at every entry.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable

from routeware.budget.account import LOCK, Account
from routeware.budget.ledger import Ledger, Tally

__all__ = ["Stopgap"]

_AWAY_S = 1.0
"""How long a ledger that could not be reached is not asked again, where a stopgap serves meanwhile."""


class _Absence:
    """A ledger that is, or was, away.

    Attributes:
        until: when it is to be asked again, on the loop's clock.
        untold: what was spent under each name, and it has not been told of.
        unsent: messages about it that their sessions have given up; each says whether it has arrived.
        catching_up: whether somebody is sending these.
    """

    __slots__ = ("catching_up", "unsent", "until", "untold")

    def __init__(self) -> None:
        self.until = 0.0
        self.untold: dict[str, Account] = {}
        self.unsent: list[Callable[[], Awaitable[bool]]] = []
        self.catching_up = False


# By the ledger's identity: a ledger need not be hashable.
_absences: dict[int, _Absence] = {}


class Stopgap:
    """What one session may spend by itself while its ledger cannot be reached.

    Attributes:
        limit: the most that may be spent under its name without the ledger's knowing, in nano-dollars.
        unopened: the session's tally, where the ledger could not be reached when the session was entered.
    """

    __slots__ = ("_absence", "limit", "name", "unopened")

    def __init__(self, ledger: Ledger, name: str, limit: int) -> None:
        self._absence = _absence_of(ledger)
        self.name = name
        self.limit = limit
        self.unopened: Tally | None = None

    @property
    def away(self) -> bool:
        """Whether the ledger could not be reached a moment ago."""
        return asyncio.get_running_loop().time() < self._absence.until

    def missed(self) -> None:
        """The ledger could not be reached just now."""
        self._absence.until = asyncio.get_running_loop().time() + _AWAY_S

    @property
    def untold(self) -> Account:
        """What was spent under the name, and the ledger has not been told of."""
        return self._absence.untold.get(self.name) or Account(self.name)

    def change(self, reserved: int, settled: int, uncertain: int) -> None:
        """Add to that; the caller holds the lock."""
        account = self._absence.untold.setdefault(self.name, Account(self.name))
        account.change(reserved, settled, uncertain)
        if not (account.reserved or account.settled or account.uncertain):
            del self._absence.untold[self.name]

    def leave_behind(self, send: Callable[[], Awaitable[bool]]) -> None:
        """Keep a message for the next session that reaches the ledger."""
        self._absence.unsent.append(send)

    @property
    def owes(self) -> bool:
        """Whether there are messages that nobody is sending."""
        return bool(self._absence.unsent) and not self._absence.catching_up

    async def catch_up(self) -> None:
        """Send what others have left behind, as far as it arrives."""
        absence = self._absence
        absence.catching_up = True
        try:
            while absence.unsent and await absence.unsent[0]():
                del absence.unsent[0]
        finally:
            absence.catching_up = False


def _absence_of(ledger: Ledger) -> _Absence:
    with LOCK:
        found = _absences.get(id(ledger))
        if found is None:
            found = _Absence()
            try:
                weakref.finalize(ledger, _absences.pop, id(ledger), None)
            except TypeError:  # it has slots, and none for weak references: then each session is on its own
                return found
            _absences[id(ledger)] = found
        return found
