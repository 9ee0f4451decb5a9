"""The time that a stream has after its first item: for each item, and in all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

import attrs

from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.engine.stream_items import Flow
from routeware.engine.waiting import is_due
from routeware.errors import AttemptTimeoutError, DeadlineExceededError
from routeware.records import StreamEnd

__all__ = ["Bounds"]


@attrs.define(eq=False, repr=False, weakref_slot=False)
class Bounds:
    """The two bounds of a stream that is read, and their one timer.

    A timer that is armed too early is left: when it fires it finds out that the wait has begun anew, and is armed
    again. So an item costs no timer.
    """

    _call: Call
    _winner: Execution  # the attempt that is read
    _flow: Flow  # its items
    _cut: Callable[[StreamEnd, Exception | None], object]  # cuts it off: as what, and what its reader is to be raised
    _idle_s: float | None = attrs.field(init=False)
    _handle: asyncio.Handle | None = attrs.field(init=False, default=None)
    _armed: float = attrs.field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        self._idle_s = self._winner.prepared.idle_timeout_s
        self._arm()

    def watch(self) -> None:
        """Take note that the reader begins to wait: from now on, or from the provider's next sign of life."""
        if self._idle_s is not None:
            self._flow.sign()
            self._arm()

    def cancel(self) -> None:
        """Leave nothing armed."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _next(self) -> float | None:
        """Find the next moment at which a time is up. The reader's own time does not count: who asks next arms it."""
        ends_at = self._call.deadline
        if self._idle_s is None or not self._flow.is_awaited:
            return ends_at
        stalls_at = self._flow.last_sign + self._idle_s
        return stalls_at if ends_at is None else min(stalls_at, ends_at)

    def _arm(self) -> None:
        due = self._next()
        if due is None or (self._handle is not None and due >= self._armed):
            return
        self.cancel()
        self._armed = due
        self._handle = self._call.loop.call_at(due, self._look, 2, context=Context())

    def _look(self, turns: int) -> None:
        self._handle = None
        now = self._call.loop.time()
        if not is_due(self._next(), now):
            self._arm()
        elif turns:
            # Two turns later: an item that is due now takes one to wake the provider, and one to be made. It counts.
            self._handle = self._call.loop.call_soon(self._look, turns - 1, context=Context())
        elif self._flow.is_complete:
            self._cut("completed", None)  # a stall after the last item is none
        elif is_due(self._call.deadline, now):
            self._cut("failed", DeadlineExceededError(self._call.prepared.policy.latency.deadline_ms or 0.0))
        else:
            self._cut("failed", AttemptTimeoutError(self._winner.label, (self._idle_s or 0.0) * 1000, self._flow.items))
