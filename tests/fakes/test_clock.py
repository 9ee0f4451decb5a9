"""The tests' own clock: exact, instant, and strict about what is left behind."""

from __future__ import annotations

import asyncio

import async_solipsism
import pytest

from tests.fakes.clock import JumpingLoop, run_jumping


async def test_times_are_exact() -> None:
    """A test may compare times with ``==``."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    assert loop.time() == 0

    await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)

    assert loop.time() == 0.06


async def test_waiting_for_a_rest_of_a_float_moves_the_clock() -> None:
    """Code that waits until a computed moment gets there."""
    loop = asyncio.get_running_loop()
    until = 0.1 + 0.2

    while loop.time() < until:  # noqa: ASYNC110  # the clock is what is tested
        await asyncio.sleep(until - loop.time())

    assert loop.time() == pytest.approx(0.3, abs=2e-9)


def test_a_deadlock_has_a_name() -> None:
    """A loop that waits for nothing says so at once."""
    with pytest.raises(async_solipsism.SleepForeverError):
        run_jumping(lambda: asyncio.Event().wait())


def test_a_pending_task_is_a_failure() -> None:
    """Whoever starts a task waits for it."""
    kept = []

    async def leave() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(1)))

    with pytest.raises(AssertionError, match="pending"):
        run_jumping(leave)


def test_an_armed_timer_is_a_failure() -> None:
    """Whoever arms a timer disarms it."""

    async def leave() -> None:
        asyncio.get_running_loop().call_later(1, print)
        asyncio.get_running_loop().call_later(2, print).cancel()

    with pytest.raises(AssertionError, match="armed"):
        run_jumping(leave)


def test_an_exception_that_nobody_reads_is_a_failure() -> None:
    """Whoever starts a task reads its error."""

    async def fail() -> None:
        raise ValueError("unread")

    async def leave() -> None:
        asyncio.create_task(fail())  # noqa: RUF006  # forgetting it is the point
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="exception handler"):
        run_jumping(leave)


def test_a_result_comes_out() -> None:
    """A coroutine or a function that makes one; the result is the coroutine's."""
    assert run_jumping(asyncio.sleep(3600, "done")) == "done"
    assert run_jumping(lambda: asyncio.sleep(3600, "done")) == "done"
