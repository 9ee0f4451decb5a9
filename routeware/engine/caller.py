"""The caller's task: the one timer that may cancel it, and whose the cancellations are that it counts.

A cancellation of the caller ends the call; any other is a provider's failure. A task only counts them, and libraries
leave counts behind that no caller made: time-outs of old ones, and before CPython 3.13 asyncio's own TaskGroup. Such
counts are excused here, each once.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Any
from weakref import ref

from routeware.engine.waiting import is_due

__all__ = ["CallerTask"]

_WAITING_IN_GROUP = asyncio.TaskGroup.__aexit__.__code__


class CallerTask:
    """The task that a call is made in, with one timer for the whole call. It is rescheduled, not made anew.

    A timer that is armed too early is left: when it fires it finds out that it was rescheduled, and is armed again.

    Attributes:
        fired: True if the timer has cancelled the task, and nothing has taken note of that yet.
    """

    __slots__ = (
        "_armed",
        "_at_entry",
        "_due",
        "_excused",
        "_group",
        "_handle",
        "_loop",
        "_outer",
        "_task",
        "_thrown",
        "fired",
    )

    # Assigned when a timer is armed: nothing reads them before.
    _armed: float
    _due: float | None

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        self._loop = loop
        self._task: asyncio.Task[Any] | None = task
        self._at_entry = task.cancelling()
        self._excused = 0
        self._handle: asyncio.Handle | None = None
        self._thrown: asyncio.CancelledError | None = None
        self._group: ref[object] | None = None
        self._outer: CallerTask | None = None
        self.fired = False

    def reschedule(self, due: float | None) -> None:
        """Fire at ``due`` on the loop's clock instead; ``None``: not at all."""
        self._due = due
        if due is None:
            return
        if self._handle is not None:
            if due >= self._armed:
                return
            self._handle.cancel()
        self._armed = due
        # In an empty context: a cancelled timer stays in the loop's heap until its time, and would keep the caller's
        # context, and so its session, alive for as long.
        self._handle = self._loop.call_at(due, self, context=Context())

    def cancel(self) -> None:
        """Leave nothing armed, and let go of the task: it may keep an error alive that keeps this alive."""
        self._task = None
        if self._handle is not None:
            self._handle.cancel()

    def consume(self) -> bool:
        """Say whether it fired since it was last rescheduled; its cancellation no longer counts in the task then."""
        self._due = None
        if not self.fired:
            return False
        self.fired = False
        if self._task is not None:
            self._task.uncancel()
        return True

    @property
    def is_in_its_task(self) -> bool:
        """True if this is asked in the task, and not in another one, or by the collector, that closes a coroutine."""
        return asyncio.current_task(self._loop) is self._task

    def is_cancelled_by_caller(self, *, fired: bool) -> bool:
        """Say whether a cancellation that has arrived is the caller's. A provider may raise a CancelledError by itself.

        The count tells: where the timer has fired (and has taken its own back) it is above that at entry, and where it
        has not, above what libraries have left counted.
        """
        return self.risen() + (0 if fired else self._at_entry) > 0

    def risen(self) -> int:
        """Count the cancellations since the call began that no library has left behind."""
        if self._thrown is not None:
            self.look_at_thrown()
        task = self._task
        return 0 if task is None else task.cancelling() - self._at_entry - self._excused

    def is_within(self, outer: CallerTask) -> None:
        """Take note that the call is made in an attempt of another one, if that is in the same task."""
        # In another task it has nothing to excuse. And each call of a job that starts its own next run is made in an
        # attempt of the one before, and would keep all that came before.
        if outer._task is self._task:
            self._outer = outer

    def excuse_library(self) -> None:
        """Note that one cancellation since the call began was made by no caller, of this call or of those around it."""
        one: CallerTask | None = self
        while one is not None:
            one._excused += 1
            one = one._outer

    def see_thrown(self, error: asyncio.CancelledError) -> None:
        """Take note of a cancellation that is about to be thrown into the call's coroutine."""
        self._thrown = error

    def look_at_thrown(self) -> None:
        """Excuse the cancellation that was thrown last, if a TaskGroup of the provider's has made and swallowed it.

        A group whose child fails while the group waits for its children cancels its own task. Before CPython 3.13 it
        never takes that off the count, and once the provider function has handled the group's error, nothing tells that
        count from a cancellation of the caller that was swallowed. But the error's traceback begins where it was
        caught, whatever coroutines, generators and awaitables it has passed through.
        """
        thrown, self._thrown = self._thrown, None
        place = None if thrown is None else thrown.__traceback__
        if place is None or place.tb_frame.f_code is not _WAITING_IN_GROUP:
            return
        group, interrupted = place.tb_frame.f_locals["self"], place.tb_frame.f_locals["et"]
        # Where it has interrupted its body, it takes its cancellation off the count. One that arrives while the group
        # goes on waiting is another one.
        is_known = self._group is not None and self._group() is group
        if not is_known and interrupted is None and getattr(group, "_parent_cancel_requested", False):
            self._group = ref(group)  # it refers to its task, which may keep the error that this call raises
            self._excused += 1

    def __call__(self, turns: int = 2) -> None:
        """Look whether the time is up. Called by the loop: an object of its own for that would be one more per call."""
        self._handle = None
        if not is_due(self._due, self._loop.time()):
            self.reschedule(self._due)
        elif turns:
            # Two turns of the loop later: an answer that is due at this very moment takes one turn to wake the provider
            # and one to be given. It counts.
            self._armed = self._loop.time()
            self._handle = self._loop.call_soon(self, turns - 1, context=Context())
        else:
            assert self._task is not None
            self.fired = True
            self._due = None
            self._task.cancel()
