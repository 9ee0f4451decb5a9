"""The attempts of one call that run beside one another, each in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextvars import Context
from typing import Any

from routeware.budget import PendingReservation
from routeware.engine.execution import Execution

__all__ = ["Race"]


class Race:
    """What is in flight in one call that can race.

    Attributes:
        rivals: attempts that were in flight beside another one.
        in_flight: attempts that may still answer, in the order of their starts.
        cancelling: attempts that were cut off or timed out, and whose tasks have not been seen to end.
        pending: a backup whose projection a ledger is being asked for.
        reservation: that question.
        asked: when it was asked, on the loop's clock.
        is_open: True if a backup may be started before the next ordinary start.
    """

    __slots__ = (
        "_alone",
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
        self._waiter: asyncio.Future[None] | None = None
        self._alone: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.rivals: tuple[Execution, ...] = ()
        self.in_flight: list[Execution] = []
        self.cancelling: list[Execution] = []
        self.pending: Execution | None = None
        self.reservation: PendingReservation | None = None
        self.asked = 0.0
        self.is_open = False

    @property
    def is_idle(self) -> bool:
        """True if nothing is in flight, and no ledger is being asked."""
        return not self.in_flight and self.pending is None

    def wait_for(
        self, loop: asyncio.AbstractEventLoop, task: asyncio.Future[None], moment: float | None
    ) -> asyncio.Future[None]:
        """Give what to await until ``task``, which is alone, has ended, or ``moment`` has come; then :meth:`disarm`.

        ``asyncio.wait`` takes 10 us more, a third of a call that can race.
        """
        self._waiter = waiter = loop.create_future()
        self._alone = task
        context = Context()  # a cancelled timer would keep the caller's alive until its time
        # The attempt itself wakes the caller at its end, one turn of the loop before its task would. This is for a task
        # that is cancelled before its first step.
        task.add_done_callback(self.wake, context=context)
        if moment is not None:
            self._timer = loop.call_at(moment, self.wake, context=context)
        return waiter

    def wait_for_first(
        self, loop: asyncio.AbstractEventLoop, tasks: Sequence[asyncio.Future[None]], moment: float | None
    ) -> Coroutine[Any, Any, object]:
        """Give what to await until the first of ``tasks`` has ended, or ``moment`` has come; then :meth:`disarm`.

        Not by the time-out of ``asyncio.wait``: its timer is armed in the caller's context, and would keep the caller's
        session alive until its time.
        """
        awaited = [*tasks]
        if moment is not None:
            alarm: asyncio.Future[None] = loop.create_future()
            awaited.append(alarm)
            self._timer = loop.call_at(moment, alarm.set_result, None, context=Context())
        return asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)

    def wake(self, _task: object = None) -> None:
        """Wake whoever waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def disarm(self) -> None:
        """Leave no timer and no callback behind."""
        if self._alone is not None and not self._alone.done():
            self._alone.remove_done_callback(self.wake)
        self._waiter = self._alone = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def launch(self, execution: Execution) -> None:
        """Take note of an attempt that runs; from now on it may be raced again."""
        if self.in_flight:
            self.rivals = (*self.rivals, *self.in_flight, execution)
        self.in_flight.append(execution)
        self.is_open = True

    def land(self, execution: Execution) -> None:
        """Take note that an attempt in flight has answered or failed."""
        self.in_flight.remove(execution)

    def expire(self, execution: Execution) -> None:
        """Take note that an attempt in flight has timed out; its task still runs."""
        self.in_flight.remove(execution)
        self.cancelling.append(execution)

    def ask(self, execution: Execution, reservation: PendingReservation, now: float) -> None:
        """Take note of a backup that a ledger is being asked for."""
        self.pending, self.reservation, self.asked = execution, reservation, now

    def answered(self) -> None:
        """Take note that the ledger has answered, or is not asked any more."""
        self.pending = self.reservation = None

    def abandon(self) -> None:
        """Ask the ledger no more; what it grants all the same is given back."""
        if self.reservation is not None and self.pending is not None:
            self.reservation.abandon()
            self.pending.withdraw()
            self.answered()

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
