"""What benchmarks/overhead.py counts: bytecodes, objects that the garbage collector tracks, reference circles."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import FrameType
from typing import Any

Subject = Callable[[], Awaitable[object]]

OF_A_WAIT = 3
COUNTS_BYTECODES = sys.version_info[:2] == (3, 11)  # other versions have other bytecodes


def bytecodes(subject: Subject, around: Callable[[], AbstractAsyncContextManager[Any]]) -> int:
    """How many bytecodes one call executes, the loop's own included.

    The least of five: at times the loop tidies up cancelled timers.
    """
    counted = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal counted
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        counted += event == "opcode"
        return trace

    async def run() -> int:
        nonlocal counted
        found = []
        async with around():
            for _ in range(20):
                await subject()
            for _ in range(5):
                await asyncio.sleep(0)
                counted = 0
                sys.settrace(trace)
                await subject()
                sys.settrace(None)
                found.append(counted)
        return min(found)

    return asyncio.run(run())


def tracked(call: Callable[[asyncio.Future[None]], Any], number: int = 1_000) -> float:
    """How many objects the garbage collector tracks for one call in flight.

    Its caller's task is included. The three that wait for the gate itself (its iterator, the task's wake-up and a tuple
    that holds this) are not.
    """

    async def run() -> float:
        loop = asyncio.get_running_loop()
        await in_flight(10)
        gc.collect()
        gc.disable()
        try:
            gate: asyncio.Future[None] = loop.create_future()
            tasks: list[asyncio.Task[Any]] = []
            before = len(gc.get_objects())
            tasks.extend(loop.create_task(call(gate)) for _ in range(number))
            for _ in range(5):
                await asyncio.sleep(0)
            after = len(gc.get_objects())
            gate.set_result(None)
            await asyncio.wait(tasks)
        finally:
            gc.enable()
        return (after - before) / number - OF_A_WAIT

    async def in_flight(warm: int) -> None:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        tasks = [asyncio.ensure_future(call(gate)) for _ in range(warm)]
        await asyncio.sleep(0)
        gate.set_result(None)
        await asyncio.wait(tasks)

    return asyncio.run(run())


def circles(subject: Subject, number: int = 100) -> float:
    """How many objects one call leaves to the garbage collector, because they refer to each other in a circle."""

    async def run() -> float:
        for _ in range(5):
            await subject()
        gc.collect()
        gc.disable()
        try:
            for _ in range(number):
                await subject()
            return gc.collect() / number
        finally:
            gc.enable()

    return asyncio.run(run())
