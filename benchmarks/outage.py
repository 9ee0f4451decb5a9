"""What cooldown saves while a provider hangs: the same calls with and without, on the real engine and a jumping clock.

Run it with ``python benchmarks/outage.py``; it needs the extra ``dev``. A call comes every 0.5 s, for 15 minutes. From
minute 5 to minute 10 the first provider takes requests and answers none; otherwise each answers after a draw around
0.8 s. The chain's time-out is 20 s. The figures are of calls that begin in the outage, and after it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from routeware import Attempt, Health, RoutingPolicy, routed
from tests.fakes.clock import JumpingLoop

EVERY_S, LENGTH_S, OUTAGE = 0.5, 900.0, (300.0, 600.0)
TIMEOUT_MS = 20_000
MEDIAN_S, SPREAD = 0.8, 0.4


class Told(NamedTuple):
    """One call: when it began, how long it took, how many attempts it made."""

    began: float
    took_s: float
    attempts: int


async def calls(failover: dict[str, float]) -> list[Told]:
    """Make the calls of one run."""
    chance = random.Random(20)
    loop = asyncio.get_running_loop()
    policy = RoutingPolicy(chain=["first:m", "second:m"], failover={"on_timeout_ms": TIMEOUT_MS, **failover})

    @routed(policy, health=Health(draw=chance.random))
    async def ask(attempt: Attempt, answer_s: float) -> None:
        if attempt.provider == "first" and OUTAGE[0] <= loop.time() < OUTAGE[1]:
            await loop.create_future()
        await asyncio.sleep(answer_s)

    async def one(began: float, answer_s: float) -> Told:
        await asyncio.sleep(began - loop.time())
        outcome = await ask.outcome(answer_s)
        attempts = sum(each.skip_reason is None for each in outcome.record.attempts)
        return Told(began, loop.time() - began, attempts)

    starts = [number * EVERY_S for number in range(int(LENGTH_S / EVERY_S))]
    return await asyncio.gather(*(one(began, MEDIAN_S * chance.lognormvariate(0, SPREAD)) for began in starts))


def rows(name: str, told: list[Told]) -> Iterator[str]:
    """Lines of the table for one run."""
    for when, low, high in (("in the outage", *OUTAGE), ("afterwards", OUTAGE[1], LENGTH_S)):
        some = [one for one in told if low <= one.began < high]
        took = sorted(one.took_s for one in some)
        yield (
            f"{name:16} {when:14} {len(some):5} {statistics.fmean(took):7.2f} {took[len(took) // 2]:7.2f}"
            f" {took[int(len(took) * 0.95)]:7.2f} {statistics.fmean(one.attempts for one in some):9.3f}"
        )


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    runs = {"without": {}, "cooldown 5 s": {"cooldown_ms": 5_000}, "cooldown 30 s": {"cooldown_ms": 30_000}}
    print(f"{'':16} {'calls':14} {'':5} {'mean s':>7} {'p50 s':>7} {'p95 s':>7} {'attempts':>9}")
    for name, failover in runs.items():
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            for row in rows(name, runner.run(calls(failover))):
                print(row)


if __name__ == "__main__":
    main()
