"""A ledger that outlives its processes: how a client asks it, the tallies in it, and the changes made by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import Literal, Self, TypeVar

import attrs

from routeware.budget import Balance, Tally
from routeware.contrib.leases import Leases
from routeware.contrib.receipts import Receipts
from routeware.errors import BudgetExceededError, PolicyError

__all__ = ["HISTORY", "Change", "Kept", "KeptLedger", "check_name"]

T = TypeVar("T")

HISTORY = 100
"""The number of changes that are kept of a tally."""


@attrs.frozen
class Kept:
    """One tally as it is kept.

    Attributes:
        name: the session's name.
        balance: what is settled, uncertain and reserved.
        limited: whether a session was entered with it, which fixes its limit.
        limit_nanos: the cap in nano-dollars; ``None`` for none.
    """

    name: str
    balance: Balance
    limited: bool
    limit_nanos: int | None


@attrs.frozen
class Change:
    """A change of a tally that no attempt made.

    Attributes:
        at: when, in seconds since 1970 by the clock of the server (of the host, for a file).
        event: ``limit`` was set, or the uncertain sum was released.
        before: the limit or the uncertain sum before, in nano-dollars; ``None`` for no limit.
        after: the same afterwards.
    """

    at: float
    event: Literal["limit", "release"]
    before: int | None
    after: int | None


class KeptLedger(ABC):
    """A ledger whose reservations have leases, and whose settled ids are known until they cannot come again.

    Attributes:
        timeout_s: how long a request may take.
        leases: what this process holds there.
        receipts: what this process has an answer to.
    """

    def __init__(self, *, timeout_s: float, lease_s: float, expire_s: float | None, repeat_s: float) -> None:
        """Check the times that a ledger is given, and renew the leases of what is held.

        Raises:
            PolicyError: a time that is none.
        """
        for key, value in {"timeout_s": timeout_s, "lease_s": lease_s, "expire_s": expire_s}.items():
            if value is not None and not value > 0:
                raise PolicyError(f"must be a time above 0, not {value!r}", key=key)
        self.timeout_s = timeout_s
        self.receipts = Receipts(repeat_s)
        self.leases = Leases(self._renew, lease_s / 3)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none, until it is settled or this process is gone.

        Raises:
            BudgetExceededError: a limit would be passed; equality fits.
            LedgerUnavailableError: the ledger cannot be asked, or does not answer in time.
        """
        _check_names(tallies)
        balances = await self._answer_about(id, self._hold(id, tallies, nanos))
        self.leases.add(id)
        return balances

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds, if anything, by what it cost; once per ``id``.

        Raises:
            LedgerUnavailableError: the ledger cannot be asked, or does not answer in time.
            RoutewareError: it had no answer for ``repeat_s``, and is not repeated any more.
        """
        _check_names(tallies)
        held = self.leases.discard(id)
        self.receipts.allow(id)
        balances = await self._answer_about(id, self._settle(id, tallies, settled, uncertain))
        # Not a moment earlier: a caller that is cancelled while it waits has no answer, and may ask again.
        self.receipts.answered(id, held=held)
        return balances

    async def _answer_about(self, id: str, answer: Awaitable[T]) -> T:
        try:
            return await answer
        except BudgetExceededError:
            raise
        except BaseException:
            self.receipts.unanswered(id)
            raise

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of what the ledger is reached by; asked again, it is opened again."""

    @abstractmethod
    async def _hold(self, id: str, tallies: Sequence[Tally], nanos: int) -> Sequence[Balance]: ...

    @abstractmethod
    async def _settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int) -> Sequence[Balance]: ...

    @abstractmethod
    async def _renew(self, ids: list[str]) -> None: ...


def check_name(name: str) -> None:
    """Refuse a name that cannot be encoded: it has half of a surrogate pair in it.

    Raises:
        PolicyError: it cannot.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise PolicyError(
            f"{name!r} cannot be a session's name in a ledger: it is not valid Unicode", key="name"
        ) from None


def _check_names(tallies: Sequence[Tally]) -> None:
    for tally in tallies:
        check_name(tally.name)
