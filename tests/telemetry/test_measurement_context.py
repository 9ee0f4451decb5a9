"""Measuring a call: from its own beginning, and without leaving anything behind in the caller's context."""

from __future__ import annotations

import logging

import pytest
from opentelemetry import trace

from tests.fakes.measuring import Measured
from tests.fakes.providers import answers, pause, script
from tests.fakes.tracing import Traces, fields_of, logged


@pytest.mark.parametrize("racing", [None, 50])
async def test_a_duration_begins_with_its_call(racing: float | None) -> None:
    """Not with the loop, or the program."""
    measured = Measured()
    await pause(60_000)

    await script(a=answers(30)).ask(race_after_ms=racing, options=measured.options)()

    (call,) = measured.points("routeware.call.duration")
    (attempt,) = measured.points("routeware.attempt.duration")
    assert call.sum == pytest.approx(0.03)
    assert attempt.sum == pytest.approx(0.03)


@pytest.mark.parametrize("racing", [None, 50])
async def test_the_callers_span_is_current_again_after_a_call_that_was_measured(
    racing: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """What is measured leads back to the call's trace, and what the caller does next to the caller's."""
    traces, measured = Traces(), Measured()
    mine = traces.provider.get_tracer("mine").start_span("mine")

    with trace.use_span(mine):
        await script(a=answers(30)).ask(race_after_ms=racing, options={**traces.options, **measured.options})()

        assert trace.get_current_span() is mine
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert caplog.records == []


async def test_a_link_that_was_skipped_has_no_line_of_an_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """It was never tried: only the refusal is told."""
    ask = script(a=answers(0), b=answers(0)).ask(usd={"a": 5, "b": 0.25}, per_call_usd=1, on_exceed="skip")

    with caplog.at_level(logging.DEBUG, "routeware"):
        assert await ask() == "b"

    lines = logged(caplog.records)
    assert [fields_of(line)["link"] for line in lines["attempt"]] == ["b"]
    assert [fields_of(line)["link"] for line in lines["budget_exceeded"]] == ["a"]
