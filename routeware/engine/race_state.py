"""The attempts of one call that run beside one another, each in a task of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from contextvars import Context

import attrs

from routeware.budget import PendingReservation
from routeware.engine.execution import Execution

__all__ = ["Race"]


@attrs.define(init=False, eq=False, repr=False, weakref_slot=False)
class Race:
    """The attempts in flight in one call that can race."""

    in_flight: list[Execution]  # attempts that may still answer, in the order of their starts
    rivals: tuple[Execution, ...]  # attempts that ran beside one another, the last time any did
    # attempts that were cut off or turned down or timed out, and whose tasks have not been seen to end
    cancelling: tuple[Execution, ...]
    pending: Execution | None  # a backup whose projection a ledger is being asked for
    reservation: PendingReservation | None  # that question
    asked: float  # when it was asked, on the loop's clock; no value before
    # for callbacks: an empty one, for a cancelled timer would keep the caller's, and so its session, until its time
    context: Context
    _width: int
    _backup_due: float | None
    _loop: asyncio.AbstractEventLoop
    _waiter: asyncio.Future[None] | None
    _timer: asyncio.TimerHandle | None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.context = Context()
        self._waiter = self._timer = None

    def open(self, width: int) -> None:
        """Make room for ``width`` attempts at once. Before that, an attempt can only be waited for."""
        self._width = width
        self.in_flight = []
        self.rivals = self.cancelling = ()
        self.pending = self.reservation = self._backup_due = None

    # Waiting.

    @property
    def backup_due(self) -> float | None:
        """The moment at which a backup may be started; ``None`` where none may, or a ledger is being asked for it."""
        return None if self.pending is not None or len(self.in_flight) >= self._width else self._backup_due

    def until(self, moment: float | None) -> asyncio.Future[None]:
        """Give what to await until something has happened, or ``moment`` has come; then :meth:`disarm`.

        An attempt that is alone is waited for by it alone: ``asyncio.wait`` takes 10 us more, a third of such a call.
        """
        waiter: asyncio.Future[None] = asyncio.Future(loop=self._loop)
        self._waiter = waiter
        if moment is not None:
            self._timer = self._loop.call_at(moment, self.wake, context=self.context)
        return waiter

    def change(self, deadline: float | None) -> Awaitable[object]:
        """Give what to await until something has happened, or the next moment has come; then :meth:`disarm`."""
        moments = [self.backup_due, deadline, *(one.due for one in self.in_flight)]
        waiter = self.until(min((one for one in moments if one is not None), default=None))
        # From CPython 3.14 on, asyncio.wait leaves its name on whatever is still pending as it returns, which keeps the
        # race's errors alive until the collector runs. There, the attempts' own word at their ends has to do.
        if len(self.in_flight) < 2 or sys.version_info >= (3, 14):
            return waiter
        tasks = [one.task for one in self.in_flight if one.task is not None]
        return asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)

    def wake(self, _task: object = None) -> None:
        """Wake whoever waits: something has happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def disarm(self) -> None:
        """Leave no timer behind."""
        self._waiter = None
        if self._timer is not None:
            self._timer.cancel()  # again does no harm

    def tell(self, task: asyncio.Task[None] | None) -> None:
        """Wake whoever waits, from within an attempt that is about to end in ``task``: a turn before that ends.

        So the task need not wake anyone itself, which would take the loop a callback more. It still does where it is
        cancelled before its first step.
        """
        if task is not None:
            task.remove_done_callback(self.wake)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # What happens.

    def enter(self, execution: Execution, backup_due: float | None) -> None:
        """Take note of an attempt that runs.

        Args:
            execution: the attempt.
            backup_due: when a backup may be started beside it; ``None`` if none may.
        """
        if self.in_flight:
            self.rivals = (*self.in_flight, execution)
        self.in_flight.append(execution)
        self._backup_due = backup_due

    @property
    def is_idle(self) -> bool:
        """True if nothing is in flight, and no ledger is being asked."""
        return not self.in_flight and self.pending is None

    def land(self, execution: Execution) -> None:
        """Take note that an attempt in flight has answered or failed."""
        self.in_flight.remove(execution)

    def expire(self, execution: Execution) -> None:
        """Take note that an attempt in flight has timed out, or was turned down; its task still runs."""
        self.in_flight.remove(execution)
        self.cancelling = (*self.cancelling, execution)

    def ask(self, execution: Execution, reservation: PendingReservation, now: float) -> None:
        """Take note of a backup that a ledger is being asked for."""
        self.pending, self.reservation, self.asked = execution, reservation, now
        reservation.task.add_done_callback(self.wake, context=self.context)

    def answered(self) -> None:
        """Take note that the ledger has answered, or is not asked any more."""
        self.pending = self.reservation = None

    def abandon(self) -> Execution | None:
        """Ask the ledger no more; what it grants all the same is given back."""
        pending = self.pending
        if self.reservation is not None:
            self.reservation.abandon()
            self.answered()
        return pending

    def close(self) -> None:
        """Start no backup before the next ordinary start."""
        self._backup_due = None

    def cut_off(self) -> None:
        """Take note that everything in flight was cut off."""
        self.cancelling = (*self.cancelling, *self.in_flight)
        self.in_flight = []

    def finish(self) -> tuple[Execution, ...]:
        """Hand over the attempts that were cut off, to be concluded."""
        cancelling, self.cancelling = self.cancelling, ()
        return cancelling
