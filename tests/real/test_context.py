"""Context that holds: what runs inside an attempt is seen inside it, and the caller's context is as it was.

On every loop that people run: asyncio's own, with eager tasks where there are any, and uvloop.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import ReadableSpan

from routeware import Attempt, RoutingPolicy, routed
from tests.fakes.tracing import Traces

mine: ContextVar[str] = ContextVar("mine", default="unset")


def eager_loop() -> asyncio.AbstractEventLoop:
    """A loop whose tasks start before ``create_task`` returns."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # since 3.12
    return loop


def uv_loop() -> asyncio.AbstractEventLoop:
    """The other loop that people run."""
    import uvloop

    return uvloop.new_event_loop()


LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    **({"eager": eager_loop} if sys.version_info >= (3, 12) else {}),
    **({"uvloop": uv_loop} if importlib.util.find_spec("uvloop") else {}),
}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine to its end, on each kind of loop."""

    def running(work: Any) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(work)

    return running


@pytest.fixture
def traces() -> Traces:
    """A tracer provider of the test's own."""
    return Traces()


class Client:
    """HTTP clients as their instrumentations make them: a span for each request, whose context goes with it."""

    def __init__(self, traces: Traces, url: str) -> None:
        self._tracer = traces.provider.get_tracer("http")
        self._url = url

    def headers(self) -> dict[str, str]:
        """The current context, as it is sent along."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier

    async def by_aiohttp(self, label: str) -> str:
        with self._tracer.start_as_current_span(f"POST {label}"):
            async with aiohttp.request("POST", self._url + label, headers=self.headers()) as reply:
                return await reply.text()

    async def by_httpx(self, label: str) -> str:
        with self._tracer.start_as_current_span(f"POST {label}"):
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.post(self._url + label, headers=self.headers())).text


SEEN: dict[str, dict[str, str]] = {}


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """A server whose path says how it answers: ``slow``, ``busy``, or at once. It remembers the headers it got."""

    async def answer(request: web.BaseRequest) -> web.Response:
        SEEN[request.path.strip("/")] = dict(request.headers)
        if "slow" in request.path:
            await asyncio.sleep(30)
        return web.Response(status=503 if "busy" in request.path else 200, text=request.path)

    runner = web.ServerRunner(web.Server(answer, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    """Each test has its own requests."""
    SEEN.clear()
    yield
    SEEN.clear()


def routed_over(traces: Traces, request: Callable[[Attempt], Awaitable[Any]], *chain: str) -> Any:
    """A decorated function over these links that fails over, and races after 30 ms."""

    @routed(RoutingPolicy(chain=chain, latency={"race_after_ms": 30}), tracer_provider=traces.provider)
    async def ask(attempt: Attempt) -> Any:
        return await request(attempt)

    return ask


def inside(traces: Traces) -> dict[str, str]:
    """The link of the attempt that each HTTP span is inside of, by the name of the span."""
    attempts = {span.context.span_id: label for label, span in traces.attempts.items()}
    return {
        span.name: attempts[span.parent.span_id]
        for span in traces.spans
        if span.name.startswith("POST ") and span.parent is not None
    }


@pytest.mark.parametrize("library", ["by_aiohttp", "by_httpx"])
def test_an_http_clients_spans_are_inside_the_attempt_that_made_the_request(
    run: Any, traces: Traces, library: str
) -> None:
    """After a failover, in a race, and in tasks of the provider function's own; servers are told the same."""

    async def main() -> None:
        async with serving() as url:
            client = Client(traces, url)

            async def request(attempt: Attempt) -> str:
                async with asyncio.TaskGroup() as group:
                    asked = group.create_task(getattr(client, library)(attempt.model))
                if attempt.model == "busy":
                    raise ConnectionError
                return str(asked.result())

            assert await routed_over(traces, request, "a:busy", "b:slow", "c:quick")() == "/quick"

    run(main())

    assert inside(traces) == {"POST busy": "a:busy", "POST slow": "b:slow", "POST quick": "c:quick"}
    sent = {label: headers["traceparent"].split("-")[2] for label, headers in SEEN.items()}
    spans = {span.name.removeprefix("POST "): f"{span.context.span_id:016x}" for span in traces.spans}
    assert sent == {label: spans[label] for label in ("busy", "slow", "quick")}


def test_the_callers_context_is_as_it_was(run: Any, traces: Traces) -> None:
    """Its span, its baggage and its variables, after success, failure, a race and a cancellation."""

    async def request(attempt: Attempt) -> str:
        assert baggage.get_baggage("tenant") == "7"
        assert mine.get() == "caller's"
        mine.set("provider's")
        context.attach(baggage.set_baggage("tenant", "8"))  # never detached: a provider's own mistake
        await asyncio.sleep(30 if attempt.model == "slow" else 0)
        if attempt.model == "fails":
            raise ValueError
        return attempt.model

    async def main() -> None:
        mine.set("caller's")
        token = context.attach(baggage.set_baggage("tenant", "7"))
        with traces.provider.get_tracer("app").start_as_current_span("request") as span:
            before = context.get_current()
            assert await routed_over(traces, request, "a:quick", "b:quick")() == "quick"
            assert await routed_over(traces, request, "a:slow", "b:quick")() == "quick"
            with suppress(ValueError):
                await routed_over(traces, request, "a:fails", "b:quick")()
            with suppress(TimeoutError):
                await asyncio.wait_for(routed_over(traces, request, "a:slow", "b:slow")(), 0.05)
            assert mine.get() == "caller's"
            assert await routed_over(traces, request, "a:quick")() == "quick"  # nothing to race: in the caller's task
            assert context.get_current() is before
            assert trace.get_current_span() is span
        context.detach(token)

    run(main())


def test_calls_side_by_side_do_not_see_each_other(run: Any, traces: Traces) -> None:
    """Each call's attempts are in its caller's trace, whatever else runs on the loop."""

    async def request(attempt: Attempt) -> str:
        await asyncio.sleep(30 if attempt.model == "slow" else 0.001)
        return attempt.model

    ask = routed_over(traces, request, "a:slow", "b:quick")
    tracer = traces.provider.get_tracer("app")

    async def one(number: int) -> None:
        with tracer.start_as_current_span(f"request {number}"):
            await ask()

    async def main() -> None:
        await asyncio.gather(*map(one, range(20)))

    run(main())

    by_trace: dict[int, list[ReadableSpan]] = {}
    for span in traces.spans:
        by_trace.setdefault(span.context.trace_id, []).append(span)
    assert len(by_trace) == 20
    assert {tuple(sorted(span.name.split()[0] for span in spans)) for spans in by_trace.values()} == {
        ("chat", "chat", "request", "routeware.call")
    }


def test_a_task_that_a_provider_leaves_behind_is_still_inside_its_attempt(run: Any, traces: Traces) -> None:
    """What it does later is told where it came from; the attempt has ended by then."""
    tracer = traces.provider.get_tracer("app")
    left: set[asyncio.Task[None]] = set()

    async def later() -> None:
        await asyncio.sleep(0.05)
        tracer.start_span("POST later").end()

    async def request(attempt: Attempt) -> str:
        left.add(asyncio.create_task(later()))
        return attempt.model

    async def main() -> None:
        await routed_over(traces, request, "a:quick")()
        await asyncio.gather(*left)

    run(main())

    assert inside(traces) == {"POST later": "a:quick"}
