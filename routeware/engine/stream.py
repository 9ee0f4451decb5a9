"""One call of a routed generator: routed to its first item, handed over item by item, concluded when it has ended.

Deciding and concluding are two moments here. ``open`` decides, in the reader's task, and cuts the losers off. The call
is concluded by the winner's own task when its generator has ended, so it is settled and reported even without a reader.
Whoever cuts the generator off (the reader, a timer, the collector) says why; where the generator ignores that for
250 ms, a task of the call's own concludes it.
"""

from __future__ import annotations

import asyncio
import sys
import time
import weakref
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from contextvars import Context
from typing import Any, Literal

from routeware.engine.admission import check_in, enter_container
from routeware.engine.attempt import CURRENT
from routeware.engine.call import Call
from routeware.engine.cleanup import abandon, clear_away, cut_off_losers, finish_or_detach
from routeware.engine.completion import complete, tell_win
from routeware.engine.cooldown import note_success
from routeware.engine.drive import drive
from routeware.engine.execution import Execution
from routeware.engine.flow import Flow
from routeware.engine.life import Life
from routeware.engine.race import run_race
from routeware.engine.timers import CLEANUP_GRACE_S, is_due, keep_alive, wait_for_all
from routeware.engine.verdict import judged
from routeware.errors import AttemptTimeoutError, DeadlineExceededError, StreamClosedError, StreamTruncatedError
from routeware.observers import Cut
from routeware.policy import Link
from routeware.records import AttemptStatus, CallOutcome, CallRecord, StreamEnd, attach_record, record_of

__all__ = ["Stream"]

# Concluding waits 250 ms for the generator and what is left of the losers' 250 ms, and then for ledgers.
_PATIENCE_S = 4 * CLEANUP_GRACE_S


class Stream:
    """The engine's side of a stream. Its reader is given items, the end, and at most one error.

    Args:
        make_call: makes the call.
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
        "_flow",
        "_idle",
        "_idle_s",
        "_is_concluding",
        "_is_read",
        "_make_call",
        "_over",
        "_raised",
        "_reason",
        "_state",
        "_straggling",
        "_winner",
        "link",
        "record",
    )

    def __init__(self, make_call: Callable[[Stream], Call], context: Context) -> None:
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
        # The task that closed it gets a clean end. Held weakly: a task may hold the error that this stream raised.
        self._closer: weakref.ref[asyncio.Task[Any]] | None = None
        self._is_read = self._is_concluding = False
        self._cut_at: float | None = None
        self._deadline: asyncio.Handle | None = None
        self._flow: Flow | None = None
        self._idle_s: float | None = None
        self._idle: asyncio.Handle | None = None
        self._straggling: asyncio.Handle | None = None
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
            call = self._context.run(self._make_call, self)
        except BaseException:
            self._state = "ended"
            raise
        self._call = call
        self._over = call.loop.create_future()
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
                check_in(call)
            if self._context.get(CURRENT) is not None:
                self._context.run(enter_container)
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
        self._flow, self._idle_s = winner.flow, winner.prepared.idle_timeout_s
        self.link = winner.link
        call.succeed(winner)
        if call.prepared.retries or (call.health is not None and call.health.troubled):
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
            is_cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
            self._end = "cancelled" if is_cancelled else "failed"
            call.fail(error)
            call.break_off(self._end, error, _OUTCOMES[self._end])
            self._finish(call, complete(call, wants_record=True))
            self._error = None  # it is being raised

    def launch(self, call: Call, execution: Execution) -> None:
        """Run an attempt that was started, in a task and a context of its own."""
        flow = Flow(call.loop)
        execution.stream_to(flow)
        task = _task(call.loop, self._run(call, execution, flow), self._context.copy())
        execution.run_in(task)
        keep_alive(task)  # asyncio would let go of one that waits for its reader, and the collector close it

    async def _run(self, call: Call, execution: Execution, flow: Flow) -> None:
        try:
            await drive(call, execution, flow)
            if execution is self._winner and not self._is_concluding:
                await self._conclude(call)
        except BaseException as error:
            if execution is self._winner:
                self._tear_down(call, error)
            raise

    # Reading.

    async def next(self, _reader: object) -> Any:
        """Give the next item.

        Args:
            _reader: the reader's own object, held while it waits: the stream is cut off when that is dropped.

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
            flow = self._flow
            if flow is None:
                return self._say_end()
            handover = flow.handover
            if self._end is None and self._closer is None:
                waiter = handover.ask()
                if waiter is not None:
                    if self._idle_s is not None:
                        self._watch(flow, self._idle_s)
                    await waiter
            if handover.ready and self._closer is None and (self._end is None or self._end in _WITH_ITEMS):
                return handover.take()
            return await self._end_of_reading()
        except asyncio.CancelledError as error:
            await self._cancel_reading(error)
            raise
        finally:
            self._is_read = False

    async def _end_of_reading(self) -> Any:
        call = self._call
        assert call is not None
        cancellation = await self._wait_for_end(call)
        if cancellation is not None:
            raise cancellation
        return self._say_end()

    async def _cancel_reading(self, error: asyncio.CancelledError) -> None:
        call = self._call
        assert call is not None
        await self._cut(call, "cancelled", error)  # a second one waits for the same end, and adds nothing
        if self.record is not None and record_of(error) is None:
            attach_record(error, self.record)

    def _watch(self, flow: Flow, idle_s: float) -> None:
        call = self._call
        assert call is not None
        flow.sign()
        if self._idle is None:  # one that is armed finds out that the wait has begun anew
            self._idle = call.loop.call_at(flow.last_sign + idle_s, self._look_at_idle, idle_s, 2, context=Context())

    async def _wait_for_end(self, call: Call) -> asyncio.CancelledError | None:
        """Wait until the call is concluded; give a cancellation of the reader that came meanwhile."""
        over = self._over
        if over is None or over.done():
            return None
        return await wait_for_all([over], call.loop.time() + _PATIENCE_S)

    def _say_end(self) -> Any:
        error = self._take_error()
        if error is not None:
            _raise(error)
        if self._end == "cancelled":
            raise StreamClosedError("this stream was cut off while it was read: what was read is not all of it")
        if self._closer is not None and self._closer() is not asyncio.current_task():
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
        self._idle = None
        if not self._is_read or flow.handover.ready or self._end is not None:
            return  # no reader waits; the next one arms it again
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
        cancellation = None
        if self._closer is None and self._end is None and winner.ended is None:
            closer = asyncio.current_task()
            self._closer = None if closer is None else weakref.ref(closer)
            if winner.flow is not None and winner.flow.is_complete:
                cancellation = await self._let_it_end(call, winner, winner.flow)
        cancellation = await self._cut(call, "closed", None) or cancellation
        raised, self._raised = self._raised, None
        if cancellation is not None:
            raise cancellation
        if raised is not None:
            _raise(raised)

    async def leave(self, error: BaseException | None) -> None:
        """Close the stream for a reader that leaves by ``error``. If that is a cancellation, the call is cancelled."""
        call = self._call
        if isinstance(error, asyncio.CancelledError) and call is not None and self._winner is not None:
            await self._cut(call, "cancelled", error)
        else:
            await self.close()

    async def _let_it_end(self, call: Call, winner: Execution, flow: Flow) -> asyncio.CancelledError | None:
        """Let a generator whose answer is complete run to its own end: usage comes after the finish reason."""
        until = call.loop.time() + CLEANUP_GRACE_S
        while not winner.is_over and not is_due(until, call.loop.time()):
            flow.handover.drop()
            waiter = flow.handover.ask()
            if waiter is None:
                break
            cancellation = await wait_for_all([waiter], until)
            if cancellation is not None:
                return cancellation
        return None

    def abandon(self) -> None:
        """Cut off a stream that nothing refers to any more. Safe from any thread; nothing is done on a closed loop."""
        call = self._call
        if call is not None and self._state == "open":
            with suppress(RuntimeError):  # the loop is closed, in another thread perhaps this very moment
                call.loop.call_soon_threadsafe(self._begin_cut, call, "closed", None, context=Context())

    async def _cut(self, call: Call, end: StreamEnd, reason: BaseException | None) -> asyncio.CancelledError | None:
        """Cut the generator off, and wait until the call is concluded; give a cancellation that came meanwhile."""
        self._begin_cut(call, end, reason)
        return await self._wait_for_end(call)

    def _begin_cut(self, call: Call, end: StreamEnd, reason: BaseException | None) -> None:
        winner = self._winner
        if winner is None or self._end is not None or winner.ended is not None:
            return
        self._end, self._reason = end, reason
        is_cancelled = end == "cancelled" or isinstance(reason, DeadlineExceededError)
        now = call.loop.time()
        # Its own task concludes the call then, so that needs no task that a loop's end could cancel before its start.
        winner.cut_off(Cut(now, time.time_ns()), AttemptStatus.CANCELLED if is_cancelled else None)
        grace = now + CLEANUP_GRACE_S
        self._straggling = call.loop.call_at(grace, self._conclude_without_it, call, context=Context())

    def _conclude_without_it(self, call: Call) -> None:
        self._straggling = None
        if not self._is_concluding:
            keep_alive(call.loop.create_task(self._conclude(call), context=Context()))

    # The end.

    async def _conclude(self, call: Call) -> None:
        """Settle and tell the call, once its generator has ended, or has ignored its cancellation for 250 ms."""
        winner = self._winner
        self._is_concluding = True
        if winner is None:
            call.break_off(self._end or "failed", call.error, call.outcome)
        else:
            self._judge(call, winner)
        # Losers were cut off at the win: what is left of their 250 ms counts.
        cancellation = await clear_away(call, None if self._cut_at is None else self._cut_at + CLEANUP_GRACE_S)
        self._finish(call, complete(call, wants_record=True))
        if cancellation is not None:
            if self.record is not None:
                attach_record(cancellation, self.record)
            raise cancellation

    def _judge(self, call: Call, winner: Execution) -> None:
        """Say how the stream ended, and what its reader is raised."""
        if self._end is None:
            self._end, self._reason = _natural_end(call, winner)
        error, outcome = self._reason, _OUTCOMES[self._end]
        if isinstance(error, DeadlineExceededError):
            outcome = "deadline_exceeded"
        elif self._end == "failed" and error is not None:
            failure = judged(call, winner, error)
            winner.fail(failure)
            error = failure.error
        winner.win()  # unless something else has become of it
        if winner.life is not Life.ENDED:
            finish_or_detach(call, winner, [])
        elif self._end == "closed" and isinstance(winner.error, Exception):
            self._raised = winner.error
        call.break_off(self._end, error, outcome)

    def _finish(self, call: Call, record: CallRecord | None) -> None:
        self.record = record
        self._state = "ended"
        self._is_concluding = True
        for timer in (self._deadline, self._straggling, self._idle):
            if timer is not None:
                timer.cancel()
        self._deadline = self._straggling = self._idle = None
        # A reader that was cancelled has its cancellation already.
        self._error = None if self._end == "cancelled" and self._winner is not None else call.error
        self._reason = None
        flow = None if self._winner is None else self._winner.flow
        # What a reader has not taken yet is still its own, before the end or the error.
        left = flow.handover.take_all() if flow is not None and self._end in _WITH_ITEMS else []
        call.forget()
        if flow is not None:
            flow.handover.fill(left)
            flow.handover.close()
        if self._over is not None and not self._over.done():
            self._over.set_result(None)


def _task(loop: asyncio.AbstractEventLoop, run: Coroutine[Any, Any, None], context: Context) -> asyncio.Task[None]:
    """Make the task of an attempt. It is never eager: what fails on top of the reader's frames keeps them alive.

    The traceback of a first attempt's error would hold the stream itself, and a stream that is dropped would read on.
    """
    if sys.version_info >= (3, 12) and loop.get_task_factory() is asyncio.eager_task_factory:
        return asyncio.Task(run, loop=loop, context=context)
    return loop.create_task(run, context=context)


_WITH_ITEMS: frozenset[StreamEnd | None] = frozenset({None, "completed", "failed"})
"""The ends before which a reader still gets the items that are there."""

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
