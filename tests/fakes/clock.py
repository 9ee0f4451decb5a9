"""A loop whose clock jumps, and the question that every test ends with: is anything left on it?

Time is counted in whole nanoseconds and divided once when it is read, so ``sleep(0.01)`` and then ``sleep(0.05)`` end
at exactly ``0.06``. A loop that waits for nothing raises ``async_solipsism.SleepForeverError``: a deadlock has a name.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import async_solipsism

__all__ = ["EagerLoop", "JumpingLoop", "assert_quiet", "run_jumping"]

T = TypeVar("T")

_NANOS = 1_000_000_000


class _Nanoseconds:
    """The clock: it moves only when the loop has nothing else to do."""

    def __init__(self) -> None:
        self._ticks = 0

    def time(self) -> float:
        return self._ticks / _NANOS

    def advance(self, delta: float) -> None:
        # At least one tick: code that waits for a rest of 1e-17 s would otherwise ask for it for ever.
        self._ticks += max(1, round(delta * _NANOS))


class JumpingLoop(async_solipsism.EventLoop):  # type: ignore[misc]  # async_solipsism has no types
    """A loop without sockets, threads or real time, that remembers what its exception handler was told."""

    def __init__(self) -> None:
        self._nanoseconds = _Nanoseconds()
        self.complaints: list[dict[str, Any]] = []
        super().__init__()
        self._selector.clock = self._nanoseconds
        self._clock_resolution = 1 / _NANOS
        self.set_exception_handler(lambda _loop, context: self.complaints.append(context))

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._nanoseconds.time()


class EagerLoop(JumpingLoop):
    """One whose tasks take their first step as they are made: CPython 3.12 and later."""

    def __init__(self) -> None:
        super().__init__()
        self.set_task_factory(getattr(asyncio, "eager_task_factory", None))


def run_jumping(work: Coroutine[Any, Any, T] | Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine (or a function that makes one) to its end on a fresh jumping loop, and give its result.

    Raises:
        AssertionError: a task is pending, a timer is armed, or the loop's exception handler was called.
        SleepForeverError: everything waits and nothing will ever happen.
    """
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        result = runner.run(work if asyncio.iscoroutine(work) else _awaited(work))
        assert_quiet(runner.get_loop())
    return result


async def _awaited(make: Callable[[], Awaitable[T]]) -> T:
    return await make()


def assert_quiet(loop: asyncio.AbstractEventLoop) -> None:
    """Fail if ``loop`` (a :class:`JumpingLoop`) still has a task or an armed timer, or had something to complain of."""
    # An exception that nobody read is only told when its task is collected, and tracebacks make cycles.
    gc.collect(1)
    tasks = [task for task in asyncio.all_tasks(loop) if not task.done()]
    assert not tasks, f"tasks are still pending: {tasks}"
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    assert not timers, f"timers are still armed: {timers}"
    complaints = loop.complaints  # type: ignore[attr-defined]
    assert not complaints, f"the loop's exception handler was called: {complaints}"
