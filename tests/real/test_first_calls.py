"""The first calls of a function may come from several threads at once: they share one prepared chain."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from routeware import Attempt, Price, RoutingPolicy, routed


class SlowBook:
    """A price book that two threads ask at the same time."""

    def __init__(self) -> None:
        self.both = threading.Barrier(2, timeout=30)

    def find(self, provider: str, model: str) -> Price | None:
        """Wait for the other thread."""
        self.both.wait()
        return None


def test_first_calls_in_two_threads_both_give_their_answers() -> None:
    """And what a latency target learns from them finds its links."""

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"target_p95_ms": 500}), prices=SlowBook())
    async def ask(attempt: Attempt) -> str:
        await asyncio.sleep(0.05)  # longer than the other thread takes to store its chain
        return attempt.provider

    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(lambda: asyncio.run(ask())) for _ in range(2)]

    assert [call.result() for call in calls] == ["a", "a"]
