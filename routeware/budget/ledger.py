"""Ledgers keep sums: the questions that one is asked, and its answers.

A ledger answers or raises. What to do when it cannot be reached, and how often to repeat a settlement, is not its
concern: sessions repeat, and :class:`~routeware.budget.OfflineLedger` goes on for a while without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import attrs

from routeware.errors import BudgetExceededError, LedgerUnavailableError, PolicyError
from routeware.money import usd
from routeware.text import checked_ledger_name

__all__ = ["Balance", "Ledger", "Tally", "answer_of", "check_ledger", "different_limit", "open_tally", "refusal"]

T = TypeVar("T")


@attrs.frozen
class Tally:
    """A name to count under, and the cap that a hold has to fit.

    Attributes:
        name: what the sum is kept under; the same name is the same sum.
        limit_nanos: the cap in nano-dollars; ``None`` for none. In a hold it is the session's own, or ``cap_nanos``
            where that is lower.
        cap_nanos: of a hold, the cap that a policy puts on the session. Where the limit of a name was replaced, a
            ledger compares with its own limit and with this: sessions that are open bring the old limit.
    """

    name: str
    limit_nanos: int | None = None
    cap_nanos: int | None = None


@attrs.frozen
class Balance:
    """The sums of one tally, in nano-dollars."""

    settled: int = 0
    uncertain: int = 0
    reserved: int = 0

    @property
    def committed(self) -> int:
        """All that counts against a cap."""
        return self.settled + self.uncertain + self.reserved


class Ledger(Protocol):
    """Keeps one sum for all sessions of a name: across tasks, processes or machines.

    Every change carries an ``id`` that the caller made, so that asking twice changes nothing twice: a caller that lost
    a reply asks again. An id is never used for two ledgers. All amounts are nano-dollars. Each method raises
    :class:`~routeware.LedgerUnavailableError` when the ledger cannot be reached, and may have been acted upon all the
    same.

    A ledger whose limits can be replaced also has ``set_limit(tally)``, which ``session(..., replace_limit=True)`` asks
    instead of :meth:`tally`: it fixes the limit of the name for all who share it, and returns its sums.

    A ledger whose sums lie in this process may also have ``account(tally)``, which opens the tally as :meth:`tally`
    does and returns its :class:`~routeware.budget.Account`. Sessions then change the sums directly: calls never wait.
    """

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally``, or go on with it, and return its sums.

        Raises:
            PolicyError: it was opened with another limit (names both), or its limit does not fit in this ledger.
        """
        ...

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none, and return their sums after it, in their order.

        An ``id`` that holds already, or was settled, is answered as granted, and holds nothing more.

        Raises:
            BudgetExceededError: a tally's limit would be passed; equality fits.
        """
        ...

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds by what it cost, and return the tallies' sums after it, in their order.

        It counts once per ``id``. One that holds nothing is counted all the same: a correction, what was spent while
        the ledger was away, what a ledger that lost its memory has forgotten. Either amount may be negative.
        """
        ...


def refusal(name: str | None, committed: int, limit: int, nanos: int) -> BudgetExceededError:
    """Make the error for a hold of ``nanos`` that does not fit ``limit`` beside what is ``committed``."""
    return BudgetExceededError(
        kind="session",
        limit_usd=usd(limit),
        projected_usd=usd(nanos),
        committed_usd=usd(committed),
        session_name=name,
    )


def check_ledger(ledger: Ledger, name: str | None, *, replacing: bool) -> None:
    """Refuse what cannot keep the sum of a session called ``name``.

    Args:
        ledger: what was given as a ledger.
        name: of the session.
        replacing: True if the session's limit is to replace the one that the ledger knows.

    Raises:
        PolicyError: there is no name to keep a sum under, no ledger can keep this one, it is no ledger, or its limits
            cannot be replaced.
    """
    if name is None:
        raise PolicyError("a session with a ledger needs a name: it is what the sum is kept under", key="name")
    if isinstance(ledger, type):
        raise PolicyError(f"{ledger.__qualname__} is a class: pass a ledger that was made of it", key="ledger")
    if not all(hasattr(ledger, method) for method in ("hold", "settle", "tally")):
        advice = ", as SqliteLedger(path) and RedisLedger(url) have" if isinstance(ledger, str) else ""
        raise PolicyError(
            f"{type(ledger).__qualname__} is not a ledger: it has no hold, settle and tally{advice}", key="ledger"
        )
    if replacing and not hasattr(ledger, "set_limit"):
        kind = type(ledger).__qualname__
        raise PolicyError(f"{kind} cannot replace a limit: it has no set_limit", key="replace_limit")
    checked_ledger_name(name)


def different_limit(name: str, known: int | None, asked: int | None) -> str:
    """Write the text of the error for a tally that is opened with two limits."""

    def shown(limit: int | None) -> str:
        return "no limit" if limit is None else f"a limit of ${usd(limit):g}"

    both = f"{shown(known)} in this ledger, and was entered with {shown(asked)}"
    remedy = "all must bring the same, or one replaces it for all: session(..., replace_limit=True)"
    return f"session {name!r} has {both}; {remedy}"


async def open_tally(ledger: Ledger, tally: Tally, *, replacing: bool) -> Balance:
    """Open ``tally`` in ``ledger``, or go on with it; where it is ``replacing``, whatever limit it had before.

    Raises:
        PolicyError: it was opened with another limit.
        LedgerUnavailableError: the ledger could not be asked.
    """
    set_limit: Callable[[Tally], Awaitable[Balance]] | None = getattr(ledger, "set_limit", None) if replacing else None
    return await answer_of(ledger.tally(tally) if set_limit is None else set_limit(tally))


async def answer_of(question: Awaitable[T]) -> T:
    """Await a ledger's answer.

    Raises:
        LedgerUnavailableError: the ledger raised CancelledError by itself. It would pass for the caller's own
            cancellation, and end attempts that have nothing to do with this ledger.
        Exception: what the ledger raised.
    """
    before = _cancelling()
    try:
        return await question
    except asyncio.CancelledError as error:
        if _cancelling() > before:
            raise
        raise LedgerUnavailableError("the ledger's answer was cancelled") from error


def _cancelling() -> int:
    # The task is not kept: it may keep the error that is raised, whose traceback would keep it.
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
