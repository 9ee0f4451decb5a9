"""How an attempt ends: it is settled and told, or set down as a straggler; a result that nobody gets is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Any

from routeware.attempt import Run, settle, settle_late
from routeware.race import adopt
from routeware.router.recording import end_attempt
from routeware.router.state import Call

__all__ = ["close_all", "conclude", "let_go", "part_with"]

logger = logging.getLogger("routeware")


def conclude(call: Call, run: Run, end_ns: int | None = None) -> None:
    """Book what an attempt that has ended cost, where somebody will ask; end its span, at ``end_ns`` or by itself."""
    run.concluded = True
    if call.counted:
        settle(run)
    if call.heard:
        end_attempt(call, run, end_ns)


def let_go(call: Call, run: Run) -> None:
    """Conclude an attempt that was cut off, now that its task has ended."""
    if run.task is not None and not run.task.cancelled():
        run.task.exception()  # read, so that nobody reports it as lost
    if run.concluded:
        return
    if run.cut and run.ended is not None:
        run.cleanup_s = max(0.0, (run.returned or run.ended) - run.ended)
    if run.failure is not None and run.failure.__cause__ is None and run.failure is not run.error:
        run.failure.__cause__ = run.error
    conclude(call, run)


def part_with(call: Call, run: Run, kept: list[object]) -> None:
    """Conclude an attempt that was cut off; one that still runs goes on as a straggler.

    Args:
        call: its call.
        run: the attempt.
        kept: results that somebody has got, or that are closed: a straggler must not close them though it gives them,
            too.
    """
    if run.task is None or run.task.done():
        let_go(call, run)
        return
    settle(run, straggling=True)
    run.concluded = True
    if call.heard:
        end_attempt(call, run)
    _strand(call, run, run.task, kept)


def _strand(call: Call, run: Run, task: asyncio.Task[None], kept: list[object]) -> None:
    run.straggling = True
    adopt(task)
    reservation = run.reservation
    if call.session is not None and reservation is not None:
        settled, uncertain = run.settled or 0, run.uncertain or 0
        call.session.keep(task, lambda: reservation.settle(settled, uncertain))

    def ended(_task: asyncio.Future[Any]) -> None:
        if not task.cancelled():
            task.exception()
        settle_late(run)
        close_all([run.result] if run.replied else [], kept)
        run.error = run.result = None

    task.add_done_callback(ended)


def close_all(results: Sequence[object], kept: list[object]) -> list[asyncio.Future[Any]]:
    """Close results that nobody gets, where they can be closed, each once; what is left to wait for.

    Args:
        results: what attempts gave.
        kept: what somebody has got, or is closed: two links may give the same object. What is closed here is added.
    """
    closing = []
    for result in results:
        if not any(result is one for one in kept):
            kept.append(result)
            closing += _close(result)
    return closing


def _close(result: Any) -> list[asyncio.Future[Any]]:
    try:
        close = getattr(result, "aclose", None) or getattr(result, "close", None)
        waiting = close() if callable(close) else None
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is anything, and nobody waits for it
        _say_open(error)
        return []
    if not isinstance(waiting, Awaitable):
        return []
    task = asyncio.ensure_future(_closed(waiting))
    adopt(task)
    return [task]


async def _closed(waiting: Awaitable[Any]) -> None:
    try:
        await waiting
    except Exception as error:  # noqa: BLE001 - as above
        _say_open(error)


def _say_open(error: BaseException) -> None:
    logger.warning("a result that nobody gets could not be closed (%s)", type(error).__qualname__)
