"""What benchmarks/overhead.py compares: routed calls, the same work written by hand, and what peers do for it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind

import routeware
from routeware import Attempt, MemoryLedger, RoutingPolicy, routed
from routeware.budget import Balance, Tally

PRICE = {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0}
REPLY = {"model": "small", "usage": {"prompt_tokens": 12, "completion_tokens": 34}}

Subject = Callable[[], Awaitable[object]]


class TooManyRequestsError(Exception):
    """What an SDK raises for a 429."""

    def __init__(self) -> None:
        super().__init__("429")
        self.status_code = 429


# By hand.


async def bare(_attempt: object, _prompt: str) -> str:
    return "answer"


async def suspended(_attempt: object, _prompt: str) -> str:
    await asyncio.sleep(0)
    return "answer"


async def by_timeout() -> str:
    async with asyncio.timeout(120):
        return await bare(None, "hi")


async def by_timeout_waiting(gate: asyncio.Future[None]) -> str:
    async with asyncio.timeout(120):
        await gate
        return "answer"


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
    """The two spans of a call with all the attributes that routeware gives them."""
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
                "routeware.call.raced": False,
                "routeware.call.failed_over": False,
                "routeware.call.trail": "small answered",
            }
        )
        outer.end()
        return answer

    return call


# Routed.


def chain(length: int = 2, *, priced: bool = False) -> list[Any]:
    """A chain of so many links."""
    names = ["primary", "backup", *(f"link{number}" for number in range(3, length + 1))][:length]
    extra: dict[str, Any] = {"price": PRICE, "max_output_tokens": 100} if priced else {}
    return [{"provider": name, "model": "small", **extra} for name in names]


def asking(links: list[Any], *, failing: int = 0, waits: bool = False, reports: bool = False, **options: Any) -> Any:
    """A routed function over ``links``, of which the first ones fail."""
    policy = RoutingPolicy(chain=links, failover=options.pop("failover", {}))

    @routed(policy, name="ask", **options)
    async def ask(attempt: Attempt, _prompt: str) -> str:
        if attempt.number <= failing:
            raise TooManyRequestsError
        if waits:
            await asyncio.sleep(0)
        if reports:
            attempt.report(REPLY)
        return "answer"

    return ask


def waiting(**options: Any) -> Any:
    """A routed function whose provider waits until a gate opens."""

    @routed(RoutingPolicy(chain=chain()), name="ask", **options)
    async def ask(_attempt: Attempt, gate: asyncio.Future[None]) -> str:
        await gate
        return "answer"

    return ask


def in_flight(number: int, call: Callable[[asyncio.Future[None]], Any]) -> Subject:
    """So many calls in flight at once, from their start to their end."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        gate = loop.create_future()
        tasks = [loop.create_task(call(gate)) for _ in range(number)]
        for _ in range(3):
            await asyncio.sleep(0)
        gate.set_result(None)
        await asyncio.wait(tasks)

    return run


def in_session_of_its_own(call: Subject, **options: Any) -> Subject:
    """One call in a session that is opened for it."""

    async def run() -> None:
        async with routeware.session("benchmark", **options):
            await call()

    return run


def failed(call: Subject) -> Subject:
    """A call whose error its caller handles."""

    async def run() -> None:
        with suppress(TooManyRequestsError, routeware.BudgetExceededError):
            await call()

    return run


class SuspendingLedger(MemoryLedger):
    """A ledger that is asked as one in another process is."""

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        await asyncio.sleep(0)
        return await super().hold(id, tallies, nanos)


@asynccontextmanager
async def nested(depth: int) -> AsyncIterator[None]:
    """So many sessions around what is timed."""
    async with AsyncExitStack() as stack:
        for number in range(depth):
            await stack.enter_async_context(routeware.session(f"benchmark {number}"))
        yield


# Peers, where they are installed.


def by_tenacity() -> dict[str, Subject]:
    """Retries: a call that succeeds, and one that fails once."""
    try:
        tenacity: Any = importlib.import_module("tenacity")
    except ImportError:
        return {}
    options = {"stop": tenacity.stop_after_attempt(3), "wait": tenacity.wait_none()}
    retry = tenacity.retry(retry=tenacity.retry_if_exception_type(TooManyRequestsError), **options)
    failed: list[None] = []

    @retry
    async def succeeds(prompt: str) -> str:
        return await bare(None, prompt)

    @retry
    async def fails_once(prompt: str) -> str:
        if not failed:
            failed.append(None)
            raise TooManyRequestsError
        failed.clear()
        return await bare(None, prompt)

    return {"tenacity, success": lambda: succeeds("hi"), "tenacity, one retry": lambda: fails_once("hi")}


def by_hedge() -> dict[str, Subject]:
    """hedge-python's scheduler, below its transports, with the delay that it learns; the primary answers."""
    try:
        hedge: Any = importlib.import_module("hedge")
        base: Any = importlib.import_module("hedge.transport._base")
    except ImportError:
        return {}
    scheduler: list[Any] = []

    async def call() -> object:
        if not scheduler:
            scheduler.append(base.HedgeScheduler(hedge.HedgeConfig(min_delay=1.0)))
        sketch = scheduler[0].sketch_for("host")

        async def request() -> str:
            return await suspended(None, "hi")

        return await scheduler[0].execute_with_hedge(
            "host", request, request, lambda _result, elapsed: sketch.add(elapsed)
        )

    return {"hedge-python, adaptive": call}
