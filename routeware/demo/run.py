"""The same requests twice: bare to the first provider, and routed along the whole chain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from time import perf_counter
from typing import TypeVar

import aiohttp
import attrs
from opentelemetry.sdk.trace import ReadableSpan

from routeware import (
    AttemptStatus,
    CallRecord,
    Link,
    PolicyError,
    Price,
    Routed,
    RoutewareError,
    RoutingPolicy,
    record_of,
    session,
)
from routeware.demo import spans, tally
from routeware.demo.client import Client
from routeware.demo.facts import packaged_facts
from routeware.demo.launch import providers
from routeware.demo.policies import Prices, check_providers, sped_up
from routeware.demo.tally import Answer, Column, Money
from routeware.money import nanos

__all__ = ["CONCURRENCY", "SPEED_UP", "Result", "Stage", "run"]

T = TypeVar("T")


class Stage(StrEnum):
    """Which of the two runs."""

    BARE = "bare"
    ROUTED = "routed"


SPEED_UP = 10.0
"""How much faster than recorded the providers are. More, and the caller's own time per request would show."""
CONCURRENCY = 20
"""Requests in flight at once."""
ALLOWANCE_USD = 0.02
"""What the session allows per request: more than any one of them can cost, even if all its links are tried."""


@attrs.frozen(kw_only=True)
class Result:
    """What a run gave. All times are the providers' own.

    Attributes:
        seed: what was drawn.
        policy: the policy, as given.
        bare: the requests to the first provider alone.
        routed: the same requests along the chain.
        money: the records' sums beside the session's.
        call: the record of the call that shows most; ``None`` where nothing was recorded.
        spans: of all routed calls.
    """

    seed: int
    policy: RoutingPolicy
    bare: Column
    routed: Column
    money: Money
    call: CallRecord | None
    spans: tuple[ReadableSpan, ...]

    def spans_of_call(self) -> tuple[ReadableSpan, ...]:
        """The spans of :attr:`call`; none where it was not traced."""
        traced = self.call.trace_id if self.call else None
        return spans.of_trace(self.spans, traced) if traced else ()


async def run(policy: RoutingPolicy, *, requests: int, seed: int, on_done: Callable[[Stage], None]) -> Result:
    """Start the providers, send them ``requests`` requests bare and then routed, and add up.

    Args:
        policy: in the providers' own time.
        requests: how many, at least 1.
        seed: what is drawn for them.
        on_done: told after each request, which of the two it was.

    Raises:
        DemoError: the providers do not start, or a link has a provider that there is not.
        PolicyError: the policy cannot be used here.
        NoSessionError: likewise.
    """
    facts = packaged_facts()
    check_providers(policy, facts)
    recorder = spans.Recorder()
    limit_usd = ALLOWANCE_USD * requests
    async with providers(seed, SPEED_UP) as urls:
        async with _http() as http:
            bare = await _bare(Client(http, urls, facts), policy.chain[0], requests, on_done)
        async with _http() as http, session("demo", limit_usd=limit_usd) as spending:
            ask = Client(http, urls, facts).routed(sped_up(policy, SPEED_UP), recorder.tracer_provider)
            answers = await _in_flight(requests, lambda number: _ask(ask, number), lambda: on_done(Stage.ROUTED))
    records = [answer.record for answer in answers if answer.record is not None]
    call = tally.most_telling(records)
    return Result(
        seed=seed,
        policy=policy,
        bare=tally.tally(bare),
        routed=tally.tally(answers),
        money=tally.money(answers, spending.spent_usd, spending.uncertain_usd, limit_usd),
        call=None if call is None else tally.in_own_time(call, SPEED_UP),
        spans=spans.in_own_time(recorder.spans(), SPEED_UP),
    )


def _http() -> aiohttp.ClientSession:
    # No bound of its own: the runs are bounded alike, and a race must not queue behind its rival.
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None))


async def _bare(client: Client, link: Link, requests: int, on_done: Callable[[Stage], None]) -> list[Answer]:
    ask, price = client.bare(link), link.price or Prices().find(link.provider, link.model) or Price()

    async def once(number: int) -> Answer:
        start = perf_counter()
        try:
            cost = price.cost_nanos(await ask(number))
        except aiohttp.ClientResponseError:
            return Answer(took_ms=_since(start), answered=False, cost_nanos=0)
        except aiohttp.ClientError:
            # Hung up: it may be on the bill, and nobody here keeps books.
            return Answer(took_ms=_since(start), answered=False, cost_nanos=0, uncertain_nanos=None, wasted_nanos=None)
        return Answer(took_ms=_since(start), answered=True, cost_nanos=cost or 0)

    return await _in_flight(requests, once, lambda: on_done(Stage.BARE))


async def _ask(ask: Routed[[int], str], number: int) -> Answer:
    start = perf_counter()
    try:
        record = (await ask.outcome(number)).record
    except (aiohttp.ClientError, RoutewareError) as error:
        # A policy that cannot be used is no provider's failure, and every other request would meet it, too.
        if isinstance(error, PolicyError) or (failed := record_of(error)) is None:
            raise
        return _answer(failed, _since(start))
    return _answer(record, _since(start))


def _answer(record: CallRecord, took_ms: float) -> Answer:
    return Answer(
        took_ms=took_ms,
        answered=record.outcome == "succeeded",
        cost_nanos=nanos(record.cost_usd or 0),
        uncertain_nanos=None if record.uncertain_usd is None else nanos(record.uncertain_usd),
        wasted_nanos=None if record.wasted_usd is None else nanos(record.wasted_usd),
        attempts=sum(attempt.status is not AttemptStatus.SKIPPED for attempt in record.attempts),
        record=record,
    )


def _since(start: float) -> float:
    """Milliseconds since ``start``, in the providers' own time."""
    return (perf_counter() - start) * 1000 * SPEED_UP


async def _in_flight(count: int, work: Callable[[int], Awaitable[T]], on_done: Callable[[], None]) -> list[T]:
    """The results of ``work`` for 0, 1, ..., so many at once, in their order.

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
