"""What a routed call costs beside a bare one: microseconds, and ratios to the same work written by hand.

Run it with ``python benchmarks/overhead.py [--rounds N]``; it needs the extra ``dev``. The subjects take turns within
one run, each is timed in processor time, and the ratio is the median over the rounds: a busy machine slows all of them
alike. Nothing is asserted; the aims stand beside what was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

import routeware
from routeware import Attempt, RoutingPolicy, routed
from routeware.budget import Reservation

CALLS = 400
PRICE = {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0}
REPLY = {"model": "small", "usage": {"prompt_tokens": 12, "completion_tokens": 34}}
CHAIN = ["primary:small", "backup:small"]
PRICED = [
    {"provider": name, "model": "small", "price": PRICE, "max_output_tokens": 100} for name in ("primary", "backup")
]

Subject = Callable[[], Awaitable[object]]


class TooManyRequestsError(Exception):
    """What an SDK raises for a 429."""

    def __init__(self) -> None:
        super().__init__("429")
        self.status_code = 429


async def bare(_attempt: object, _prompt: str) -> str:
    return "answer"


async def suspended(_attempt: object, _prompt: str) -> str:
    await asyncio.sleep(0)
    return "answer"


async def by_timeout() -> str:
    async with asyncio.timeout(120):
        return await bare(None, "hi")


async def by_hand_race() -> str:
    """A race written by hand: the primary has a second, then the backup runs beside it; losers are awaited."""
    tasks = {asyncio.create_task(suspended(None, "hi"))}
    try:
        done, _ = await asyncio.wait(tasks, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            tasks.add(asyncio.create_task(suspended(None, "hi")))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        losers = [task for task in tasks if not task.done()]
        for task in losers:
            task.cancel()
        if losers:
            await asyncio.wait(losers)


def by_hand_spans(tracer: trace.Tracer) -> Subject:
    """The two spans of a call with the attributes that routeware gives them."""
    call_start = {
        "routeware.call.name": "ask",
        "routeware.policy.label": "routing_policy(chain=2)",
        "routeware.policy.chain": ["primary:small", "backup:small"],
        "routeware.policy.max_attempts": 2,
    }
    attempt_start = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "primary",
        "gen_ai.request.model": "small",
        "routeware.link.label": "primary:small",
        "routeware.attempt.number": 1,
        "routeware.attempt.trigger": "initial",
        "routeware.attempt.timeout_s": 120.0,
    }

    async def call() -> str:
        outer = tracer.start_span("routeware.call ask", kind=SpanKind.INTERNAL, attributes=call_start)
        context = trace.set_span_in_context(outer)
        inner = tracer.start_span("chat small", context, kind=SpanKind.CLIENT, attributes=attempt_start)
        with trace.use_span(inner, end_on_exit=False):
            answer = await bare(None, "hi")
        inner.set_attributes(
            {
                "routeware.attempt.status": "succeeded",
                "routeware.cost.usd": 0.00037,
                "routeware.cost.source": "priced",
                "gen_ai.usage.input_tokens": 12,
                "gen_ai.usage.output_tokens": 34,
                "gen_ai.response.model": "small",
            }
        )
        inner.end()
        outer.set_attributes(
            {
                "routeware.call.outcome": "succeeded",
                "routeware.call.attempts": 1,
                "routeware.call.selected": "primary:small",
                "routeware.call.cost_usd": 0.00037,
                "routeware.call.uncertain_usd": 0.0,
                "routeware.call.wasted_usd": 0.0,
            }
        )
        outer.end()
        return answer

    return call


def asking(chain: list[Any], *, fails: bool = False, waits: bool = False, reports: bool = False, **options: Any) -> Any:
    """A routed function over ``chain``."""

    @routed(RoutingPolicy(chain=chain), name="ask", **options)
    async def ask(attempt: Attempt, _prompt: str) -> str:
        if fails and attempt.number == 1:
            raise TooManyRequestsError
        if waits:
            await asyncio.sleep(0)
        if reports:
            attempt.report(REPLY)
        return "answer"

    return ask


class Row(NamedTuple):
    """One comparison."""

    name: str
    subject: Subject
    against: str
    aim: float | None
    priced: bool = False


def rows() -> tuple[dict[str, Subject], list[Row]]:
    """What is compared with what."""
    recorded, dropped = TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)
    against = {
        "asyncio.timeout": by_timeout,
        "a race by hand": by_hand_race,
        "spans by hand": by_hand_spans(recorded.get_tracer("by hand")),
        "sampled out by hand": by_hand_spans(dropped.get_tracer("by hand")),
    }
    success, failing = asking(CHAIN), asking(CHAIN, fails=True)
    racing = asking(CHAIN, waits=True).with_options(race_after_ms=1000)
    priced = asking(PRICED, reports=True)
    timeout, race = "asyncio.timeout", "a race by hand"
    return against, [
        Row("success", lambda: success("hi"), timeout, 2.0),
        Row("success, with its record", lambda: success.outcome("hi"), timeout, 3.5),
        Row("success, priced in an open session", lambda: priced("hi"), timeout, 3.0, True),
        Row("one failover", lambda: failing("hi"), timeout, 3.5),
        _priced("one failover, priced", asking(PRICED, fails=True, reports=True), timeout, 5.0),
        Row("race armed, the primary answers", lambda: racing("hi"), race, 1.4),
        _priced(
            "race armed, priced",
            asking(PRICED, waits=True, reports=True).with_options(race_after_ms=1000),
            race,
            1.8,
        ),
        _priced("success, priced and capped", priced.with_options(per_call_usd=1), timeout, None),
        Row("both spans recorded", _traced(recorded), "spans by hand", 1.25),
        Row("both spans sampled out", _traced(dropped), "sampled out by hand", None),
    ]


def _priced(name: str, ask: Any, against: str, aim: float | None) -> Row:
    return Row(name, lambda: ask("hi"), against, aim, True)


def _traced(provider: TracerProvider) -> Subject:
    ask = asking(PRICED, reports=True, tracer_provider=provider)
    return lambda: ask("hi")


async def time_us(subject: Subject, *, priced: bool) -> float:
    """Microseconds of processor time for one call."""

    async def run() -> float:
        start = time.process_time()
        for _ in range(CALLS):
            await subject()
        return (time.process_time() - start) / CALLS * 1e6

    if not priced:
        return await run()
    async with routeware.session("benchmark"):
        return await run()


async def compare(rounds: int) -> None:
    """Time everything in turns, and print."""
    against, compared = rows()
    times: dict[str, list[float]] = {name: [] for name in (*against, *(row.name for row in compared))}
    for _ in range(rounds):
        for name, subject in against.items():
            times[name].append(await time_us(subject, priced=False))
        for row in compared:
            times[row.name].append(await time_us(row.subject, priced=row.priced))
    for name in against:
        print(f"{name:38} {statistics.median(times[name]):8.2f} µs")
    print()
    for row in compared:
        ratios = [mine / theirs for mine, theirs in zip(times[row.name], times[row.against], strict=True)]
        aim = "" if row.aim is None else f" (aim {row.aim:g})"
        print(
            f"{row.name:38} {statistics.median(times[row.name]):8.2f} µs"
            f"   {statistics.median(ratios):5.2f} times {row.against}{aim}"
        )


async def hold_and_settle_us() -> float:
    """Microseconds to reserve and settle in one capped session."""
    async with routeware.session("benchmark", limit_usd=1e6) as session:
        best = float("inf")
        for _ in range(20):
            start = time.process_time()
            for _ in range(CALLS):
                reservation = Reservation(session)
                reservation.hold(1000)
                reservation.settle(900, 0)
            best = min(best, (time.process_time() - start) / CALLS * 1e6)
        return best


def import_ms(module: str, rounds: int = 9) -> float:
    """Milliseconds that importing ``module`` takes in a fresh interpreter, over ``import asyncio``; the median."""
    code = f"import asyncio, time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1000)"
    command = [sys.executable, "-c", code]
    took = [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(rounds)]  # noqa: S603
    return statistics.median(took)


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="how often each subject is timed (default: 60)")
    rounds = parser.parse_args().rounds
    print(f"CPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {rounds} rounds\n")
    asyncio.run(compare(rounds))
    print(f"\n{'hold and settle':38} {asyncio.run(hold_and_settle_us()):8.2f} µs (aim 2)")
    print(f"{'import routeware, over asyncio':38} {import_ms('routeware'):8.1f} ms (aim 60)")


if __name__ == "__main__":
    main()
