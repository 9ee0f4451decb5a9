"""Spans in context: what is inside what, and what callers add."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult

import routeware
from routeware import Attempt, RoutingPolicy, Usage, routed
from tests.fakes.providers import (
    FatalError,
    answers,
    busy,
    cancelled_at,
    fails,
    hangs,
    pause,
    script,
    stubborn,
)
from tests.fakes.tracing import Traces, attributes


@pytest.fixture
def traces() -> Traces:
    """A tracer provider of the test's own."""
    return Traces()


async def test_what_the_provider_does_is_inside_its_attempt(traces: Traces) -> None:
    """Spans of an HTTP client nest under the attempt that made the request, in a race, too."""
    tracer = traces.provider.get_tracer("client")

    async def request(attempt: Attempt) -> str:
        with tracer.start_as_current_span(f"POST {attempt.label}"):
            await pause(100)
        return "done"

    await script(a=request, b=request).ask(race_after_ms=50, options=traces.options)()

    for label in ("a", "b"):
        (inner,) = [span for span in traces.spans if span.name == f"POST {label}"]
        assert inner.parent is not None
        assert inner.parent.span_id == traces.attempts[label].context.span_id


async def test_a_call_is_inside_its_callers_span(traces: Traces) -> None:
    """And leaves the caller's context as it was."""
    with traces.provider.get_tracer("app").start_as_current_span("request") as request:
        await script(a=busy(), b=answers(0)).ask(options=traces.options)()
        await script(a=hangs(), b=answers(0)).ask(race_after_ms=10, options=traces.options)()
        assert trace.get_current_span() is request

    calls = [span for span in traces.spans if span.name == "routeware.call ask"]
    assert [span.parent.span_id for span in calls if span.parent] == [request.get_span_context().span_id] * 2


async def test_the_attempt_has_its_span(traces: Traces) -> None:
    """For attributes of one's own; it is the current one, too."""

    async def run(attempt: Attempt) -> str:
        assert trace.get_current_span() is attempt.span
        attempt.span.set_attribute("mine", 1)
        return "done"

    await script(a=run).ask(options=traces.options)()

    assert attributes(traces.attempts["a"])["mine"] == 1


async def test_attributes_of_the_session_and_the_call_are_on_the_call(traces: Traces) -> None:
    """The inner session's over the outer's, the call's own over both."""
    ask = script(a=answers(0)).ask(options=traces.options)

    async with (
        routeware.session(attributes={"tenant": "7", "plan": "free", "zone": "eu"}),
        routeware.session(attributes={"plan": "paid", "user": "ann"}),
    ):
        await ask.with_options(attributes={"user": "bob", "route": "/ask"})()

    found = attributes(traces.call)
    assert {key: found[key] for key in ("tenant", "plan", "zone", "user", "route")} == {
        "tenant": "7",
        "plan": "paid",
        "zone": "eu",
        "user": "bob",
        "route": "/ask",
    }


async def test_the_record_knows_its_trace(traces: Traces) -> None:
    """Hexadecimal, as backends print it; `None` if the call was not traced."""
    outcome = await script(a=answers(0)).ask(options=traces.options).outcome()
    untraced = await script(a=answers(0)).ask().outcome()

    assert outcome.record.trace_id == f"{traces.call.context.trace_id:032x}"
    assert untraced.record.trace_id is None


async def test_a_call_that_is_sampled_out_works_as_ever() -> None:
    """Nothing is recorded, and nothing is different."""
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    ask = script(a=busy(), b=hangs(), c=answers(0)).ask(race_after_ms=10, options={"tracer_provider": provider})

    assert await ask() == "c"


async def test_nested_calls_nest(traces: Traces) -> None:
    """The inner call is inside the outer attempt."""

    @routed(RoutingPolicy(chain=["x:m"]), tracer_provider=traces.provider, name="inner")
    async def inner(attempt: Attempt) -> str:
        return "done"

    async def nest(attempt: Attempt) -> str:
        return await inner()

    await script(a=nest).ask(options={**traces.options, "name": "outer"})()

    (call,) = [span for span in traces.spans if span.name == "routeware.call inner"]
    assert call.parent is not None
    assert call.parent.span_id == traces.attempts["a"].context.span_id


@pytest.mark.parametrize("racing", [None, 10])
@pytest.mark.parametrize("cleanup", [0, 30, 1000])
@pytest.mark.parametrize("moments", [(), (5,), (15,), (15, 20), (40, 50), (120,)])
async def test_every_span_is_ended_once_under_every_outcome(
    traces: Traces,
    caplog: pytest.LogCaptureFixture,
    racing: float | None,
    cleanup: float,
    moments: tuple[float, ...],
) -> None:
    """Success, failure, time-out, deadline, cancellation and stragglers."""
    slow = stubborn(cleanup, hangs()) if cleanup else hangs()
    for last in (answers(10), fails(10, FatalError()), hangs()):
        providers = script(a=slow, b=busy(5), c=last)
        call = providers.ask(
            race_after_ms=racing, timeouts={"a": 20}, deadline_ms=100, options=traces.options, race_width=3
        )()
        await cancelled_at(call, *moments)
        await pause(2000)

    ids = [span.context.span_id for span in traces.spans]
    assert len(ids) == len(set(ids))
    assert sum(span.name == "routeware.call ask" for span in traces.spans) == 3
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


async def test_a_tracer_provider_that_does_nothing_costs_no_trace() -> None:
    """The record says that there is none."""
    outcome = await script(a=answers(0)).ask(options={"tracer_provider": trace.NoOpTracerProvider()}).outcome()

    assert outcome.record.trace_id is None


class CallsDropped(Sampler):
    """Drops the spans of calls, and records those of attempts all the same."""

    def should_sample(self, *given: Any, **named: Any) -> SamplingResult:
        """Decide by the name."""
        name = named.get("name", given[2] if len(given) > 2 else "")
        return SamplingResult(Decision.DROP if name.startswith("routeware.call") else Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        """Name it."""
        return "calls dropped"


@dataclass
class Counting:
    """A price that counts how often it is asked what an attempt cost."""

    asked: int = 0

    def cost_usd(self, usage: Usage, at: datetime) -> float:
        """Count."""
        self.asked += 1
        return 0.5

    def price(self, at: datetime) -> None:
        """Say nothing."""

    def find(self, provider: str, model: str) -> Counting:
        """Be the book as well."""
        return self


@pytest.mark.parametrize(("sampler", "times"), [(ALWAYS_OFF, 0), (CallsDropped(), 1)])
async def test_for_spans_that_a_sampler_drops_nothing_is_worked_out(sampler: Sampler, times: int) -> None:
    """Most programs sample a hundredth of their calls; an attempt's span may be recorded without its call's."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    price = Counting()

    @routed(RoutingPolicy(chain=["p:m"]), prices=price, tracer_provider=provider)
    async def ask(attempt: Attempt) -> str:
        attempt.report_usage(input_tokens=1, output_tokens=1)
        return "answer"

    assert await ask() == "answer"
    assert price.asked == times
    assert [(span.attributes or {})["routeware.cost.usd"] for span in exporter.get_finished_spans()] == [0.5] * times
