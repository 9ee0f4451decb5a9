"""Ask one request, bare or routed, and take its time; keep so many in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TypeVar

import aiohttp

from routeware import (
    AttemptStatus,
    AttemptTrigger,
    CallRecord,
    PolicyError,
    Price,
    Routed,
    RoutewareError,
    Usage,
    record_of,
)
from routeware.demo.tally import Answer
from routeware.money import nanos

__all__ = ["CONCURRENCY", "ask_bare", "ask_routed", "in_flight"]

T = TypeVar("T")

CONCURRENCY = 20
"""Requests in flight at once."""


async def ask_bare(ask: Callable[[int], Awaitable[Usage]], price: Price, number: int, speed_up: float) -> Answer:
    """Ask the first provider alone; ``speed_up`` times the time that passes is the provider's."""
    start = perf_counter()
    try:
        cost = price.cost_nanos(await ask(number))
    except aiohttp.ClientResponseError:
        return Answer(took_ms=_since(start, speed_up), answered=False, cost_nanos=0)
    except aiohttp.ClientError:
        # The connection dropped. The request may be on the bill, and a bare caller keeps no books.
        took_ms = _since(start, speed_up)
        return Answer(took_ms=took_ms, answered=False, cost_nanos=0, uncertain_nanos=None, wasted_nanos=None)
    return Answer(took_ms=_since(start, speed_up), answered=True, cost_nanos=cost or 0)


async def ask_routed(ask: Routed[[int], str], number: int, speed_up: float) -> Answer:
    """Ask along the chain; ``speed_up`` times the time that passes is the providers'.

    Raises:
        PolicyError: the policy cannot be used: no provider's failure, and every other request would meet it, too.
    """
    start = perf_counter()
    try:
        record = (await ask.outcome(number)).record
    except (aiohttp.ClientError, RoutewareError) as error:
        if isinstance(error, PolicyError) or (failed := record_of(error)) is None:
            raise
        return _answer(failed, _since(start, speed_up))
    return _answer(record, _since(start, speed_up))


async def in_flight(count: int, work: Callable[[int], Awaitable[T]], on_done: Callable[[], None]) -> list[T]:
    """Return the results of ``work`` for 0, 1, ..., so many at once, in their order.

    Raises the first error itself: a group of twenty times the same says no more.
    """
    numbers, results = iter(range(count)), dict[int, T]()

    async def worker() -> None:
        for number in numbers:
            results[number] = await work(number)
            on_done()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(CONCURRENCY, count)):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [results[number] for number in range(count)]


def _answer(record: CallRecord, took_ms: float) -> Answer:
    return Answer(
        took_ms=took_ms,
        answered=record.outcome == "succeeded",
        cost_nanos=nanos(record.cost_usd or 0),
        uncertain_nanos=None if record.uncertain_usd is None else nanos(record.uncertain_usd),
        wasted_nanos=None if record.wasted_usd is None else nanos(record.wasted_usd),
        attempts=sum(attempt.status is not AttemptStatus.SKIPPED for attempt in record.attempts),
        raced=any(attempt.trigger is AttemptTrigger.RACE for attempt in record.attempts),
        record=record,
    )


def _since(start: float, speed_up: float) -> float:
    return (perf_counter() - start) * 1000 * speed_up
