"""One process of several that follow a policy file under load; run as ``python -m tests.real.policy_worker PATH``.

It calls without a pause until its standard input is closed. It writes ``CALLING`` when its first call has been
answered, the level of every log line about the file, and at the end one line of JSON: how many calls each link
answered, and how many calls each error ended.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import Counter

from routeware import Attempt, RoutingPolicy, routed

CALLERS = 20


def say(line: str) -> None:
    """Write a line for the test to read."""
    print(line, flush=True)  # noqa: T201 - that is what it is for


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.levelname)


async def work(path: str) -> tuple[Counter[str], Counter[str]]:
    """Call until standard input is closed; give the answers and the errors."""
    answered: Counter[str] = Counter()
    failed: Counter[str] = Counter()

    @routed(RoutingPolicy.watch_toml(path, every_ms=5))
    async def ask(attempt: Attempt) -> str:
        await asyncio.sleep(0.001)
        return attempt.label

    async def call_on() -> None:
        while True:
            try:
                answered[await ask()] += 1
            except Exception as error:  # noqa: BLE001 - counted, and none is expected
                failed[type(error).__name__] += 1

    answered[await ask()] += 1
    say("CALLING")
    callers = [asyncio.create_task(call_on()) for _ in range(CALLERS)]
    await asyncio.to_thread(sys.stdin.read)
    answered[await ask()] += 1  # one whole call under the policy that is in force at the end
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    return answered, failed


if __name__ == "__main__":
    logger = logging.getLogger("routeware")
    logger.setLevel(logging.INFO)
    logger.addHandler(_Lines())
    logger.propagate = False
    say(json.dumps(asyncio.run(work(sys.argv[1]))))
