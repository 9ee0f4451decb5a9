"""Sessions: spans of program time over which spending is added up and capped.

A session is found through a context variable, so it follows calls into tasks without being passed around. It is its
own book: the accounts that a charge is written to, its own and those of all sessions around it, are worked out once,
when it is entered, from those of the session around it. It refers to that session and never the other way round, so a
session that was left is freed at once, without the garbage collector.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar

from routeware.budget.caps import Account, lesser
from routeware.budget.ledger import Ledger, Tally, check_ledger, open_tally, refusal
from routeware.budget.offline import OfflineLedger, spare_of
from routeware.budget.report import CallCounts, SessionReport, report_of
from routeware.budget.resending import SettlementQueue
from routeware.budget.view import LedgerView, view_of
from routeware.errors import BudgetExceededError, PolicyError, SessionClosedError
from routeware.money import amount_usd, nanos, usd
from routeware.observers import AttemptFacts

__all__ = ["CURRENT_SESSION", "Session"]

T = TypeVar("T")

logger = logging.getLogger("routeware")

CURRENT_SESSION: ContextVar[Session | None] = ContextVar("routeware.session", default=None)

PATIENCE_S = 5.0
"""The time that leaving a session waits for its stragglers."""
_LAST_WORDS_S = 0.5
"""The time that messages which are given up have for their last try."""


class Session:
    """A span of program time with a sum of its own. Made by :func:`session`; entered once.

    Attributes:
        name: shown in records, spans and errors.
        attributes: put on every call span inside, those of the sessions around included.
        capped: True if this session or one around it has a limit.
        reserving: True if attempts have to reserve: under a cap, and wherever others count in the same ledger.
        remote: True if a ledger outside of this process counts what is spent here.
        accounts: what a charge is written to in this process, outermost first.
        views: what remote ledgers keep of it, outermost first.
        shown: the account with the session's sums and limit: its own, or its ledger's, as last seen.
    """

    __slots__ = (
        "__weakref__",
        "_around",
        "_before",
        "_chores",
        "_counts",
        "_drained",
        "_ledger",
        "_offline",
        "_own",
        "_repeats",
        "_replace_limit",
        "_root",
        "_spare_usd",
        "_state",
        "accounts",
        "attributes",
        "capped",
        "name",
        "remote",
        "reserving",
        "shown",
        "views",
    )

    def __init__(
        self,
        name: str | None,
        limit_usd: float | None,
        ledger: Ledger | None,
        on_unavailable: str | float,
        attributes: Mapping[str, Any] | None,
        root: bool,
        *,
        replace_limit: bool = False,
    ) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise PolicyError(f"{name!r} is not a session's name: a non-empty string, or None", key="name")
        if ledger is not None:
            check_ledger(ledger, name, replacing=replace_limit)
        self.name = name
        limit = None if limit_usd is None else nanos(amount_usd(limit_usd, "limit_usd"))
        if attributes is not None and not isinstance(attributes, Mapping):
            raise PolicyError(f"{attributes!r} is not a mapping of names to values", key="attributes")
        self.attributes: dict[str, Any] = dict(attributes) if attributes else {}
        self.capped = self.reserving = limit is not None
        self.remote = False
        # What was charged through this object, whoever else counts in its ledger.
        self._own = self.shown = Account(name, limit)
        if ledger is not None:
            self._own, self.reserving = Account(name), True
        self.accounts: tuple[Account, ...] = ()
        self.views: tuple[LedgerView, ...] = ()
        self._ledger = ledger
        self._spare_usd = None if on_unavailable == "refuse" else spare_of(on_unavailable)
        self._replace_limit = replace_limit
        self._offline: OfflineLedger | None = None
        self._root = root
        self._around: Session | None = None
        self._before: Session | None = None
        self._state: Literal["made", "entering", "open", "left"] = "made"
        self._drained = False
        self._counts = CallCounts()
        self._chores: dict[asyncio.Future[Any], Callable[[], None] | None] = {}
        self._repeats: dict[asyncio.Future[Any], SettlementQueue] = {}

    if not TYPE_CHECKING:  # type checkers refuse `with session(...)`, because they see neither method

        def __enter__(self) -> NoReturn:
            """Refuse ``with session(...)`` with the remedy, which Python's own message does not name."""
            raise TypeError("a session is entered by `async with`, not by `with`")

        def __exit__(self, *error: object) -> None:
            """Stand beside ``__enter__``: Python asks for both before it enters."""

    async def __aenter__(self) -> Self:
        if self._state != "made":
            raise SessionClosedError(f"{self} was entered before; make another with session(...)")
        before = CURRENT_SESSION.get()
        around = None if self._root else before
        if around is None:
            self.accounts = (self._own,)
        else:
            around.check_open()
            self.accounts = (*around.accounts, self._own)
        if self._ledger is not None:
            # Said before anything is awaited: a second `async with` on the same object is refused meanwhile.
            self._state = "entering"
            try:
                await self._open_tally(self._ledger, () if around is None else around.views)
            except BaseException:
                self._state = "made"
                raise
        if around is not None:
            self._inherit(around)
        self._around, self._before = around, before
        self._state = "open"
        CURRENT_SESSION.set(self)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._state = "left"
        if CURRENT_SESSION.get() is self:
            # Not by a token: sessions that overlap without nesting (in generators) would bring back one that was left.
            before = self._before
            while before is not None and before._state == "left":
                before = before._before
            CURRENT_SESSION.set(before)
        given_up = await self._drain() if self._chores or self._repeats or self.views else 0
        self._drained = True
        if given_up or self._own.reserved:
            logger.warning(
                "%s was left with $%.9f still reserved, and %d attempts still running whose projection is booked as"
                " uncertain",
                self,
                usd(self._own.reserved),
                given_up,
            )

    def __str__(self) -> str:
        return f"session {self.name!r}" if self.name is not None else "a session"

    def check_open(self) -> None:
        """Make sure that a call may start here.

        Raises:
            SessionClosedError: this session, or one around it, is not open (any more).
        """
        one: Session | None = self
        while one is not None:
            if one._state != "open":
                raise SessionClosedError(
                    f"{one} was left before this call started; start it inside, or in a session of its own"
                    if one._state == "left"
                    else f"{one} was not entered"
                )
            one = one._around

    @property
    def limit_usd(self) -> float | None:
        """Its own cap; ``None`` for none."""
        limit = self.shown.limit
        return None if limit is None else usd(limit)

    @property
    def spent_usd(self) -> float:
        """The settled sum."""
        return usd(self.shown.settled)

    @property
    def uncertain_usd(self) -> float:
        """The uncertain sum: attempts that were cut off, or did not report a cost."""
        return usd(self.shown.uncertain)

    @property
    def reserved_usd(self) -> float:
        """The sum that running attempts have set aside."""
        return usd(self.shown.reserved)

    @property
    def remaining_usd(self) -> float | None:
        """The rest of the limit, the least of this session and those around it; ``None`` where none has a limit."""
        left: int | None = None
        one: Session | None = self
        while one is not None:
            if one.shown.limit is not None:
                left = lesser(left, one.shown.limit - one.shown.committed)
            one = one._around
        return None if left is None else usd(max(0, left))

    def report(self) -> SessionReport:
        """Return what was spent here so far: ``to_dict()`` is plain JSON, ``print()`` shows a table."""
        return report_of(
            self._counts,
            name=self.name,
            limit_usd=self.limit_usd,
            spent_usd=self.spent_usd,
            uncertain_usd=self.uncertain_usd,
            reserved_usd=self.reserved_usd,
            remaining_usd=self.remaining_usd,
        )

    def exceeded(self, cap: int, nanos: int) -> BudgetExceededError | None:
        """Return the refusal of ``nanos`` more under ``cap``, for a policy that only warns; ``None`` if it fits."""
        committed = self.shown.committed
        return refusal(self.name, committed, cap, nanos) if committed + nanos > cap else None

    def count_call(self, outcome: str, attempts: Sequence[AttemptFacts]) -> None:
        """Count a call that has ended, here and in the sessions around."""
        self._counts.add(outcome, attempts)

    def keep(self, task: asyncio.Future[Any], give_up: Callable[[], None] | None = None) -> None:
        """Have this session, and those around it, wait for ``task`` on leaving.

        Args:
            task: a straggler, or a message to a ledger.
            give_up: called where it does not end in time, to book what it may cost.
        """
        one: Session | None = self
        while one is not None:
            _keep_until_done(one._chores, task, give_up)
            one = one._around

    def insist(self, task: asyncio.Future[Any], queue: SettlementQueue) -> None:
        """Have this session, and those around it, wait for a settlement that is sent again and again.

        Only the outermost session may give it up: the others are left long before the ledger has to have heard.
        """
        one = self
        while one._around is not None:
            _keep_until_done(one._chores, task, None)
            one = one._around
        if one._drained:
            queue.give_up()
        _keep_until_done(one._repeats, task, queue)

    async def _drain(self) -> int:
        """Wait for all that is kept, at most 5 s, then give it up. Return how many attempts that were."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        telling: asyncio.Future[Any] | None = None
        try:
            # Reports that other threads have handed over to this loop are taken first.
            await asyncio.sleep(0)
            while (kept := [*self._chores, *self._repeats]) and (left := until - loop.time()) > 0:
                await asyncio.wait(kept, timeout=left)
        finally:
            # Also where the wait is cancelled: otherwise a message would be repeated forever.
            self._drained = True
            given_up = [give_up for give_up in self._chores.values() if give_up is not None]
            for give_up in given_up:
                give_up()
            for queue in self._repeats.values():
                queue.give_up()
            if self._offline is not None:
                telling = self._offline.stop()
        last = [*self._repeats] if telling is None else [*self._repeats, telling]
        if last:
            await asyncio.wait(last, timeout=max(until - loop.time(), _LAST_WORDS_S))
        return len(given_up)

    def _inherit(self, around: Session) -> None:
        """Take over what holds for everything inside the session around."""
        self._counts.stand_in(around._counts)
        self.capped = self.capped or around.capped
        self.reserving = self.reserving or around.reserving
        if self._ledger is None:
            self.views = around.views
        self.remote = bool(self.views)
        if around.attributes:
            self.attributes = {**around.attributes, **self.attributes}

    async def _open_tally(self, ledger: Ledger, views: tuple[LedgerView, ...]) -> None:
        """Open the tally in the ledger, inside the sessions that ``views`` stand for."""
        tally = Tally(self.name or "", self.shown.limit)
        self.views = views
        in_process = getattr(ledger, "account", None)
        if in_process is not None:
            # In this process: the account itself, so that holding and settling need no await.
            if self._replace_limit:
                await open_tally(ledger, tally, replacing=True)
            self.shown = shared = in_process(tally)
            # Entered inside itself, a name counts a charge once.
            self.accounts = self.accounts if shared in self.accounts else (*self.accounts, shared)
            return
        around = next((one for one in self.views if one.ledger is ledger), None)
        view = view_of(ledger, tally, self._spare_usd, around)
        self.shown = view.seen_of(tally.name)
        self.shown.see(await open_tally(view.asked, tally, replacing=self._replace_limit))
        self.views = (*(one for one in self.views if one is not around), view)
        self.remote = True
        if view.offline is not None and (around is None or view.offline is not around.offline):
            self._offline = view.offline


def _keep_until_done(kept: dict[asyncio.Future[Any], T], task: asyncio.Future[Any], value: T) -> None:
    # Not by a method: the callback must not keep the session.
    kept[task] = value
    task.add_done_callback(lambda done: kept.pop(done, None))
