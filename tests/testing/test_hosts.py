"""Scripts play wherever a user's tests run: unittest, FastAPI's TestClient, and other loops whose clock jumps."""

from __future__ import annotations

import asyncio
import time
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import async_solipsism
import looptime
import pytest

from routeware import Attempt, RoutingPolicy, routed
from routeware.testing import after, fails, hangs, scripted, trail

T = TypeVar("T")


@routed(RoutingPolicy(chain=["a:m", "b:m"]))
async def ask(attempt: Attempt, prompt: str) -> str:
    """Answer for real."""
    return f"real {prompt}"


def in_a_thread(work: Callable[[], T]) -> T:
    """Run ``work`` where setting and taking away the thread's loop is no matter of pytest-asyncio's."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()


class InUnittest(unittest.IsolatedAsyncioTestCase):
    """A test as the standard library runs it: each method in a context of its own."""

    def setUp(self) -> None:
        """Enter the script where nothing is async."""
        self.play = self.enterContext(scripted(ask, {"a": fails(500), "b": "scripted"}))

    async def test_a_call(self) -> None:
        """It fails over."""
        assert await ask("sky?") == "scripted"
        assert trail(self.play.calls[0]) == ["a:m failed:server_error", "b:m selected"]


class InAsyncSetUp(unittest.IsolatedAsyncioTestCase):
    """The same, entered in the loop."""

    async def asyncSetUp(self) -> None:
        """Enter the script in the loop's own context."""
        self.play = self.enterContext(scripted(ask, {"*": "scripted"}))

    async def test_a_call(self) -> None:
        """It is played."""
        assert await ask("sky?") == "scripted"


@pytest.mark.parametrize("case", [InUnittest, InAsyncSetUp])
def test_unittest_plays_scripts(case: type[unittest.TestCase]) -> None:
    """In setUp, asyncSetUp and tests alike."""
    result = unittest.TestResult()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    in_a_thread(lambda: suite.run(result))

    assert result.testsRun == 1
    assert result.wasSuccessful(), result.failures + result.errors


async def hour_of_waiting() -> list[str]:
    """A hanging provider, a time-out of an hour, and a slow answer."""
    view = ask.with_policy(RoutingPolicy(chain=["a:m", "b:m"], failover={"on_timeout_ms": 3_600_000}))
    with scripted(view, {"a": hangs(), "b": after(60_000, "late")}) as play:
        assert await view("sky?") == "late"
    assert play.calls[0].duration_ms == pytest.approx(3_660_000, abs=1_000)
    return trail(play.calls[0])


@pytest.mark.parametrize("make_loop", [looptime.new_event_loop, async_solipsism.EventLoop])
def test_time_jumps_on_loops_of_other_libraries(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """An hour passes at once: nothing of ours reads another clock than the loop's."""
    began = time.monotonic()

    def run() -> list[str]:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(hour_of_waiting())

    assert in_a_thread(run) == ["a:m failed:timeout", "b:m selected"]
    assert time.monotonic() - began < 30
