"""A scene's requests twice, so many in flight: bare to the first provider, and routed along the whole chain."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from time import perf_counter
from typing import Any, TypeVar

import aiohttp
import attrs
from opentelemetry.sdk.trace import ReadableSpan
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
    session,
)
from routeware.demo import spans, tally
from routeware.demo.draws import Draws, packaged_facts
from routeware.demo.scenes import Prices, Scene, check_providers, in_own_time, sped_up
from routeware.demo.servers import EVENTS, INCIDENT_HEADER, REQUEST_HEADER, providers
from routeware.demo.tally import Answer, Change, Column, Money, Pace, changes, measured_lag
from routeware.money import nanos
from routeware.threshold import LatencyReport

__all__ = ["CONCURRENCY", "Reply", "Result", "Stage", "ask_bare", "ask_routed", "in_flight", "most_telling", "run"]

T = TypeVar("T")

Reply = dict[str, Any]
"""An answer's body, or one event of a stream."""

Asked = Routed[[int], Reply] | RoutedGenerator[[int], Reply]

CONCURRENCY = 20
"""Requests in flight at once."""

_DATA = b"data: {"
# What the session allows per request: more than any one of them can cost, even if all its links are tried.
_ALLOWANCE_USD = 0.02
_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@attrs.frozen
class _Client:
    """A program that calls providers, which an incident befalls ``during`` some of the requests."""

    http: aiohttp.ClientSession
    urls: Mapping[str, str]
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
            # A program would know its prompts and their length.
            return Usage(input_tokens=packaged_facts().input_tokens, output_tokens=link.max_output_tokens or 1024)

        return ask

    async def _replies(self, provider: str, model: str, number: int) -> AsyncGenerator[Reply]:
        """Ask for one chat completion: yield its body, or its events where the scene is about streams.

        Raises:
            aiohttp.ClientError: the provider refused, failed or hung up.
        """
        streams, incident = self.scene.streams, self.scene.incident
        headers = {REQUEST_HEADER: str(number)} | ({"Accept": EVENTS} if streams else {})
        if incident is not None and provider == self.scene.provider and number in self.during:
            headers[INCIDENT_HEADER] = incident.value
        prompt = {"model": model, "messages": [{"role": "user", "content": f"question {number}"}], "stream": streams}
        async with self.http.post(self.urls[provider], json=prompt, headers=headers) as reply:
            reply.raise_for_status()
            if not streams:
                yield await reply.json()
                return
            async for line in reply.content:
                if line.startswith(_DATA):
                    yield json.loads(line[len(_DATA) - 1 :])


async def ask_bare(
    ask: Callable[[int], AsyncIterator[Reply]], price: Price, number: int, speed_up: float, idle_ms: float | None
) -> Answer:
    """Ask the first provider alone; ``speed_up`` times the time that passes is the provider's.

    In that time, an item that comes ``idle_ms`` after the one before it is a stall.
    """
    start = last = perf_counter()
    first_ms, stalled, usage = None, False, Usage()
    try:
        async for reply in ask(number):
            stalled |= first_ms is not None and idle_ms is not None and _since(last, speed_up) > idle_ms
            first_ms, last = first_ms or _since(start, speed_up), perf_counter()
            if told := reply.get("usage"):
                usage = Usage(input_tokens=told["prompt_tokens"], output_tokens=told["completion_tokens"])
    except aiohttp.ClientResponseError:
        return Answer(took_ms=_since(start, speed_up), answered=False, cost_nanos=0)
    except aiohttp.ClientError:
        # The connection dropped. The request may be billed, and a bare caller doesn't track that.
        took_ms = _since(start, speed_up)
        return Answer(took_ms=took_ms, answered=False, cost_nanos=0, uncertain_nanos=None, wasted_nanos=None)
    took_ms = first_ms or _since(start, speed_up)
    return Answer(took_ms=took_ms, answered=True, cost_nanos=price.cost_nanos(usage) or 0, stalled=stalled)


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
        record = failed
    return _answer(record, _since(start, speed_up), speed_up)


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


OnDone = Callable[[Scene, "Stage"], None]


class Stage(StrEnum):
    """Which of the two runs."""

    BARE = "bare"
    ROUTED = "routed"


@attrs.frozen(kw_only=True)
class Result:
    """The outcome of a scene, in the providers' own time.

    ``changes`` lead from bare to routed, by quantile; ``raced_at`` are numbers of requests. ``met_incident`` counts the
    routed calls that asked the first provider during its incident. ``call`` is the record that shows most, if there is
    one; ``spans`` are those of all routed calls.
    """

    scene: Scene
    seed: int
    speed_up: float
    bare: Column
    routed: Column
    changes: Mapping[str, Change]
    pace: Pace
    money: Money
    raced_at: tuple[int, ...]
    met_incident: int
    report: LatencyReport | None
    call: CallRecord | None
    spans: tuple[ReadableSpan, ...]

    def spans_of_call(self) -> tuple[ReadableSpan, ...]:
        """Return the spans of :attr:`call`; none where it was not traced."""
        traced = self.call.trace_id if self.call else None
        return spans.of_trace(self.spans, traced) if traced else ()


def most_telling(results: Sequence[Result]) -> Result:
    """Return the scene whose call shows most; the first of its like."""
    call = tally.most_telling(result.call for result in results if result.call is not None)
    return next((result for result in results if result.call is call), results[0])


async def run(
    scenes: Sequence[Scene], *, requests: int, seed: int, on_done: OnDone, speed_up: float
) -> tuple[Result, ...]:
    """Start the providers, send them each scene's requests bare and then routed, and add up.

    ``on_done`` is called after each request. The providers are ``speed_up`` times as fast as recorded; beyond 10, the
    caller's own time would show.

    Raises:
        DemoError: the providers do not start, or a link has a provider that there is not.
        PolicyError: a policy cannot be used here.
        NoSessionError: a policy has ``session_usd`` and no session is open.
    """
    for scene in scenes:
        check_providers(scene.policy, packaged_facts())
    async with providers(seed, speed_up) as urls:
        return tuple([await _result(scene, urls, requests, seed, speed_up, on_done) for scene in scenes])


async def _result(
    scene: Scene, urls: Mapping[str, str], requests: int, seed: int, speed_up: float, on_done: OnDone
) -> Result:
    during, recorder, limit_usd = scene.during(requests), spans.Recorder(), _ALLOWANCE_USD * requests
    async with measured_lag() as lags_s:
        async with _http() as http:
            bare = await _bare(_Client(http, urls, scene, during), requests, speed_up, on_done)
        async with _http() as http, session("demo", limit_usd=limit_usd) as spending:
            ask = _Client(http, urls, scene, during).routed(sped_up(scene.policy, speed_up), recorder.tracer_provider)
            routed = await in_flight(
                requests, lambda number: ask_routed(ask, number, speed_up), lambda: on_done(scene, Stage.ROUTED)
            )
    call = tally.most_telling(answer.record for answer in routed if answer.record is not None)
    before, after = ([answer.waited_ms for answer in column] for column in (bare, routed))
    target_ms = scene.policy.latency.target_ms
    return Result(
        scene=scene,
        seed=seed,
        speed_up=speed_up,
        bare=tally.tally(bare, target_ms),
        routed=tally.tally(routed, target_ms),
        changes=changes(before, after, _QUANTILES, seed=seed),
        pace=Pace.of(lags_s, _overheads(scene, seed, bare), speed_up),
        money=tally.money(routed, spending.spent_usd, spending.uncertain_usd, limit_usd),
        raced_at=tuple(number for number, answer in enumerate(routed) if answer.raced),
        met_incident=sum(routed[number].asked(scene.provider) for number in during),
        report=ask.latency_report(),
        call=None if call is None else in_own_time(call, speed_up),
        spans=spans.in_own_time(recorder.spans(), speed_up),
    )


async def _bare(client: _Client, requests: int, speed_up: float, on_done: OnDone) -> list[Answer]:
    scene = client.scene
    link, idle_ms = scene.policy.chain[0], scene.policy.failover.idle_timeout_ms
    ask, price = client.bare(link), link.price or Prices().find(link.provider, link.model) or Price()
    return await in_flight(
        requests,
        lambda number: ask_bare(ask, price, number, speed_up, idle_ms),
        lambda: on_done(scene, Stage.BARE),
    )


def _overheads(scene: Scene, seed: int, bare: Sequence[Answer]) -> list[float]:
    """Return how much longer each bare request took than its provider meant it to, in the providers' time."""
    draws, during = Draws(packaged_facts(), seed), scene.during(len(bare))
    drawn = (draws.of(number, scene.incident if number in during else None) for number in range(len(bare)))
    return [answer.took_ms - draw[scene.provider].after_ms for answer, draw in zip(bare, drawn, strict=True)]


def _http() -> aiohttp.ClientSession:
    # No bound of its own: the runs are bounded alike, and a race must not queue behind its rival.
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None))
