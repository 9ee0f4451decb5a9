"""Runs past calls again by the real engine, under another policy, on a clock that jumps: a week takes seconds.

The loop runs in a thread of its own, because a replay may be asked for where a loop is running already. Time is counted
in whole nanoseconds, so that the times of a replayed call are those that were recorded.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import selectors
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import attrs
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider

from routeware.classify import ErrorSnapshot
from routeware.decorator import Routed, registrations_of, routed
from routeware.engine import Attempt
from routeware.health import Health
from routeware.lab.replay_fates import Fates, PastCall
from routeware.money import Usage
from routeware.policy import Link, RoutingPolicy
from routeware.records import CallRecord

__all__ = ["serve"]

T = TypeVar("T")

_NAME = "replay"
_NANOS = 1_000_000_000
_NUMBER: ContextVar[int] = ContextVar("number")


class _ReplayedError(Exception):
    """The error of a past attempt."""

    def __init__(self, snapshot: ErrorSnapshot) -> None:
        super().__init__(snapshot.message)
        self.snapshot = snapshot


def serve(
    calls: Sequence[PastCall], fates: Fates, policy: RoutingPolicy, seed: int
) -> tuple[Sequence[CallRecord], float]:
    """Serve the calls under ``policy``, at the times at which they came if all of these are known.

    Return a record per call, in the order of the calls, and the share of the attempts that were as they had been.
    """
    traffic = _Traffic(calls, fates, _without_prices(policy), seed)
    return _run_jumping(traffic.serve)


def _meaning(error: BaseException) -> ErrorSnapshot | None:
    return error.snapshot if isinstance(error, _ReplayedError) else None


def _without_prices(policy: RoutingPolicy) -> RoutingPolicy:
    """Return the policy with the money of the past: dollars are those of the attempts, and no session is open."""
    chain = tuple(attrs.evolve(link, price=None) for link in policy.chain)
    budget = attrs.evolve(policy.budget, allow_unpriced=True, session_usd=None)
    return attrs.evolve(policy, chain=chain, budget=budget)


class _Traffic:
    def __init__(self, calls: Sequence[PastCall], fates: Fates, policy: RoutingPolicy, seed: int) -> None:
        self._calls = calls
        self._fates = fates
        self._policy = policy
        self._seed = seed
        self._records: dict[int, CallRecord] = {}
        self._measured: list[bool] = []
        self._occurrences: dict[tuple[int, str], int] = {}

    async def serve(self) -> tuple[Sequence[CallRecord], float]:
        ask = self._routed()
        starts = [call.started_unix_s for call in self._calls]
        known = [start for start in starts if start is not None]
        if known and len(known) == len(starts):
            await self._as_they_came(ask, known)
        else:
            for number in range(len(self._calls)):
                await self._one(ask, number)
        share = sum(self._measured) / len(self._measured) if self._measured else 1.0
        return [self._records[number] for number in range(len(self._calls))], share

    async def _as_they_came(self, ask: Routed[[int], str], starts: Sequence[float]) -> None:
        loop = asyncio.get_running_loop()
        began, first = loop.time(), min(starts)
        running = set[asyncio.Task[None]]()
        for number in sorted(range(len(starts)), key=starts.__getitem__):
            # Whole microseconds: sums of large numbers carry noise, and a call's times are to be exact.
            wait = began + round(starts[number] - first, 6) - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            task = loop.create_task(self._one(ask, number))
            running.add(task)
            task.add_done_callback(running.discard)
        while running:
            await asyncio.wait(running)

    async def _one(self, ask: Routed[[int], str], number: int) -> None:
        """Serve one call. One whose caller gave up is given up again, as late as then."""
        past, loop = self._calls[number], asyncio.get_running_loop()
        call = loop.create_task(self._numbered(ask, number))
        timer = None
        if past.outcome == "cancelled":
            timer = loop.call_later(past.duration_ms / 1000, call.cancel)
        await asyncio.wait([call])
        if timer is not None:
            timer.cancel()
        if not call.cancelled():
            call.exception()  # its record has the outcome

    async def _numbered(self, ask: Routed[[int], str], number: int) -> None:
        _NUMBER.set(number)
        await ask(number)

    def _routed(self) -> Routed[[int], str]:
        # A function as the policy: then nothing is prepared before the source of chance has been replaced.
        @routed(
            lambda: self._policy,
            name=_NAME,
            classify=_meaning,
            on_call=lambda record: self._records.__setitem__(_NUMBER.get(), record),
            tracer_provider=NoOpTracerProvider(),
            meter_provider=NoOpMeterProvider(),
            health=Health(draw=random.Random(f"{self._seed} health").random),
        )
        async def ask(attempt: Attempt, number: int) -> str:
            return await self._attempt(attempt, number)

        ask.estimate(self._estimate)
        registrations_of(ask).latency.draw_by(random.Random(self._seed).random)
        return ask

    def _estimate(self, link: Link, number: int) -> Usage | float:
        estimate = self._fates.estimate_usd(number, link.label)
        # Tokens of a link without a price: their cost is unknown, which is not nothing.
        return Usage(input_tokens=0, output_tokens=0) if estimate is None else estimate

    async def _attempt(self, attempt: Attempt, number: int) -> str:
        key = (number, attempt.label)
        occurrence = self._occurrences.get(key, 0)
        self._occurrences[key] = occurrence + 1
        fate, measured = self._fates.of(number, attempt.label, occurrence)
        self._measured.append(measured)
        await asyncio.sleep(fate.duration_ms / 1000)
        if fate.cost_usd is not None and not fate.estimated:
            attempt.report_cost(fate.cost_usd)
        if fate.error is not None:
            raise _ReplayedError(fate.error)
        return attempt.label


def _run_jumping(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a jumping clock, in a thread of its own, and return its result.

    What the engine logs there is kept out of the log: it is about calls that are long over.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        here = threading.get_ident()

        def elsewhere(record: logging.LogRecord) -> bool:
            return record.thread != here

        logger = logging.getLogger("routeware")
        logger.addFilter(elsewhere)
        try:
            with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
                results.append(runner.run(work()))
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            errors.append(error)
        finally:
            logger.removeFilter(elsewhere)

    thread = threading.Thread(target=run, name="routeware-replay", daemon=True)
    thread.start()
    thread.join()
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()
    return results[0]


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: where no event is there, the clock moves to the time that the loop would wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("the replay waits for something that will never happen")
        # At least one tick: a rest below a nanosecond would otherwise be waited for again and again.
        self.ticks += max(1, round(timeout * _NANOS))
        return []


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1 / _NANOS
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        now = self._jumping.ticks / _NANOS
        # A timer is due before now + resolution. After 2**24 s a nanosecond is lost in that sum, and none would be due.
        self._clock_resolution = max(1 / _NANOS, math.ulp(now))
        return now
