"""Time-outs as client libraries made them before they learned to take their cancellation back."""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["OldTimeout"]


class OldTimeout:
    """Cancel the task that entered, and turn the CancelledError into a TimeoutError without ``uncancel()``.

    aiohttp before 3.10.7 does this for its ``total`` and ``sock_read`` time-outs, async-timeout before 4.0.3 for its
    own: the task's ``cancelling()`` stays one too high afterwards.
    """

    def __init__(self, after_ms: float) -> None:
        self._after_s = after_ms / 1000
        self._fired = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._timer = asyncio.get_running_loop().call_later(self._after_s, self._fire, task)

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if kind is asyncio.CancelledError and self._fired:
            raise TimeoutError from None  # its context is the CancelledError all the same

    def _fire(self, task: asyncio.Task[object]) -> None:
        self._fired = True
        task.cancel()
