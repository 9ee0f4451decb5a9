"""routeware beside the libraries that you might use instead: what a call costs, and how slow the slowest ones are.

Run it with ``python benchmarks/peers.py``. It prints Markdown tables. Libraries that aren't installed are left out and
named: ``pip install tenacity stamina langchain-core pydantic-ai-slim litellm hedge-python`` installs all of them.

**Overhead**: processor time per call to providers that answer at once, and to a primary that always refuses. All
libraries take turns within one run, and a figure is the median over the rounds.

**Tail**: a primary and a backup that usually answer in about 100 ms, and that need another 1.5 s for 8 % of the calls.
Each library gets the same sequence of draws, and a time-out of 600 ms: its own where it has one, else the client's.
What it does then, and whether it does anything earlier, is the library's own. The bare function has no time-out. The
libraries take turns here, too, in real time.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from peers_subjects import CLIENT_TIMEOUT_S, PEERS, Ask, Call, OverloadedError, Peer, Subject, bare, by_routeware

MEDIAN_S, SPREAD, STALL_S, STALLS = 0.1, 0.3, 1.5, 0.08
SLICE_S, TURN = 0.05, 20
SPACING_S, CALLS = 0.01, 100


async def answers(_provider: str) -> str:
    return "answer"


async def first_refuses(provider: str) -> str:
    if provider == "primary":
        raise OverloadedError
    return "answer"


class Stalling:
    """Two providers that are slow now and then; counts the requests."""

    def __init__(self, seed: int) -> None:
        self._draws = {name: random.Random(f"{seed} {name}") for name in ("primary", "backup")}
        self.timeout_s: float | None = None
        self.requests = 0

    async def __call__(self, provider: str) -> str:
        self.requests += 1
        draw = self._draws[provider]
        takes = MEDIAN_S * math.exp(draw.gauss(0, SPREAD)) + (STALL_S if draw.random() < STALLS else 0)
        async with asyncio.timeout(self.timeout_s):
            await asyncio.sleep(takes)
        return "answer"


def makers(peers: Sequence[Peer]) -> list[Callable[[Ask], Subject]]:
    """List everything that is compared; each is made of a provider function."""
    return [
        bare,
        partial(by_routeware, name="routeware, failover"),
        partial(by_routeware, name="routeware, `race_after_ms = 250`", race_after_ms=250),
        partial(by_routeware, name="routeware, `target_p95_ms = 400`", target_p95_ms=400),
        *(peer.subject for peer in peers),
    ]


# Overhead.


async def time_us(call: Call) -> float:
    """Measure the processor time of a call, over as many calls as fit into a slice of time."""
    number, start = 0, time.process_time()
    while number < TURN or time.process_time() - start < SLICE_S:
        await call()
        number += 1
        if number % TURN == 0:
            await asyncio.sleep(0)  # or cancelled timers would pile up
    return (time.process_time() - start) / number * 1e6


async def overhead(peers: Sequence[Peer], rounds: int) -> dict[str, dict[str, float]]:
    """Time a success, the same without the library, and one failover; in turns."""
    timed: dict[tuple[str, str], Call] = {}
    for make in makers(peers):
        subject = make(answers)
        timed[subject.name, "call"] = subject.call
        if subject.without:
            timed[subject.name, "without"] = subject.without
        if subject.fails_over:
            timed[subject.name, "failover"] = make(first_refuses).call
    took: dict[tuple[str, str], list[float]] = {key: [] for key in timed}
    for call in timed.values():
        await time_us(call)  # the first calls import and compile
    for _ in range(rounds):
        for key, call in timed.items():
            took[key].append(await time_us(call))
    found: dict[str, dict[str, float]] = {}
    for (name, column), times in took.items():
        found.setdefault(name, {})[column] = statistics.median(times)
    return found


# The tail.


class Tail(NamedTuple):
    """What one subject's calls took, in milliseconds, with its provider and its failures."""

    call: Call
    providers: Stalling
    took_ms: list[float]
    failed: list[type[Exception]]


async def one(tail: Tail) -> None:
    start = time.perf_counter()
    try:
        await tail.call()
    except Exception as error:  # noqa: BLE001 - each library has errors of its own; they are counted and shown
        tail.failed.append(type(error))
    tail.took_ms.append((time.perf_counter() - start) * 1000)


async def burst(tail: Tail) -> None:
    """Start calls at a steady rate, whatever the earlier ones take."""
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLS):
            group.create_task(one(tail))
            await asyncio.sleep(SPACING_S)


async def tails(peers: Sequence[Peer], rounds: int) -> dict[str, Tail]:
    """Send every subject's calls, in turns."""
    found: dict[str, Tail] = {}
    for make in makers(peers):
        providers = Stalling(seed=14)
        subject = make(providers)
        providers.timeout_s = None if subject.times_out else CLIENT_TIMEOUT_S
        found[subject.name] = Tail(subject.call, providers, [], [])
    for _ in range(rounds):
        for tail in found.values():
            await burst(tail)
    return found


# The tables.


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def overhead_table(found: dict[str, dict[str, float]]) -> str:
    """Show microseconds; nothing where the library does no such thing."""
    columns = {"call": "a call, µs", "without": "of which its framework, µs", "failover": "one failover, µs"}
    rows = [
        [name, *(f"{figures[column]:,.0f}" if column in figures else "" for column in columns)]
        for name, figures in found.items()
    ]
    return table(["", *columns.values()], rows)


def tail_table(found: dict[str, Tail]) -> str:
    """Show quantiles and the requests beyond one a call."""
    rows = []
    for name, tail in found.items():
        cuts = statistics.quantiles(tail.took_ms, n=100)
        extra = tail.providers.requests / len(tail.took_ms) - 1
        failed = len(tail.failed)
        rows.append([name, *(f"{cuts[cut - 1]:,.0f}" for cut in (50, 95, 99)), f"{extra:.1%}", str(failed)])
    return table(["", "p50, ms", "p95, ms", "p99, ms", "extra requests", "failed"], rows)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="rounds of the overhead (default: 20)")
    parser.add_argument("--bursts", type=int, default=8, help=f"bursts of {CALLS} calls each for the tail (default: 8)")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # some of them log every failure
    peers = [peer for peer in PEERS if peer.installed]
    costs = asyncio.run(overhead(peers, options.rounds))
    slow = asyncio.run(tails(peers, options.bursts))
    print(
        f"CPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; "
        + ", ".join(peer.version for peer in peers)
    )
    print(f"\n{overhead_table(costs)}\n\n{tail_table(slow)}")
    if missing := [peer.distribution for peer in PEERS if not peer.installed]:
        print(f"\nNot installed, left out: {', '.join(missing)}.")


if __name__ == "__main__":
    main()
