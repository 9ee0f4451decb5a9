"""A span processor, sampler or exporter that raises is logged once and fails no call."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Sampler

import routeware
from routeware import Attempt
from tests.fakes.providers import HTTPStatusError, answers, busy, fails, hangs, script
from tests.fakes.tracing import Traces


class Starting(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("sk-123")


class StartingAttempts(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if not span.name.startswith("routeware.call"):
            raise RuntimeError("sk-123")


class Ending(SpanProcessor):
    def on_end(self, span: Any) -> None:
        raise RuntimeError("sk-123")


class Sampling(Sampler):
    def should_sample(self, *_arguments: Any, **_named: Any) -> Any:
        raise RuntimeError("sk-123")

    def get_description(self) -> str:
        return "broken"


def provider(broken: Any) -> TracerProvider:
    """Return a provider with one broken part."""
    if issubclass(broken, Sampler):
        return TracerProvider(sampler=broken(), shutdown_on_exit=False)
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(broken())
    return tracers


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what routeware logged, as a handler prints it."""
    return [caplog.handler.format(one) for one in caplog.records if one.name == "routeware"]


BROKEN = pytest.mark.parametrize("broken", [Starting, StartingAttempts, Ending, Sampling])


@BROKEN
async def test_calls_are_answered(broken: Any, caplog: pytest.LogCaptureFixture) -> None:
    """By the first link, after a failover, and by a race; one warning says what is broken, without its text."""
    options = {"tracer_provider": provider(broken)}

    async with routeware.session("day", limit_usd=10) as spending:
        assert await script(a=answers(10)).ask(options=options, usd={"a": 0.25})() == "a"
        assert await script(a=busy(10), b=answers(10)).ask(options=options, usd={"a": 0, "b": 0})() == "b"
        raced = script(a=hangs(), b=answers(10)).ask(options=options, race_after_ms=20, usd={"a": 0.25, "b": 0.25})
        assert await raced() == "b"

    assert (spending.uncertain_usd, spending.reserved_usd) == (0.75, 0)
    assert len([one for one in said(caplog) if "RuntimeError" in one]) >= 1
    assert not any("sk-123" in one for one in said(caplog))


async def test_spans_below_an_attempt_that_has_none_belong_to_the_call() -> None:
    """An SDK's own span is no root of another trace; what the function sets on its attempt's span is on no span."""
    traces = Traces()
    traces.provider.add_span_processor(StartingAttempts())

    async def asks(attempt: Attempt) -> str:
        attempt.span.set_attribute("mine", 1)
        trace.get_current_span().set_attribute("mine", 1)
        return format(trace.get_current_span().get_span_context().span_id, "x")

    below = await script(a=asks).ask(options=traces.options)()

    (call,) = traces.spans
    assert below == format(call.get_span_context().span_id, "x")
    assert "mine" not in call.attributes


@BROKEN
async def test_it_is_logged_once(broken: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand calls would say the same thing thousands of times."""
    providers = script(a=answers(10))
    ask = providers.ask(options={"tracer_provider": provider(broken)})

    for _ in range(10):
        providers.again()
        await ask()

    (line,) = said(caplog)
    assert "CallTrace failed (RuntimeError); calls go on without it" in line


@BROKEN
async def test_a_failed_call_raises_the_providers_error(broken: Any) -> None:
    """As it does without a trace."""
    with pytest.raises(HTTPStatusError):
        await script(a=fails(10, HTTPStatusError(400))).ask(options={"tracer_provider": provider(broken)})()


class Events(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        def add_event(*_arguments: Any, **_named: Any) -> None:
            raise RuntimeError("sk-123")

        span.add_event = add_event


async def test_a_span_that_takes_no_events_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Neither those of a race, nor the exception of a failed attempt; its spans end."""
    traces = Traces()
    traces.provider.add_span_processor(Events())
    options = traces.options

    assert await script(a=hangs(), b=answers(10)).ask(options=options, race_after_ms=20)() == "b"
    assert await script(a=busy(10), b=answers(10)).ask(options=options)() == "b"

    lines = said(caplog)
    assert len(lines) == 2  # one for each function
    assert len(traces.spans) == 6
    assert all(line.endswith("CallTrace failed (RuntimeError); calls go on without it") for line in lines)
