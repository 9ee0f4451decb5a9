"""A scene's requests twice: bare to the first provider, and routed along the whole chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import aiohttp
import attrs
from opentelemetry.sdk.trace import ReadableSpan

from routeware import CallRecord, Link, Price, session
from routeware.demo import spans, tally
from routeware.demo.asking import Asked, Client, ask_bare, ask_routed, in_flight
from routeware.demo.draws import Draws, packaged_facts
from routeware.demo.scenes import Prices, Scene, check_providers, sped_up
from routeware.demo.servers import providers
from routeware.demo.tally import Answer, Change, Column, Money, Pace, changes, measured_lag
from routeware.threshold import LatencyReport

__all__ = ["SPEED_UP", "Result", "Stage", "most_telling", "run"]

OnDone = Callable[[Scene, "Stage"], None]


class Stage(StrEnum):
    """Which of the two runs."""

    BARE = "bare"
    ROUTED = "routed"


SPEED_UP = 10.0
"""How much faster than recorded the providers are at most: beyond it the caller's own time per request would show."""
ALLOWANCE_USD = 0.02
"""What the session allows per request: more than any one of them can cost, even if all its links are tried."""
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@attrs.frozen(kw_only=True)
class Result:
    """The outcome of a scene. All times are the providers' own.

    Attributes:
        scene: the scene.
        seed: what was drawn.
        speed_up: how much faster than recorded the providers were.
        bare: the requests to the first provider alone.
        routed: the same requests along the chain.
        changes: from the one to the other, by quantile.
        pace: whether this machine kept up.
        money: the records' sums and the session's.
        raced_at: the numbers of the requests that raced.
        met_incident: calls that asked the first provider during its incident.
        report: what the policy's target has led to; ``None`` without one.
        call: the record of the call that shows most; ``None`` if nothing was recorded.
        spans: of all routed calls.
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
    scenes: Sequence[Scene], *, requests: int, seed: int, on_done: OnDone, speed_up: float = SPEED_UP
) -> tuple[Result, ...]:
    """Start the providers, send them each scene's requests bare and then routed, and add up.

    Args:
        scenes: the scenes.
        requests: how many requests each has, at least 1.
        seed: what is drawn for them.
        on_done: told after each request, of which scene and which of the two runs it was.
        speed_up: how much faster than recorded the providers are.

    Raises:
        DemoError: the providers do not start, or a link has a provider that there is not.
        PolicyError: a policy cannot be used here.
        NoSessionError: a policy has ``session_usd`` and no session is open.
    """
    for scene in scenes:
        check_providers(scene.policy, packaged_facts())
    async with providers(seed, speed_up) as urls:
        runs = [_Run(scene, urls, requests, seed, speed_up, on_done) for scene in scenes]
        return tuple([await each.result() for each in runs])


@attrs.frozen
class _Run:
    """One scene, about to be run."""

    scene: Scene
    urls: Mapping[str, str]
    requests: int
    seed: int
    speed_up: float
    on_done: OnDone

    async def result(self) -> Result:
        """Run it, and add up."""
        recorder, limit_usd = spans.Recorder(), ALLOWANCE_USD * self.requests
        async with measured_lag() as lags_s:
            async with _http() as http:
                bare = await self._bare(self._client(http))
            async with _http() as http, session("demo", limit_usd=limit_usd) as spending:
                ask = self._client(http).routed(sped_up(self.scene.policy, self.speed_up), recorder.tracer_provider)
                routed = await self._routed(ask)
        call = tally.most_telling(answer.record for answer in routed if answer.record is not None)
        before, after = ([answer.waited_ms for answer in column] for column in (bare, routed))
        target_ms = self.scene.policy.latency.target_ms
        return Result(
            scene=self.scene,
            seed=self.seed,
            speed_up=self.speed_up,
            bare=tally.tally(bare, target_ms),
            routed=tally.tally(routed, target_ms),
            changes=changes(before, after, QUANTILES, seed=self.seed),
            pace=Pace.of(lags_s, self._overheads(bare), self.speed_up),
            money=tally.money(routed, spending.spent_usd, spending.uncertain_usd, limit_usd),
            raced_at=tuple(number for number, answer in enumerate(routed) if answer.raced),
            met_incident=sum(routed[number].asked(self.scene.provider) for number in self.scene.during(self.requests)),
            report=ask.latency_report(),
            call=None if call is None else tally.in_own_time(call, self.speed_up),
            spans=spans.in_own_time(recorder.spans(), self.speed_up),
        )

    def _client(self, http: aiohttp.ClientSession) -> Client:
        return Client(http, self.urls, packaged_facts(), self.scene, self.scene.during(self.requests))

    async def _bare(self, client: Client) -> list[Answer]:
        ask, price = client.bare(self.scene.policy.chain[0]), _price(self.scene.policy.chain[0])
        idle_ms = self.scene.policy.failover.idle_timeout_ms

        async def once(number: int) -> Answer:
            return await ask_bare(ask, price, number, self.speed_up, idle_ms)

        return await in_flight(self.requests, once, lambda: self.on_done(self.scene, Stage.BARE))

    async def _routed(self, ask: Asked) -> list[Answer]:
        async def once(number: int) -> Answer:
            return await ask_routed(ask, number, self.speed_up)

        return await in_flight(self.requests, once, lambda: self.on_done(self.scene, Stage.ROUTED))

    def _overheads(self, bare: Sequence[Answer]) -> list[float]:
        """Return how much longer each bare request took than its provider meant it to, in the providers' time."""
        draws, during = Draws(packaged_facts(), self.seed), self.scene.during(self.requests)
        drawn = (draws.of(number, self.scene.incident if number in during else None) for number in range(self.requests))
        return [answer.took_ms - draw[self.scene.provider].after_ms for answer, draw in zip(bare, drawn, strict=True)]


def _price(link: Link) -> Price:
    return link.price or Prices().find(link.provider, link.model) or Price()


def _http() -> aiohttp.ClientSession:
    # No bound of its own: the runs are bounded alike, and a race must not queue behind its rival.
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None))
