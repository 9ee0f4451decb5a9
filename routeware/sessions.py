"""Sessions: spans of program time over which spending is added up and capped.

A session is found through a context variable, so it follows calls into tasks without being passed around. What a
session has to write a charge to, its own account and those of all sessions around it, is worked out once, when it is
entered: a call only looks it up.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal, Self

from routeware.budget import (
    Account,
    Balance,
    Book,
    Counts,
    Ledger,
    MemoryLedger,
    SessionReport,
    Sheet,
    Stopgap,
    Tally,
    attempt_sums,
)
from routeware.errors import LedgerUnavailableError, PolicyError, SessionClosedError
from routeware.money import amount_usd, nanos, usd

__all__ = ["CURRENT_SESSION", "Session", "current_session", "session"]

logger = logging.getLogger("routeware")

CURRENT_SESSION: ContextVar[Session | None] = ContextVar("routeware.session", default=None)

_NOTHING = Balance()

PATIENCE_S = 5.0
"""How long leaving a session waits for its stragglers."""


def current_session() -> Session | None:
    """The innermost session that is open here; ``None`` outside of any."""
    return CURRENT_SESSION.get()


def session(
    name: str | None = None,
    *,
    limit_usd: float | None = None,
    ledger: Ledger | None = None,
    on_unavailable: Literal["refuse"] | float = "refuse",
    attributes: Mapping[str, Any] | None = None,
    root: bool = False,
) -> Session:
    """A session, to be entered with ``async with``.

    Args:
        name: shown in records, spans and errors; with a ledger, what the sum is kept under.
        limit_usd: a hard cap on what is committed inside; ``None`` for none.
        ledger: where the sum is kept. With one, the same name is the same sum: entered again, or by several at once.
        on_unavailable: what to do when the ledger cannot be asked. ``refuse`` raises ``LedgerUnavailableError``; an
            amount of dollars is what this session may spend meanwhile. The ledger is told of it when it is back.
        attributes: put on every call span inside.
        root: start afresh instead of counting in the enclosing sessions, too.

    Raises:
        PolicyError: a limit that is no amount, a ledger without a name, or (on entering) a limit other than the
            one that the ledger knows for this name.
    """
    return Session(name, limit_usd, ledger, on_unavailable, attributes, root)


class Session:
    """A span of program time with a sum of its own. Made by :func:`session`; entered once."""

    def __init__(
        self,
        name: str | None,
        limit_usd: float | None,
        ledger: Ledger | None,
        on_unavailable: str | float,
        attributes: Mapping[str, Any] | None,
        root: bool,
    ) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise PolicyError(f"{name!r} is not a session's name: a non-empty string, or None", key="name")
        if ledger is not None and name is None:
            raise PolicyError("a session with a ledger needs a name: it is what the sum is kept under", key="name")
        if ledger is not None and not all(hasattr(ledger, method) for method in ("hold", "settle", "tally")):
            raise PolicyError(
                f"{type(ledger).__qualname__} is not a ledger: it has no hold, settle and tally", key="ledger"
            )
        if isinstance(on_unavailable, str) and on_unavailable != "refuse":
            raise PolicyError(
                f"{on_unavailable!r} is not known: 'refuse', or how many dollars may be spent meanwhile",
                key="on_unavailable",
            )
        self.name = name
        self.limit_usd = None if limit_usd is None else amount_usd(limit_usd, "limit_usd")
        self.attributes: dict[str, Any] = dict(attributes or {})
        self._limit = None if self.limit_usd is None else nanos(self.limit_usd)
        self._ledger = ledger
        self._root = root
        self._chain: tuple[Session, ...] = ()
        self._account = Account(name)
        self._stopgap: Stopgap | None = None
        if not isinstance(on_unavailable, str):
            spare = nanos(amount_usd(on_unavailable, "on_unavailable"))
            self._stopgap = None if ledger is None else Stopgap(ledger, name or "", spare)
        self._book: Book | None = None
        self._outside: tuple[Session, ...] = ()
        self._left = False

    async def __aenter__(self) -> Self:
        if self._book is not None:
            raise SessionClosedError(f"{self} was entered before; make another with session(...)")
        outside = CURRENT_SESSION.get()
        around = None if self._root else outside
        if around is not None:
            around.book()
            self.attributes = {**around.attributes, **self.attributes}
        await self._open()
        self._chain = (*(around._chain if around is not None else ()), self)
        self._book = _book(self._chain, around)
        self._outside = () if outside is None else outside._lineage()
        CURRENT_SESSION.set(self)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._left = True
        if CURRENT_SESSION.get() is self:
            # Not by a token: sessions that overlap without nesting (in generators) would bring back one that was left.
            CURRENT_SESSION.set(next((one for one in reversed(self._outside) if not one._left), None))
        book = self._book
        if book is not None:
            given_up = await book.drain(PATIENCE_S)
            if given_up or (self._account.reserved and type(self._ledger) in (type(None), MemoryLedger)):
                logger.warning(
                    "%s was left with $%.9f still reserved, and %d attempts still running whose projection is booked as"
                    " uncertain",
                    self,
                    self.reserved_usd,
                    given_up,
                )

    def _lineage(self) -> tuple[Session, ...]:
        return (*self._outside, self)

    def __str__(self) -> str:
        return f"session {self.name!r}" if self.name is not None else "a session"

    def book(self) -> Book:
        """What a charge is written to.

        Raises:
            SessionClosedError: this session, or one around it, is not open (any more).
        """
        for one in self._chain:
            if one._left:
                raise SessionClosedError(
                    f"{one} was left before this call started; start it inside, or in a session of its own"
                )
        if self._book is None:
            raise SessionClosedError(f"{self} was not entered")
        return self._book

    @property
    def spent_usd(self) -> float:
        """What is settled."""
        return usd(self._account.settled + self._untold().settled)

    @property
    def uncertain_usd(self) -> float:
        """What may have been spent besides: attempts that were cut off, or did not say."""
        return usd(self._account.uncertain + self._untold().uncertain)

    @property
    def reserved_usd(self) -> float:
        """What running attempts have set aside."""
        return usd(self._account.reserved + self._untold().reserved)

    @property
    def remaining_usd(self) -> float | None:
        """What is left, the least of this session and those around it; ``None`` where none has a limit."""
        left = [one._limit - one._committed for one in self._chain or (self,) if one._limit is not None]
        return usd(max(0, min(left))) if left else None

    def report(self) -> SessionReport:
        """What this session came to so far: ``to_dict()`` is plain JSON, ``print()`` shows a table."""
        counts = Counts() if self._book is None else self._book.counts
        return SessionReport(
            name=self.name,
            limit_usd=self.limit_usd,
            spent_usd=self.spent_usd,
            uncertain_usd=self.uncertain_usd,
            reserved_usd=self.reserved_usd,
            remaining_usd=self.remaining_usd,
            calls=dict(counts.calls),
            attempts=attempt_sums(counts),
            races=counts.races,
            races_won=counts.races_won,
            race_usd=usd(counts.race_nanos),
        )

    @property
    def _committed(self) -> int:
        return self._account.committed + self._untold().committed

    def _untold(self) -> Account | Balance:
        return _NOTHING if self._stopgap is None else self._stopgap.untold

    async def _open(self) -> None:
        if self._ledger is None:
            return
        tally = Tally(self.name or "", self._limit)
        if type(self._ledger) is MemoryLedger:
            # In this process: the account itself, so that holding and settling need no await. A subclass may suspend.
            self._account = self._ledger.account(tally)
            return
        gap = self._stopgap
        if gap is not None and gap.away:
            gap.unopened = tally
            return
        try:
            self._account.see(await self._ledger.tally(tally), 0)
        except LedgerUnavailableError:
            if gap is None:
                raise
            gap.missed()
            gap.unopened = tally


def _book(chain: tuple[Session, ...], around: Session | None) -> Book:
    entries: dict[int, tuple[Account, int | None]] = {}
    remote: dict[int, list[Session]] = {}
    for one in chain:
        if one._ledger is None or type(one._ledger) is MemoryLedger:
            entries[id(one._account)] = (one._account, one._limit)
        else:
            remote.setdefault(id(one._ledger), []).append(one)
    sheets = tuple(_sheet(sessions) for sessions in remote.values())
    ledgers = any(one._ledger is not None for one in chain)
    return Book(
        chain[-1]._account, tuple(entries.values()), sheets, around._book if around is not None else None, ledgers
    )


def _sheet(sessions: list[Session]) -> Sheet:
    seen: dict[str | None, Session] = {}
    refusing = any(one._stopgap is None for one in sessions)
    for one in sessions:
        # Entered inside itself: one tally, and one view of it.
        first = seen.setdefault(one.name, one)
        one._account = first._account
        if not refusing:
            one._stopgap = first._stopgap
    ledger = sessions[0]._ledger
    assert ledger is not None
    return Sheet(
        ledger,
        tuple(Tally(one.name or "", one._limit) for one in seen.values()),
        tuple(one._account for one in seen.values()),
        () if refusing else tuple(one._stopgap for one in seen.values() if one._stopgap is not None),
    )
