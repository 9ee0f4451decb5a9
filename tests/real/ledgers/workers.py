"""Processes that spend from one budget, started, killed and waited for by a test; ``worker`` is what they run."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

__all__ = ["Worker", "Workers"]


class Worker:
    """A process that spends, and the lines that it writes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[bytes] = []

    async def line(self) -> bytes:
        """Its next line; empty at its end."""
        assert self.process.stdout is not None
        self.lines.append(await self.process.stdout.readline())
        return self.lines[-1]

    async def ended(self) -> dict[str, int]:
        """What became of its calls."""
        while await self.line():
            pass
        assert await self.process.wait() == 0
        told: dict[str, int] = json.loads([line for line in self.lines if line][-1])
        return told

    async def kill(self) -> None:
        """End it at once, where it has not ended."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class Workers:
    """Several processes that spend from one ledger."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.all: list[Worker] = []

    async def start(self, count: int) -> None:
        """Start so many."""
        for _ in range(count):
            command = (sys.executable, "-m", "tests.real.ledgers.worker", json.dumps(self.told))
            root = Path(__file__).parents[3]
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=root)
            self.all.append(Worker(process))

    async def kill_the_first(self, count: int) -> None:
        """Kill so many of them, each as soon as its first attempt runs."""
        reading = {asyncio.create_task(worker.line()): worker for worker in self.all}
        while count:
            done, _ = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                worker = reading.pop(task)
                if count and task.result() == b"started\n":
                    await worker.kill()
                    self.all.remove(worker)
                    count -= 1
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    async def ended(self) -> Counter[str]:
        """What became of the calls of all that were left alone."""
        sums: Counter[str] = Counter()
        for worker in self.all:
            sums.update(await worker.ended())
        return sums
