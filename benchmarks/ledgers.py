"""What a ledger adds to a call: in this process, in a file, and in Redis; and how many calls one Redis carries.

Run it with ``python benchmarks/ledgers.py [--calls N] [--seconds N]``; it needs the extra ``redis``, and a redis-server
on the path for the part about Redis. The provider answers at once, so what is left is routeware and the ledger. The
subjects take turns. Times are on the wall's clock, for a ledger is waited for; the process' own time, which a busy
machine changes less, stands beside them. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import routeware
from routeware import Attempt, Ledger, MemoryLedger, RoutingPolicy, routed
from routeware.contrib.redis import RedisLedger
from routeware.contrib.sqlite import SqliteLedger

ROUNDS = 5
AT_ONCE = 64
LIMIT_USD = 1_000_000.0
LINK = {"provider": "a", "model": "m", "price": {"request_usd": 0.001}}


@routed(RoutingPolicy.from_dict({"chain": [LINK]}))
async def ask(attempt: Attempt) -> str:
    attempt.report_cost(0.001)
    return "answer"


async def one_after_another(calls: int) -> float:
    """Microseconds per call."""
    began = time.perf_counter()
    for _ in range(calls):
        await ask()
    return (time.perf_counter() - began) / calls * 1e6


async def at_once(calls: int) -> tuple[float, float]:
    """Calls per second of this process, with so many at once, and microseconds of its own time per call."""

    async def some() -> None:
        for _ in range(calls // AT_ONCE):
            await ask()

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    made = calls // AT_ONCE * AT_ONCE
    return made / (time.perf_counter() - began), (time.process_time() - used) / made * 1e6


async def compare(ledgers: dict[str, Ledger | None], calls: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in ledgers}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in ledgers}
    for _ in range(ROUNDS):
        for name, ledger in ledgers.items():
            async with routeware.session("bench", limit_usd=LIMIT_USD, ledger=ledger):
                times[name].append(await one_after_another(calls))
                rates[name].append(await at_once(max(calls, AT_ONCE)))
    print(f"{'where the sum is kept':<24}{'µs per call':>14}{f'calls/s, {AT_ONCE} at once':>24}{'own µs per call':>18}")
    for name in ledgers:
        rate, own = (statistics.median(column) for column in zip(*rates[name], strict=True))
        print(f"{name:<24}{statistics.median(times[name]):>14,.0f}{rate:>24,.0f}{own:>18,.0f}")


def told(port: int, *command: str) -> str:
    """What the server says to a command."""
    with socket.create_connection(("127.0.0.1", port), 1) as line:
        line.sendall((" ".join(command) + "\r\n").encode())
        return line.recv(1 << 20).decode()


def scripts(port: int) -> tuple[int, float]:
    """How often the script ran, and how long all runs took, in microseconds."""
    line = next((one for one in told(port, "INFO", "commandstats").splitlines() if "cmdstat_evalsha" in one), "")
    facts = dict(part.split("=") for part in line.partition(":")[2].split(","))
    return int(facts["calls"]), float(facts["usec"])


@contextmanager
def a_redis() -> Iterator[int]:
    """A server on a free port of the loopback, without persistence."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(["redis-server", *settings], stdout=subprocess.DEVNULL)  # noqa: S603, S607
    try:
        for _ in range(100):
            try:
                told(port, "PING")
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()


def load(url: str, seconds: float, counted: Any) -> None:
    """One process that calls as fast as it can."""

    async def run() -> int:
        until, done = time.monotonic() + seconds, 0
        async with RedisLedger(url) as ledger, routeware.session("load", limit_usd=LIMIT_USD, ledger=ledger):

            async def some() -> None:
                nonlocal done
                while time.monotonic() < until:
                    await ask()
                    done += 1

            await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        return done

    counted.put(asyncio.run(run()))


def carry(url: str, processes: int, seconds: float) -> float:
    """Calls per second of one Redis, asked by so many processes at once."""
    context = get_context("spawn")
    counted = context.Queue()
    started = [context.Process(target=load, args=(url, seconds, counted)) for _ in range(processes)]
    for process in started:
        process.start()
    done = sum(counted.get() for _ in started)
    for process in started:
        process.join()
    return done / seconds


async def measure(calls: int, port: int | None) -> None:
    ledgers: dict[str, Ledger | None] = {"no ledger": None, "MemoryLedger": MemoryLedger()}
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            ledgers["SqliteLedger"] = await stack.enter_async_context(SqliteLedger(Path(folder) / "bench.db"))
            if port is not None:
                ledgers["RedisLedger"] = await stack.enter_async_context(RedisLedger(f"redis://127.0.0.1:{port}"))
            await compare(ledgers, calls)


async def on_the_server(port: int, calls: int) -> tuple[float, float]:
    """Round trips per call, and microseconds of the server's time, with so many at once."""
    ledger = RedisLedger(f"redis://127.0.0.1:{port}")
    async with ledger, routeware.session("trips", limit_usd=LIMIT_USD, ledger=ledger):
        trips, micros = scripts(port)
        await at_once(calls)
    after, later = scripts(port)
    made = calls // AT_ONCE * AT_ONCE
    return (after - trips) / made, (later - micros) / made


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=320, help="in each round of each subject")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load on one Redis")
    options = parser.parse_args(arguments)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}\n")
    if shutil.which("redis-server") is None:
        print("redis-server is not here: without Redis\n")
        asyncio.run(measure(options.calls, None))
        return
    with a_redis() as port:
        asyncio.run(measure(options.calls, port))
        trips, micros = asyncio.run(on_the_server(port, max(options.calls, AT_ONCE)))
        print(f"\nRedis: {trips:.2f} round trips per call, {AT_ONCE} at once (2 where there is one at a time)")
        for processes in (1, 2, 4):
            rate = carry(f"redis://127.0.0.1:{port}/0", processes, options.seconds)
            print(f"Redis: {rate:,.0f} calls per second from {processes} process{'es' if processes > 1 else ''}")
        print(f"Redis: {micros:.1f} µs of its one core per call, so {1e6 / micros:,.0f} calls per second at most")


if __name__ == "__main__":
    main(sys.argv[1:])
