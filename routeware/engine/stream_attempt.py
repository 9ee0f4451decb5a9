"""Run one attempt's generator whole, in one task: its time-outs, groups and cancel scopes may span its yields.

After the first item the generator goes on only when the reader asks. Every cancellation of the task reaches it where it
stands, also at a yield, where it is thrown in: its own (an ``asyncio.timeout`` around its yields), which the block that
asked for it turns into its own error, and ours. So being cut off is always a CancelledError, never a GeneratorExit:
groups and scopes would take that for an error of their body.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from routeware.engine.attempt import handle_of, put_current
from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.engine.invoke import accepted, called, enter, leave
from routeware.engine.race_state import Race
from routeware.engine.stream_items import Flow
from routeware.errors import StreamTruncatedError
from routeware.observers import Cut

__all__ = ["drive"]


async def drive(
    call: Call, race: Race, execution: Execution, flow: Flow, note_failure: Callable[[Call, Execution], None]
) -> None:
    """Run the generator of an attempt to its end, and leave its outcome on ``execution`` and ``flow``.

    Args:
        call: the call.
        race: woken when it has answered or ended.
        execution: the attempt.
        flow: its items.
        note_failure: called where a hook has failed it: its generator stands at a yield, and cleans up from then on.
    """
    attempt = handle_of(execution)
    token = put_current(attempt)
    attached = None if call.listeners is None else enter(call, execution)
    try:
        generator = called(call, execution, attempt)
        try:
            await _play(call, race, execution, flow, generator)
        except BaseException as error:
            if not _is_its_outcome(call, execution, error):
                raise
            execution.throw(error)  # the verdict says what it means
        if generator.ag_frame is not None:  # it stands at a yield
            was_cut = execution.cut is not None
            if not was_cut:
                execution.clean_up(Cut(call.loop.time(), time.time_ns()))
                note_failure(call, execution)
                race.wake()
            await _cut_short(generator, was_cut=was_cut)
    except BaseException as error:
        if not _is_its_outcome(call, execution, error):
            raise
        execution.throw(error)  # wrong arguments, say
    finally:
        leave(call, execution, token, attached)
        race.tell(execution.task)


def _is_its_outcome(call: Call, execution: Execution, error: BaseException) -> bool:
    """Say whether the attempt has ended by this error; else it ends the task, and before the first item the call.

    A GeneratorExit is also what closes this very coroutine, and then nothing may be awaited any more.
    """
    if isinstance(error, Exception | asyncio.CancelledError):
        return True
    if isinstance(error, KeyboardInterrupt | SystemExit) or execution.answered_at is None:
        return False
    return asyncio.current_task(call.loop) is execution.task


async def _play(call: Call, race: Race, execution: Execution, flow: Flow, generator: AsyncGenerator[Any, None]) -> None:
    """Take items off the generator, until it ends or is to be cut short."""
    last_item, offer, remember = call.registrations.last_item, flow.offer, flow.recent.append
    step: Awaitable[Any] | None = generator.__anext__()
    try:
        while step is not None:
            try:
                item = await step
            except StopAsyncIteration:
                _end(call, execution, flow)
                return
            if execution.cut is not None:
                return  # it has swallowed its cancellation, and yields on: those items are dropped
            if flow.answered_at is None:
                step = await _begin_with(call, race, execution, flow, item, generator)
                continue
            remember(item)
            if last_item is not None and not flow.is_complete and last_item(item):
                flow.complete(item)
            # Written out, for it is done per item: see _resume.
            try:
                await offer(item)
            except asyncio.CancelledError as error:
                step = generator.athrow(error)
            else:
                step = generator.__anext__()
    finally:
        del step  # it holds an error that was thrown in, whose traceback holds this frame


async def _begin_with(
    call: Call, race: Race, execution: Execution, flow: Flow, item: Any, generator: AsyncGenerator[Any, None]
) -> Awaitable[Any] | None:
    """Hold an item back until one counts; give the generator's next step, ``None`` where it was turned down."""
    flow.come(item)
    counts = False
    try:
        counts = await _counts(call, execution, flow, item)
    except asyncio.CancelledError as error:
        return generator.athrow(error)  # it stands at a yield
    except Exception as error:  # noqa: BLE001 - a hook's; the verdict says what it means
        execution.throw(error)
    if execution.error is not None:
        return None
    if not counts:
        return generator.__anext__()
    race.wake()
    return await _resume(flow, generator)


async def _counts(call: Call, execution: Execution, flow: Flow, item: Any) -> bool:
    """Hold an item back; say whether the attempt has answered with it."""
    registered = call.registrations
    if registered.last_item is not None and not flow.is_complete and registered.last_item(item):
        flow.complete(item)
    if registered.first_item is not None and not registered.first_item(item):
        return False
    if registered.accept is not None and not await accepted(registered.accept(item)):
        execution.turn_down(item)
        return False
    execution.accept()
    flow.answer(call.loop.time())
    return True


async def _resume(flow: Flow, generator: AsyncGenerator[Any, None]) -> Awaitable[Any]:
    """Wait until the reader asks; give the generator's next step."""
    try:
        await flow.wanted()
    except asyncio.CancelledError as error:
        return generator.athrow(error)
    return generator.__anext__()


def _end(call: Call, execution: Execution, flow: Flow) -> None:
    """Say what it means that the generator has ended by itself."""
    registered = call.registrations
    if registered.last_item is None or flow.is_complete:
        flow.end_itself()
    if flow.answered_at is not None or execution.cut is not None:
        return
    if registered.last_item is not None and not flow.is_complete:
        raise StreamTruncatedError(execution.label, 0)
    if registered.first_item is not None:
        execution.turn_down(flow.held)
    else:
        execution.accept()  # as the bare function: an empty result is a result


async def _cut_short(generator: AsyncGenerator[Any, None], *, was_cut: bool) -> None:
    """End a generator that still stands at a yield: a hook failed or turned it down, or it ignores being cut off.

    What it raises then is dropped. A group around its yields makes a group of the GeneratorExit of ``aclose``.
    """
    with suppress(Exception, asyncio.CancelledError, BaseExceptionGroup):
        if not was_cut:
            await generator.athrow(asyncio.CancelledError())
        await generator.aclose()
