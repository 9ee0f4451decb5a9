"""Ask one request, bare or routed by the same function, and take its time; keep so many in flight."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, TypeVar

import aiohttp
import attrs
from opentelemetry.trace import TracerProvider

from routeware import (
    Attempt,
    AttemptStatus,
    AttemptTrigger,
    CallRecord,
    Link,
    PolicyError,
    Price,
    Routed,
    RoutedGenerator,
    RoutewareError,
    RoutingPolicy,
    Usage,
    record_of,
    routed,
)
from routeware.demo.draws import Facts
from routeware.demo.scenes import Prices, Scene
from routeware.demo.servers import INCIDENT_HEADER, REQUEST_HEADER
from routeware.demo.tally import Answer
from routeware.money import nanos

__all__ = ["CONCURRENCY", "Asked", "Client", "Reply", "ask_bare", "ask_routed", "in_flight"]

Reply = dict[str, Any]
"""An answer's body, or one event of a stream."""

Asked = Routed[[int], Reply] | RoutedGenerator[[int], Reply]

_DATA = b"data: {"


@attrs.frozen
class Client:
    """A program that calls providers: it has an HTTP session and knows where they are.

    Attributes:
        http: the session.
        urls: provider to URL.
        facts: what the providers are like; a program would know its prompts and their length.
        scene: what befalls them.
        during: the requests that it befalls.
    """

    http: aiohttp.ClientSession
    urls: Mapping[str, str]
    facts: Facts
    scene: Scene
    during: range

    def bare(self, link: Link) -> Callable[[int], AsyncGenerator[Reply]]:
        """Return a function that asks ``link`` alone."""
        return lambda number: self._replies(link.provider, link.model, number)

    def routed(self, policy: RoutingPolicy, tracer_provider: TracerProvider) -> Asked:
        """Return the decorated function."""
        settings: Any = {"name": "ask", "prices": Prices(), "tracer_provider": tracer_provider}

        async def streamed(attempt: Attempt, number: int) -> AsyncGenerator[Reply]:
            async for event in self._replies(attempt.provider, attempt.model, number):
                yield attempt.report(event)

        async def whole(attempt: Attempt, number: int) -> Reply:
            reply: Reply = {}
            async for reply in self._replies(attempt.provider, attempt.model, number):
                attempt.report(reply)
            return reply

        ask: Asked = routed(policy, **settings)(streamed) if self.scene.streams else routed(policy, **settings)(whole)

        @ask.estimate
        def projection(link: Link, _number: int) -> Usage:
            return Usage(input_tokens=self.facts.input_tokens, output_tokens=link.max_output_tokens or 1024)

        return ask

    async def _replies(self, provider: str, model: str, number: int) -> AsyncGenerator[Reply]:
        """Ask for one chat completion: yield its body, or its events where the scene is about streams.

        Raises:
            aiohttp.ClientError: the provider refused, failed or hung up.
        """
        prompt = {"model": model, "messages": [{"role": "user", "content": f"question {number}"}]}
        headers = {REQUEST_HEADER: str(number)} | ({"Accept": "text/event-stream"} if self.scene.streams else {})
        if self.scene.incident is not None and provider == self.scene.provider and number in self.during:
            headers[INCIDENT_HEADER] = self.scene.incident.value
        asked = {**prompt, "stream": self.scene.streams}
        async with self.http.post(self.urls[provider], json=asked, headers=headers) as reply:
            reply.raise_for_status()
            if not self.scene.streams:
                yield await reply.json()
                return
            async for line in reply.content:
                if line.startswith(_DATA):
                    yield json.loads(line[len(_DATA) - 1 :])


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
