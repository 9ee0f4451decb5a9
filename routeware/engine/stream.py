"""One call of a routed generator: routed to its first item, handed over item by item, concluded when it has ended.

Deciding and concluding are two moments here. ``open`` decides, in the reader's task, and cuts the losers off. The call
is concluded by the winner's own task when its generator has ended, so it is settled and told though nobody reads.
Whoever cuts the generator off (the reader, a timer, the collector) says why, and a task of the call's own waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any, Literal

from routeware.engine.attempt import CURRENT
from routeware.engine.call import Call
from routeware.engine.cleanup import abandon, clear_away, cut_off_losers, finish_or_detach
from routeware.engine.completion import complete, tell_win
from routeware.engine.cooldown import note_success
from routeware.engine.drive import drive
from routeware.engine.execution import Execution
from routeware.engine.flow import Flow
from routeware.engine.race import run_race
from routeware.engine.timers import CLEANUP_GRACE_S, is_due, keep_alive, wait_for_all
from routeware.engine.verdict import judged
from routeware.errors import AttemptTimeoutError, DeadlineExceededError, StreamClosedError, StreamTruncatedError
from routeware.observers import Cut
from routeware.policy import Link
from routeware.records import AttemptStatus, CallOutcome, CallRecord, StreamEnd

__all__ = ["Stream"]

# Concluding waits 250 ms for the generator and what is left of the losers' 250 ms, and then for ledgers.
_PATIENCE_S = 4 * CLEANUP_GRACE_S


class Stream:
    """The engine's side of a stream. Its reader is given items, the end, and at most one error.

    Args:
        make_call: makes the call, and the attributes of its span.
        context: of the moment in which the stream was asked for; every attempt runs in a copy of it.

    Attributes:
        link: the link that answers; ``None`` before an attempt has its first item.
        record: the call's record; ``None`` until the call has ended.
    """

    __slots__ = (
        "_call",
        "_closer",
        "_context",
        "_cut_at",
        "_deadline",
        "_end",
        "_error",
        "_idle",
        "_is_read",
        "_make_call",
        "_over",
        "_raised",
        "_reason",
        "_state",
        "_winner",
        "link",
        "record",
    )

    def __init__(self, make_call: Callable[[Stream], tuple[Call, Mapping[str, Any] | None]], context: Context) -> None:
        self._make_call = make_call
        self._context = context
        self._state: Literal["new", "opening", "open", "ended"] = "new"
        self._call: Call | None = None
        self._winner: Execution | None = None
        # Why it ends, from the moment in which that is decided, and what it ends by.
        self._end: StreamEnd | None = None
        self._reason: BaseException | None = None
        # What its reader is still to be raised: the call's error, or the generator's own while it was closed.
        self._error: BaseException | None = None
        self._raised: Exception | None = None
        self._closer: asyncio.Task[Any] | None = None
        self._is_read = False
        self._cut_at: float | None = None
        self._deadline: asyncio.Handle | None = None
        self._idle: asyncio.Handle | None = None
        self._over: asyncio.Future[None] | None = None
        self.link: Link | None = None
        self.record: CallRecord | None = None

    # Opening.

    async def open(self) -> None:
        """Route the call until an attempt has its first item. Again: at once.

        Raises:
            BaseException: what the call raises, where no attempt answers.
        """
        if self._state == "opening":
            raise RuntimeError("this stream is being started by another task")
        if self._state != "new":
            return
        self._state = "opening"
        try:
            call, attributes = self._context.run(self._make_call, self)
        except BaseException:
            self._state = "ended"
            raise
        self._call = call
        self._over = call.loop.create_future()
        self._context.run(call.begin, attributes)
        try:
            await self._decide(call)
            if self._winner is None or self._winner.is_over:
                await self._conclude(call)
        except BaseException as error:
            self._tear_down(call, error)
            raise
        if self._winner is None:
            _raise(self._take_error())

    async def _decide(self, call: Call) -> None:
        prepared = call.prepared
        try:
            if call.session is not None or prepared.per_call_cap is not None or prepared.session_cap is not None:
                call.check_in()
            if self._context.get(CURRENT) is not None:
                self._context.run(call.enter_container)
            winner = await run_race(call)
        except asyncio.CancelledError as error:
            call.fail(error, "cancelled")
            self._end = "cancelled"
        except Exception as error:  # noqa: BLE001 - raised when nothing is in flight any more
            call.fail(error)
            self._end = "failed"
        else:
            self._win(call, winner)
        finally:
            call.timeout.cancel()

    def _win(self, call: Call, winner: Execution) -> None:
        """Take the attempt that has its first item: the losers are cut off, and the reader may read."""
        self._winner = winner
        self.link = winner.link
        call.succeed(winner)
        if call.health is not None or call.prepared.retries:
            note_success(call, winner)
        self._cut_at = call.loop.time()
        cut_off_losers(call)
        tell_win(call)
        self._state = "open"
        bound_s = call.prepared.deadline_s
        if bound_s is not None:
            self._deadline = call.loop.call_at(call.began + bound_s, self._look_at_deadline, 2, context=Context())

    def _tear_down(self, call: Call, error: BaseException) -> None:
        """End a call whose program exits, or whose coroutine is closed: nothing can be awaited there."""
        if self._state == "ended":
            return
        abandon(call)
        if not call.has_ended:
            call.fail(error, "cancelled")
            call.break_off("cancelled", error, "cancelled")
            self._finish(call, complete(call, wants_record=True))

    def launch(self, call: Call, execution: Execution) -> None:
        """Run an attempt that was started, in a task and a context of its own."""
        flow = Flow(call.loop)
        execution.stream_to(flow)
        task = call.loop.create_task(self._run(call, execution, flow), context=self._context.copy())
        execution.run_in(task)
        # A task that is cancelled before its first step has run nothing that could say so.
        task.add_done_callback(lambda _task: flow.land(), context=Context())

    async def _run(self, call: Call, execution: Execution, flow: Flow) -> None:
        await drive(call, execution, flow)
        if execution is self._winner and execution.cut is None:
            await self._conclude(call)

    # Reading.

    async def next(self) -> Any:
        """Give the next item.

        Raises:
            StopAsyncIteration: the stream has come to its end.
            StreamClosedError: it was cut off: what was read is not all of it.
            BaseException: what it ended by; once.
        """
        if self._is_read or self._state == "opening":
            raise RuntimeError("this stream is being read by another task")
        if self._state == "new":
            await self.open()
        self._is_read = True
        try:
            return await self._next()
        finally:
            self._is_read = False

    async def _next(self) -> Any:
        call, winner = self._call, self._winner
        if call is not None and winner is not None and winner.flow is not None:
            flow = winner.flow
            waiter = flow.handover.ask() if self._end is None else None
            if waiter is not None:
                await self._wait_for_item(call, winner, flow, waiter)
            if flow.handover.has_item and self._end in {None, "completed", "failed"}:
                flow.count()
                return flow.handover.take()
            await self._wait_for_end(call)
        return self._say_end()

    async def _wait_for_item(self, call: Call, winner: Execution, flow: Flow, waiter: asyncio.Future[None]) -> None:
        idle_s = winner.prepared.idle_timeout_s
        if idle_s is not None:
            flow.sign()
            self._idle = call.loop.call_at(flow.last_sign + idle_s, self._look_at_idle, idle_s, 2, context=Context())
        try:
            await waiter
        except asyncio.CancelledError as error:
            await self._cut(call, "cancelled", error)
            raise
        finally:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None

    async def _wait_for_end(self, call: Call) -> None:
        over = self._over
        if over is not None and not over.done():
            cancellation = await wait_for_all([over], call.loop.time() + _PATIENCE_S)
            if cancellation is not None:
                raise cancellation

    def _say_end(self) -> Any:
        error = self._take_error()
        if error is not None:
            _raise(error)
        if self._end == "cancelled":
            raise StreamClosedError("this stream was cut off while it was read: what was read is not all of it")
        if self._end == "closed" and self._closer is not asyncio.current_task():
            raise StreamClosedError("this stream was closed by another task: what was read is not all of it")
        raise StopAsyncIteration

    def _take_error(self) -> BaseException | None:
        error, self._error = self._error, None
        return error

    # Time.

    def _look_at_idle(self, idle_s: float, turns: int) -> None:
        call, winner = self._call, self._winner
        assert call is not None
        assert winner is not None
        flow = winner.flow
        assert flow is not None
        if flow.handover.has_item or self._end is not None:
            return
        if not is_due(flow.last_sign + idle_s, call.loop.time()):
            self._idle = call.loop.call_at(flow.last_sign + idle_s, self._look_at_idle, idle_s, 2, context=Context())
        elif turns:
            # Two turns later: an item that is due now takes one to wake the provider, and one to be made. It counts.
            self._idle = call.loop.call_soon(self._look_at_idle, idle_s, turns - 1, context=Context())
        elif flow.is_complete:
            self._begin_cut(call, "completed", None)  # a stall after the last item is none
        else:
            self._begin_cut(call, "failed", AttemptTimeoutError(winner.label, idle_s * 1000, flow.items))

    def _look_at_deadline(self, turns: int) -> None:
        call, winner = self._call, self._winner
        assert call is not None
        assert winner is not None
        self._deadline = None
        if turns:
            self._deadline = call.loop.call_soon(self._look_at_deadline, turns - 1, context=Context())
        elif winner.flow is not None and winner.flow.is_complete:
            self._begin_cut(call, "completed", None)
        else:
            self._begin_cut(call, "failed", DeadlineExceededError((call.prepared.deadline_s or 0.0) * 1000))

    # Leaving.

    async def close(self) -> None:
        """Cut the generator off, and wait for it, at most 250 ms. On a stream that has ended: at once.

        Raises:
            Exception: what the generator raises meanwhile.
        """
        if self._state == "opening":
            raise RuntimeError("this stream is being started by another task")
        call, winner = self._call, self._winner
        if self._state != "open" or call is None or winner is None:
            self._state = "ended"
            return
        self._closer = asyncio.current_task()
        if self._end is None and winner.flow is not None and winner.flow.is_complete:
            await self._let_it_end(call, winner, winner.flow)
        await self._cut(call, "closed", None)
        raised, self._raised = self._raised, None
        if raised is not None:
            _raise(raised)

    async def leave(self, error: BaseException | None) -> None:
        """Close the stream for a reader that leaves by ``error``. If that is a cancellation, the call is cancelled."""
        call = self._call
        if isinstance(error, asyncio.CancelledError) and call is not None and self._winner is not None:
            await self._cut(call, "cancelled", error)
        else:
            await self.close()

    async def _let_it_end(self, call: Call, winner: Execution, flow: Flow) -> None:
        """Let a generator whose answer is complete run to its own end: usage comes after the finish reason."""
        until = call.loop.time() + CLEANUP_GRACE_S
        while not winner.is_over and not is_due(until, call.loop.time()):
            flow.handover.drop()
            waiter = flow.handover.ask()
            if waiter is None:
                break
            cancellation = await wait_for_all([waiter], until)
            if cancellation is not None:
                await self._cut(call, "cancelled", cancellation)
                raise cancellation

    def abandon(self) -> None:
        """Cut off a stream that nothing refers to any more. Safe from any thread; nothing is done on a closed loop."""
        call = self._call
        if call is not None and self._state == "open" and not call.loop.is_closed():
            call.loop.call_soon_threadsafe(self._begin_cut, call, "closed", None, context=Context())

    async def _cut(self, call: Call, end: StreamEnd, reason: BaseException | None) -> None:
        """Cut the generator off, and wait until the call is concluded."""
        self._begin_cut(call, end, reason)
        await self._wait_for_end(call)

    def _begin_cut(self, call: Call, end: StreamEnd, reason: BaseException | None) -> None:
        winner = self._winner
        if winner is None or self._end is not None or winner.ended is not None:
            return
        self._end, self._reason = end, reason
        is_cancelled = end == "cancelled" or isinstance(reason, DeadlineExceededError)
        winner.cut_off(Cut(call.loop.time(), time.time_ns()), AttemptStatus.CANCELLED if is_cancelled else None)
        keep_alive(call.loop.create_task(self._conclude(call), context=Context()))

    # The end.

    async def _conclude(self, call: Call) -> None:
        """Settle and tell the call, once its generator has ended, or has ignored its cancellation for 250 ms."""
        winner = self._winner
        if winner is None:
            call.break_off(self._end or "failed", call.error, call.outcome)
        else:
            if winner.cut is not None and winner.task is not None:
                await wait_for_all([winner.task], winner.cut.at + CLEANUP_GRACE_S)
            self._judge(call, winner)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        # Losers were cut off at the win: what is left of their 250 ms counts.
        await clear_away(call, None if self._cut_at is None else self._cut_at + CLEANUP_GRACE_S)
        self._finish(call, complete(call, wants_record=True))

    def _judge(self, call: Call, winner: Execution) -> None:
        """Say how the stream ended, and what its reader is raised."""
        if self._end is None:
            self._end, self._reason = _natural_end(call, winner)
        if winner.cut is not None and not winner.is_over:
            finish_or_detach(call, winner, [])
        elif self._end == "closed" and isinstance(winner.error, Exception):
            self._raised = winner.error
        error, outcome = self._reason, _OUTCOMES[self._end]
        if isinstance(error, DeadlineExceededError):
            outcome = "deadline_exceeded"
        elif self._end == "failed" and error is not None:
            failure = judged(call, winner, error)
            winner.fail(failure)
            error = failure.error
        call.break_off(self._end, error, outcome)

    def _finish(self, call: Call, record: CallRecord | None) -> None:
        self.record = record
        self._state = "ended"
        # A reader that was cancelled has its cancellation already.
        self._error = None if self._end == "cancelled" and self._winner is not None else call.error
        self._reason = None
        if self._winner is not None and self._winner.flow is not None:
            self._winner.flow.handover.close()
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        call.forget()


_OUTCOMES: Mapping[StreamEnd, CallOutcome] = {
    "completed": "succeeded",
    "closed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}


def _natural_end(call: Call, winner: Execution) -> tuple[StreamEnd, BaseException | None]:
    """Say how a generator ended that was not cut off."""
    error, task, flow = winner.error, winner.task, winner.flow
    assert flow is not None
    if error is None:
        if call.registrations.last_item is not None and not flow.is_complete and flow.has_items:
            return "failed", StreamTruncatedError(winner.label, flow.items)
        return "completed", None
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        return "cancelled", error  # the loop is being shut down
    return "failed", error


def _raise(error: BaseException | None) -> None:
    """Raise ``error``, and keep it alive in no frame of ours."""
    assert error is not None
    try:
        raise error
    finally:
        del error
