"""One call of a routed generator: routed to its first item, handed over item by item, concluded when it has ended.

Deciding and concluding are two moments here. ``open`` decides, in the reader's task, and cuts the losers off. The call
is concluded by the winner's own task when its generator has ended, so it is settled and reported even without a reader.
Whoever cuts the generator off (the reader, a timer, the collector) says why; where the generator ignores that for
250 ms, a task of the call's own concludes it.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable
from contextvars import Context
from typing import Any, Literal, NoReturn

import attrs

from routeware.engine.admission import enter_container
from routeware.engine.attempt import CURRENT
from routeware.engine.attempt_end import cut_off_losers, finish_or_detach
from routeware.engine.call import Call
from routeware.engine.call_end import abandon, clear_away, complete, is_untidy, tell_win
from routeware.engine.caps import check_in
from routeware.engine.cooldown import note_success
from routeware.engine.execution import Execution
from routeware.engine.life import Life
from routeware.engine.race import run_race
from routeware.engine.race_state import Race
from routeware.engine.stream_attempt import drive
from routeware.engine.stream_end import OUTCOMES, WITH_ITEMS, natural_end, outcome_of
from routeware.engine.stream_items import Flow
from routeware.engine.stream_timeouts import Bounds
from routeware.engine.waiting import CLEANUP_GRACE_S, keep_alive, let_go, wait_for_all
from routeware.errors import DeadlineExceededError, StreamClosedError
from routeware.observers import Cut
from routeware.policy import Link
from routeware.records import AttemptStatus, CallRecord, StreamEnd, attach_record, record_of

__all__ = ["Stream"]

# Concluding waits 250 ms for the generator and what is left of the losers' 250 ms, and then for ledgers.
_PATIENCE_S = 4 * CLEANUP_GRACE_S


@attrs.define(eq=False, repr=False, weakref_slot=False)
class Stream:
    """The engine's side of a stream. Its reader is given items, the end, and at most one error.

    Args:
        make_call: makes the call.
        context: of the moment in which the stream was asked for; every attempt runs in a copy of it.
    """

    _make_call: Callable[[Stream], Call]
    _context: Context
    # where the reader takes items; ``None`` before the first one, and where it gets none any more
    flow: Flow | None = attrs.field(init=False, default=None)
    bounds: Bounds | None = attrs.field(init=False, default=None)  # how long it may wait; ``None`` if it has any time
    link: Link | None = attrs.field(init=False, default=None)  # the link that answers; ``None`` before the first item
    record: CallRecord | None = attrs.field(init=False, default=None)  # the call's; ``None`` until that has ended
    _state: Literal["new", "opening", "open", "ending", "ended"] = attrs.field(init=False, default="new")
    _call: Call | None = attrs.field(init=False, default=None)
    _winner: Execution | None = attrs.field(init=False, default=None)
    _end: StreamEnd | None = attrs.field(init=False, default=None)  # why it ends, from when that is decided
    _reason: BaseException | None = attrs.field(init=False, default=None)  # what it ends by
    _error: BaseException | None = attrs.field(init=False, default=None)  # what its reader is still to be raised
    _raised: BaseException | None = attrs.field(init=False, default=None)  # what its generator raised when closed
    # The task that closed it gets a clean end. Held weakly: a task may hold the error that this stream raised.
    _closer: weakref.ref[asyncio.Task[Any]] | None = attrs.field(init=False, default=None)
    _cut_at: float | None = attrs.field(init=False, default=None)  # when the losers were cut off
    _straggling: asyncio.TimerHandle | None = attrs.field(init=False, default=None)
    _over: asyncio.Future[None] | None = attrs.field(init=False, default=None)  # done when the call is concluded

    # Opening.

    async def open(self) -> None:
        """Route the call until an attempt has its first item. Again: at once.

        Raises:
            BaseException: what the call raises, where no attempt answers.
        """
        self._refuse_while_opening()
        if self._state != "new":
            return
        self._state = "opening"
        try:
            self._call = call = self._context.run(self._make_call, self)
        except BaseException:
            self._state = "ended"
            raise
        self._over = call.loop.create_future()
        try:
            await self._decide(call)
            if self._winner is None or self._winner.is_over:
                await self._conclude(call)
        except BaseException as error:
            self._tear_down(call, error)
            self._error = None if self._error is error else self._error  # it is being raised
            raise
        if self.link is None:
            _raise(self._take_error())

    def _refuse_while_opening(self) -> None:
        if self._state == "opening":
            raise RuntimeError("this stream is being started by another task")

    async def _decide(self, call: Call) -> None:
        try:
            if call.session is not None or call.prepared.is_capped:
                check_in(call)
            if self._context.get(CURRENT) is not None:
                self._context.run(enter_container, call)
            winner = await run_race(call)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - raised when nothing is in flight any more
            is_cancelled = isinstance(error, asyncio.CancelledError)
            self._end = "cancelled" if is_cancelled else "failed"
            call.fail(error, "cancelled" if is_cancelled else None)
        else:
            self._win(call, winner)

    def _win(self, call: Call, winner: Execution) -> None:
        """Take the attempt that has its first item: the losers are cut off, and the reader may read."""
        flow = winner.flow
        assert flow is not None
        self._winner, self.link = winner, winner.link
        call.succeed(winner)
        call.lift_first_item_deadline()
        if call.prepared.retries or call.health is not None:
            note_success(call, winner)
        if is_untidy(call):
            self._cut_at = call.loop.time()
            cut_off_losers(call)
        tell_win(call)
        self._state = "open"
        self.flow = flow
        if winner.prepared.idle_timeout_s is not None or call.deadline is not None:
            self.bounds = Bounds(call, winner, flow, self._begin_cut)

    def _tear_down(self, call: Call, error: BaseException) -> None:
        """End a call whose program exits, or whose coroutine is closed: nothing can be awaited there."""
        if self._state == "ended":
            return
        abandon(call)
        winner = self._winner
        if winner is not None and winner.life is not Life.ENDED:
            # The program exited while its first item was reported: in a filter of its log, say.
            winner.cut_off(Cut(call.loop.time(), time.time_ns()), AttemptStatus.CANCELLED)
            finish_or_detach(call, winner, [])
        if not call.has_ended:
            is_cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
            self._end = "cancelled" if is_cancelled else "failed"
            call.fail(error)
            call.break_off(self._end, error, OUTCOMES[self._end])
            self._finish(call)

    def launch(self, call: Call, race: Race, execution: Execution) -> asyncio.Task[None]:
        """Run an attempt that was started, in a task and a context of its own; give the task."""
        execution.stream_to(flow := Flow(call.loop))
        task = call.loop.create_task(self._run(call, race, execution, flow), context=self._context.copy())
        keep_alive(task)  # asyncio would let go of one that waits for its reader, and the collector close it
        return task

    async def _run(self, call: Call, race: Race, execution: Execution, flow: Flow) -> None:
        try:
            if execution.task is None:
                # The task is eager: what fails on top of the reader's frames keeps them alive, and with them the
                # stream, so that one that is dropped would read on.
                await asyncio.sleep(0)
            await drive(call, race, execution, flow, self._note_failure)
            if execution is self._winner and self._state == "open":
                await self._conclude(call)
        except BaseException as error:
            if execution is self._winner:
                self._tear_down(call, error)
            raise
        finally:
            let_go(execution.task)

    def _note_failure(self, call: Call, execution: Execution) -> None:
        """Take note that a hook has failed an attempt, whose generator cleans up: its reader waits 250 ms for that."""
        if execution is self._winner:
            self._end, self._reason = "failed", execution.error
            self._allow_grace(call)

    # Reading.

    async def end_reading(self) -> NoReturn:
        """Wait until the call is concluded, and raise what the reader gets in place of an item.

        Raises:
            StopAsyncIteration: the stream has come to its end.
            StreamClosedError: it was cut off: what was read is not all of it.
            BaseException: what it ended by; once.
        """
        cancellation = await self._wait_for_end()
        if cancellation is not None:
            raise cancellation
        _raise(self._take_error())
        if self._end == "cancelled":
            raise StreamClosedError("this stream was cut off while it was read: what was read is not all of it")
        if self._closer is not None and self._closer() is not asyncio.current_task():
            raise StreamClosedError("this stream was closed by another task: what was read is not all of it")
        raise StopAsyncIteration

    async def cancel(self, error: asyncio.CancelledError) -> None:
        """Cut the generator off, because its reader was cancelled, and wait for it; leave the record on ``error``."""
        self._begin_cut("cancelled", error)
        await self._wait_for_end()  # a second cancellation waits for the same end, and adds nothing
        self._with_record(error)

    def _with_record(self, error: asyncio.CancelledError) -> asyncio.CancelledError:
        if self.record is not None and record_of(error) is None:
            attach_record(error, self.record)
        return error

    async def _wait_for_end(self) -> asyncio.CancelledError | None:
        """Wait until the call is concluded; give a cancellation of the reader that came meanwhile."""
        if self._over is None or self._over.done():
            return None
        return await wait_for_all([self._over], self._over.get_loop().time() + _PATIENCE_S)

    def _take_error(self) -> BaseException | None:
        error, self._error = self._error, None
        return error

    # Leaving.

    async def close(self) -> None:
        """Cut the generator off, and wait for it, at most 250 ms. On a stream that has ended: at once.

        Raises:
            BaseException: what the generator raises meanwhile.
        """
        self._refuse_while_opening()
        winner = self._winner
        if self._state in ("new", "ended") or winner is None:
            self._state = "ended"
            return
        cancellation = None
        if self._closer is None and self._end is None and winner.ended is None:
            closer = asyncio.current_task()
            self._closer = None if closer is None else weakref.ref(closer)
            self.flow = None
            if winner.flow is not None:
                winner.flow.wake_reader()
                if winner.flow.is_complete:
                    # Usage comes after the finish reason.
                    cancellation = await winner.flow.drain(CLEANUP_GRACE_S)
        self._begin_cut("closed", None)
        cancellation = await self._wait_for_end() or cancellation
        raised, self._raised = self._raised, None
        _raise(cancellation or raised)

    def abandon(self) -> None:
        """Cut off a stream that nothing refers to any more. Safe from any thread; nothing is done on a closed loop."""
        call = self._call
        if call is not None and self._state == "open":
            try:
                call.loop.call_soon_threadsafe(self._begin_cut, "closed", None, context=Context())
            except RuntimeError:  # the loop is closed, in another thread perhaps this very moment
                let_go(None if self._winner is None else self._winner.task)

    def _begin_cut(self, end: StreamEnd, reason: BaseException | None) -> None:
        call, winner = self._call, self._winner
        if call is None or winner is None or self._end is not None or winner.ended is not None:
            return
        self._end, self._reason = end, reason
        if end not in WITH_ITEMS:
            self.flow = None
        is_cancelled = end == "cancelled" or isinstance(reason, DeadlineExceededError)
        # Its own task concludes the call then, so that needs no task that a loop's end could cancel before its start.
        winner.cut_off(Cut(call.loop.time(), time.time_ns()), AttemptStatus.CANCELLED if is_cancelled else None)
        self._allow_grace(call)

    def _allow_grace(self, call: Call) -> None:
        """Conclude the call in 250 ms, if its generator has not ended by then."""
        self._straggling = call.loop.call_later(CLEANUP_GRACE_S, self._conclude_without_it, call, context=Context())

    def _conclude_without_it(self, call: Call) -> None:
        if self._state == "open":
            keep_alive(call.loop.create_task(self._conclude(call), context=Context()))

    # The end.

    async def _conclude(self, call: Call) -> None:
        """Settle and tell the call, once its generator has ended, or has ignored its cancellation for 250 ms."""
        if self._winner is None:
            call.break_off(self._end or "failed", call.error, call.outcome)
        else:
            self._state = "ending"
            self._judge(call, self._winner)
        cancellation = None
        if is_untidy(call):
            # Losers were cut off at the win: what is left of their 250 ms counts. What it cost is posted only now.
            cancellation = await clear_away(call, None if self._cut_at is None else self._cut_at + CLEANUP_GRACE_S)
        self._finish(call)
        if cancellation is not None:
            raise self._with_record(cancellation)

    def _judge(self, call: Call, winner: Execution) -> None:
        """Say how the stream ended, and what its reader is raised."""
        if self._end is None:
            self._end, self._reason = natural_end(call, winner)
            if self._end == "failed" and self._closer is not None:
                self._end, self._reason = "closed", None  # its reader left, and it was let end after its last item
        outcome, error = outcome_of(call, winner, self._end, self._reason)
        winner.win()  # unless something else has become of it
        if winner.life is not Life.ENDED:
            finish_or_detach(call, winner, [])
        elif self._end == "closed" and not isinstance(winner.error, asyncio.CancelledError | GeneratorExit):
            self._raised = winner.error
        call.break_off(self._end, error, outcome)

    def _finish(self, call: Call) -> None:
        try:
            self.record = complete(call, wants_record=True)
        finally:
            self._end_reader(call)  # whatever a hook raises, it must not be left waiting

    def _end_reader(self, call: Call) -> None:
        self._state = "ended"
        if self.bounds is not None:
            self.bounds.cancel()
            self.bounds = None
        if self._straggling is not None:
            self._straggling.cancel()
        flow = None if self._winner is None else self._winner.flow
        # A reader that was cancelled has its cancellation already.
        self._error = None if self._end == "cancelled" and flow is not None else call.error
        self._reason = None
        call.forget()
        if flow is not None:
            if self._end not in WITH_ITEMS:
                flow.drop()  # else what its reader has not taken yet is still its own
            flow.close()
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        self._call = self._winner = None  # a call and its driver would be a circle


def _raise(error: BaseException | None) -> None:
    """Raise ``error``, if there is one, and keep it alive in no frame of ours."""
    if error is not None:
        try:
            raise error
        finally:
            del error
