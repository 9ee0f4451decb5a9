"""Run one attempt's generator whole, in one task: its time-outs, groups and cancel scopes may span its yields.

After the first item the generator goes on only when the reader asks. Every cancellation of the task reaches it where it
stands, also at a yield, where it is thrown in: its own (an ``asyncio.timeout`` around its yields), which the block that
asked for it turns into its own error, and ours. So being cut off is always a CancelledError, never a GeneratorExit:
groups and scopes would take that for an error of their body.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import suppress
from typing import Any

from routeware.engine.attempt import CURRENT, handle_of
from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.engine.flow import Flow
from routeware.engine.invoke import accepted, enter, leave
from routeware.errors import StreamTruncatedError

__all__ = ["drive"]


async def drive(call: Call, execution: Execution, flow: Flow) -> None:
    """Run the generator of an attempt to its end, and leave on ``execution`` and ``flow`` what became of it."""
    registered = call.registrations
    function = registered.by_provider.get(execution.link.provider, registered.fn)
    attempt = handle_of(execution)
    token = CURRENT.set(attempt)
    is_observed = call.listeners is not None
    attached = enter(call, execution) if is_observed else None
    generator: AsyncGenerator[Any, None] | None = None
    try:
        generator = function(call.owner, attempt, call.args, call.kwargs)
        execution.invoke()
        await _play(call, execution, flow, generator)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the verdict says what it means
        execution.throw(error)
    finally:
        if generator is not None:
            await _close(generator)
        execution.end(call.loop.time())
        with suppress(ValueError):  # closed from another context, by the garbage collector say
            CURRENT.reset(token)
        if is_observed:
            leave(call, execution, attached)
        flow.land()
        if call.race is not None:
            call.race.wake()


async def _play(call: Call, execution: Execution, flow: Flow, generator: AsyncGenerator[Any, None]) -> None:
    registered = call.registrations
    step: Awaitable[Any] = generator.__anext__()
    while True:
        try:
            item = await step
        except StopAsyncIteration:
            break
        if execution.cut is not None:
            return  # it has swallowed its cancellation, and yields on: nobody gets that
        flow.come(item)
        if registered.last_item is not None and not flow.is_complete and registered.last_item(item):
            flow.complete()
        if flow.answered_at is not None:
            flow.handover.fill((item,))
        elif not await _counts(call, execution, flow, item):
            if execution.error is not None:
                return  # turned down
            step = generator.__anext__()
            continue
        step = await _resume(flow, generator)
    flow.end_itself()
    if flow.answered_at is None and execution.cut is None:
        _end_without_an_item(call, execution, flow)


async def _counts(call: Call, execution: Execution, flow: Flow, item: Any) -> bool:
    """Hold an item back; say whether the attempt has answered with it."""
    registered = call.registrations
    flow.hold(item)
    if registered.first_item is not None and not registered.first_item(item):
        return False
    if registered.accept is not None and not await accepted(registered.accept(item)):
        execution.turn_down(item)
        return False
    execution.accept()
    flow.answer(call.loop.time())
    if call.race is not None:
        call.race.wake()
    return True


async def _resume(flow: Flow, generator: AsyncGenerator[Any, None]) -> Awaitable[Any]:
    """Wait until the reader asks; give the generator's next step."""
    try:
        await flow.handover.wanted()
    except asyncio.CancelledError as error:
        return generator.athrow(error)
    return generator.__anext__()


def _end_without_an_item(call: Call, execution: Execution, flow: Flow) -> None:
    registered = call.registrations
    if registered.last_item is not None and not flow.is_complete:
        raise StreamTruncatedError(execution.label, 0)
    if registered.first_item is not None:
        execution.turn_down(flow.held)
    else:
        execution.accept()  # as the bare function: an empty result is a result


async def _close(generator: AsyncGenerator[Any, None]) -> None:
    # It has ended already, unless a hook failed or it yields on after being cut off. What it raises then is nobody's.
    with suppress(Exception, asyncio.CancelledError):
        await generator.aclose()
