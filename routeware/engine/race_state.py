"""The attempts of one call that run beside one another, each in a task of its own."""

from __future__ import annotations

import asyncio
from contextvars import Context

from routeware.budget import PendingReservation
from routeware.engine.execution import Execution

__all__ = ["Race"]


class Race:
    """The attempts in flight in one call that can race.

    Attributes:
        rivals: attempts that were in flight beside another one.
        in_flight: attempts that may still answer, in the order of their starts.
        cancelling: attempts that were cut off or turned down or timed out, and whose tasks have not been seen to end.
        pending: a backup whose projection a ledger is being asked for.
        reservation: that question.
        asked: when it was asked, on the loop's clock.
        is_open: True if a backup may be started before the next ordinary start.
    """

    __slots__ = (
        "_context",
        "_timer",
        "_waiter",
        "asked",
        "cancelling",
        "in_flight",
        "is_open",
        "pending",
        "reservation",
        "rivals",
    )

    def __init__(self) -> None:
        # An empty one: a cancelled timer would keep the caller's, and so its session, until its time.
        self._context = Context()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.rivals: tuple[Execution, ...] = ()
        self.in_flight: list[Execution] = []
        self.cancelling: list[Execution] = []
        self.pending: Execution | None = None
        self.reservation: PendingReservation | None = None
        self.is_open = False

    @property
    def is_idle(self) -> bool:
        """True if nothing is in flight, and no ledger is being asked."""
        return not self.in_flight and self.pending is None

    def has_room(self, width: int) -> bool:
        """Say whether one more may run, of at most ``width``; not while a ledger is being asked for it."""
        return self.pending is None and len(self.in_flight) < width

    def wait(self, loop: asyncio.AbstractEventLoop, moment: float | None) -> asyncio.Future[None]:
        """Give what to await until something has happened, or ``moment`` has come; then :meth:`disarm`.

        An attempt that is alone is waited for by it alone: ``asyncio.wait`` takes 10 us more, a third of such a call.
        """
        self._waiter = waiter = loop.create_future()
        if moment is not None:
            self._timer = loop.call_at(moment, self.wake, context=self._context)
        return waiter

    def wake(self, _task: object = None) -> None:
        """Wake whoever waits: something has happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def disarm(self) -> None:
        """Leave no timer behind."""
        self._waiter = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tell(self, task: asyncio.Task[None] | None) -> None:
        """Wake whoever waits, from within an attempt that is about to end in ``task``: a turn before that ends.

        So the task need not wake anyone itself, which would take the loop a callback more. It still does where it is
        cancelled before its first step.
        """
        if task is not None:
            task.remove_done_callback(self.wake)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def launch(self, execution: Execution) -> None:
        """Take note of an attempt that runs; from now on it may be raced again."""
        if self.in_flight:
            self.rivals = (*self.rivals, *self.in_flight, execution)
        self.in_flight.append(execution)
        self.is_open = True
        if execution.task is not None:
            execution.task.add_done_callback(self.wake, context=self._context)

    def land(self, execution: Execution) -> None:
        """Take note that an attempt in flight has answered or failed."""
        self.in_flight.remove(execution)

    def expire(self, execution: Execution) -> None:
        """Take note that an attempt in flight has timed out, or was turned down; its task still runs."""
        self.in_flight.remove(execution)
        self.cancelling.append(execution)

    def ask(self, execution: Execution, reservation: PendingReservation, now: float) -> None:
        """Take note of a backup that a ledger is being asked for."""
        self.pending, self.reservation, self.asked = execution, reservation, now
        reservation.task.add_done_callback(self.wake, context=self._context)

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
        self.is_open = False

    def cut_off(self) -> None:
        """Take note that everything in flight was cut off."""
        self.cancelling += self.in_flight
        self.in_flight = []

    def finish(self) -> list[Execution]:
        """Hand over the attempts that were cut off, to be concluded."""
        cancelling, self.cancelling = self.cancelling, []
        return cancelling
