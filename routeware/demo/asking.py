"""Ask one request, bare or routed, and take its time; keep so many in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import TypeVar

import aiohttp

from routeware import (
    AttemptStatus,
    AttemptTrigger,
    CallRecord,
    PolicyError,
    Price,
    RoutewareError,
    Usage,
    record_of,
)
from routeware.demo.client import Asked, Reply
from routeware.demo.tally import Answer
from routeware.money import nanos

__all__ = ["CONCURRENCY", "ask_bare", "ask_routed", "in_flight"]

T = TypeVar("T")

CONCURRENCY = 20
"""Requests in flight at once."""


async def ask_bare(
    ask: Callable[[int], AsyncIterator[Reply]], price: Price, number: int, speed_up: float, idle_ms: float | None
) -> Answer:
    """Ask the first provider alone; ``speed_up`` times the time that passes is the provider's.

    Args:
        ask: yields the answer, or the items of a stream.
        price: of the provider.
        number: of the request.
        speed_up: how much faster than recorded the provider is.
        idle_ms: how long the wait for an item may be until it counts as a stall, in the provider's time.
    """
    start = last = perf_counter()
    first_ms, stalled, usage = None, False, Usage()
    try:
        async for reply in ask(number):
            stalled |= first_ms is not None and idle_ms is not None and _since(last, speed_up) > idle_ms
            first_ms, last = first_ms or _since(start, speed_up), perf_counter()
            usage = _usage(reply) or usage
    except aiohttp.ClientResponseError:
        return Answer(took_ms=_since(start, speed_up), answered=False, cost_nanos=0)
    except aiohttp.ClientError:
        # The connection dropped. The request may be on the bill, and a bare caller keeps no books.
        took_ms = _since(start, speed_up)
        return Answer(took_ms=took_ms, answered=False, cost_nanos=0, uncertain_nanos=None, wasted_nanos=None)
    took_ms = first_ms or _since(start, speed_up)
    return Answer(took_ms=took_ms, answered=True, cost_nanos=price.cost_nanos(usage) or 0, stalled=stalled)


def _usage(reply: Reply) -> Usage | None:
    told = reply.get("usage")
    return Usage(input_tokens=told["prompt_tokens"], output_tokens=told["completion_tokens"]) if told else None


async def ask_routed(ask: Asked, number: int, speed_up: float) -> Answer:
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
        return _answer(failed, _since(start, speed_up), speed_up)
    return _answer(record, _since(start, speed_up), speed_up)


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


def _answer(record: CallRecord, took_ms: float, speed_up: float) -> Answer:
    succeeded, first_ms = record.outcome == "succeeded", record.first_item_ms
    return Answer(
        took_ms=took_ms if first_ms is None else first_ms * speed_up,
        answered=succeeded or first_ms is not None,
        stalled=first_ms is not None and not succeeded,
        cost_nanos=nanos(record.cost_usd or 0),
        uncertain_nanos=None if record.uncertain_usd is None else nanos(record.uncertain_usd),
        wasted_nanos=None if record.wasted_usd is None else nanos(record.wasted_usd),
        attempts=sum(attempt.status is not AttemptStatus.SKIPPED for attempt in record.attempts),
        raced=any(attempt.trigger is AttemptTrigger.RACE for attempt in record.attempts),
        record=record,
    )


def _since(start: float, speed_up: float) -> float:
    return (perf_counter() - start) * 1000 * speed_up
