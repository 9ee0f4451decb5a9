"""A loop whose clock jumps to the next timer, in a thread of its own: a week of traffic takes seconds.

In a thread, because a replay may be asked for where a loop is running already. Time is counted in whole nanoseconds, so
that the times of a replayed call are those that were recorded.
"""

from __future__ import annotations

import asyncio
import logging
import math
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["run_jumping"]

T = TypeVar("T")

_NANOS = 1_000_000_000


def run_jumping(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a jumping clock, in a thread of its own, and return its result.

    What the engine logs there is kept out of the log: it is about calls that are long over.

    Raises:
        BaseException: what the coroutine raised.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        here = threading.get_ident()

        def elsewhere(record: logging.LogRecord) -> bool:
            return record.thread != here

        logger = logging.getLogger("routeware")
        logger.addFilter(elsewhere)
        try:
            with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
                results.append(runner.run(work()))
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            errors.append(error)
        finally:
            logger.removeFilter(elsewhere)

    thread = threading.Thread(target=run, name="routeware-replay", daemon=True)
    thread.start()
    thread.join()
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()
    return results[0]


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: where no event is there, the clock moves to the time that the loop would wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("the replay waits for something that will never happen")
        # At least one tick: a rest below a nanosecond would otherwise be waited for again and again.
        self.ticks += max(1, round(timeout * _NANOS))
        return []


class _JumpingLoop(asyncio.SelectorEventLoop):
    """A loop on that clock."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1 / _NANOS
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        now = self._jumping.ticks / _NANOS
        # A timer is due before now + resolution. After 2**24 s a nanosecond is lost in that sum, and none would be due.
        self._clock_resolution = max(1 / _NANOS, math.ulp(now))
        return now
