"""What a routed stream costs beside a pump written by hand: process time per item, and per stream of one item.

Run it with ``python benchmarks/streams.py [--rounds N]``. The unit is a pump that everybody has written: a task that
puts a generator's items into an ``asyncio.Queue(1)``, which the reader takes from. 100 streams run at once; the
subjects take turns within one run, and a ratio is the median over the rounds. Nothing is asserted.
The bars stand beside. Other libraries, where they are installed, are measured one stream at a time: what an item costs
there is to be above what it costs here.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from stream_peers import PEERS

from routeware import Attempt, RoutingPolicy, routed

STREAMS, ITEMS = 100, 50
_END: Any = object()

Source = Callable[[Any, int], AsyncIterator[int]]


async def at_hand(_attempt: Attempt, items: int) -> AsyncIterator[int]:
    for item in range(items):
        yield item


async def in_turns(_attempt: Attempt, items: int) -> AsyncIterator[int]:
    for item in range(items):
        await asyncio.sleep(0)
        yield item


def pumped(source: Source) -> Callable[[int], AsyncIterator[int]]:
    """Pump a generator through a queue, by hand."""

    async def stream(items: int) -> AsyncIterator[int]:
        queue: asyncio.Queue[Any] = asyncio.Queue(1)

        async def pump() -> None:
            async for item in source(None, items):
                await queue.put(item)
            await queue.put(_END)

        task = asyncio.create_task(pump())
        try:
            while (item := await queue.get()) is not _END:
                yield item
        finally:
            task.cancel()
            await asyncio.wait([task])

    return stream


def routed_stream(source: Source, **policy: Any) -> Callable[[int], AsyncIterator[int]]:
    return routed(RoutingPolicy(chain=["a:m", "b:m"], **policy))(source)


class Row(NamedTuple):
    """One subject, what it is compared with, and the bar."""

    name: str
    subject: Callable[[int], AsyncIterator[int]]
    against: str | None
    items: int = ITEMS
    bar: float | None = None


def rows() -> list[Row]:
    hand, turn, idle = "pump, items at hand", "pump, a turn each", "routed, items at hand"
    return [
        Row(hand, pumped(at_hand), None),
        Row(turn, pumped(in_turns), None),
        Row("pump, one item", pumped(at_hand), None, 1),
        Row(idle, routed_stream(at_hand), hand, ITEMS, 0.95),
        Row("routed, a turn each", routed_stream(in_turns), turn, ITEMS, 1.4),
        Row(
            "the same, with idle_timeout_ms",
            routed_stream(at_hand, failover={"idle_timeout_ms": 5_000}),
            idle,
            ITEMS,
            1.3,
        ),
        Row("routed, one item", routed_stream(at_hand), "pump, one item", 1, 3.0),
        Row("raced, items at hand", routed_stream(at_hand, latency={"race_after_ms": 5_000}), hand),
        Row("raced, one item", routed_stream(at_hand, latency={"race_after_ms": 5_000}), "pump, one item", 1),
    ]


async def all_at_once(row: Row) -> None:
    async def read() -> None:
        async for _ in row.subject(row.items):
            pass

    await asyncio.gather(*(read() for _ in range(STREAMS)))


def seconds(row: Row) -> float:
    """Process time per item, of streams that run at once; over a first run that warms up."""

    async def timed() -> float:
        began = time.process_time()
        await all_at_once(row)
        return time.process_time() - began

    return asyncio.run(timed()) / (STREAMS * row.items)


def alone(stream: Callable[[int], AsyncIterator[Any]], streams: int = 20) -> float:
    """Process time per item, of streams that follow one another."""

    async def timed() -> tuple[float, int]:
        async for _ in stream(ITEMS):  # warms up
            pass
        items, began = 0, time.process_time()
        for _ in range(streams):
            async for _ in stream(ITEMS):
                items += 1
        return time.process_time() - began, items

    taken, items = asyncio.run(timed())
    return taken / items


def print_peers(rounds: int) -> None:
    """Compare with other libraries, which take turns, too."""
    streams = {"routed": routed_stream(at_hand), **{name: make() for name, make in PEERS.items()}}
    taken: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(rounds):
        for name, stream in streams.items():
            taken[name].append(alone(stream))
    print("one stream at a time, us per item:")
    for name, each in taken.items():
        print(f"{name:34}{statistics.median(each) * 1e6:12.2f}")


async def first_item_ms(clean_up_s: float) -> float:
    """How long the first item of a race takes whose loser cleans up for so long."""

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 20}))
    async def stream(attempt: Attempt) -> AsyncIterator[int]:
        try:
            await asyncio.sleep(10 if attempt.provider == "a" else 0.02)
            yield 1
        finally:
            if attempt.provider == "a":
                await asyncio.sleep(clean_up_s)

    began = time.perf_counter()
    async with stream() as opened:
        await anext(opened)
        return (time.perf_counter() - began) * 1000


def race_ms(clean_up_s: float) -> float:
    """Take the fastest of seven: what delays it is the machine."""
    return min(asyncio.run(first_item_ms(clean_up_s)) for _ in range(7))


def main() -> None:
    parser = argparse.ArgumentParser(description="What a routed stream costs beside a pump written by hand.")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    measured: dict[str, list[float]] = {row.name: [] for row in rows()}
    for turn in range(rounds + 1):
        for row in rows():
            taken = seconds(row)
            if turn:  # the first round warms up
                measured[row.name].append(taken)
    print(f"CPython {platform.python_version()}, {sys.platform}; {STREAMS} streams at once, {rounds} rounds")
    print(f"{'':34}{'us per item':>12}{'ratio':>8}{'bar':>7}")
    for row in rows():
        taken = measured[row.name]
        ratio = bar = ""
        if row.against is not None:
            pairs = zip(taken, measured[row.against], strict=True)
            ratio = f"{statistics.median(one / other for one, other in pairs):.2f}"
            bar = "" if row.bar is None else f"{row.bar:.2f}"
        print(f"{row.name:34}{statistics.median(taken) * 1e6:12.2f}{ratio:>8}{bar:>7}")
    print(f"first item in a race: {race_ms(0):.1f} ms; with a loser that cleans up for 200 ms: {race_ms(0.2):.1f} ms")
    print_peers(min(rounds, 5))


if __name__ == "__main__":
    main()
