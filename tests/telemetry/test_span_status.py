"""How spans end: with what status, when, and once."""

from __future__ import annotations

import pytest
from opentelemetry.trace import StatusCode

from tests.fakes.providers import (
    HTTPStatusError,
    answers,
    busy,
    cancelled_at,
    cleans_up,
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


async def test_a_failed_attempt_is_an_error(traces: Traces) -> None:
    """With one exception event without a stack trace, and no text of the provider's."""
    error = HTTPStatusError(429, "too fast")
    error.headers = {"Retry-After": "2"}  # type: ignore[attr-defined]
    error.response = type("Response", (), {"status_code": 429, "headers": {"Retry-After": "2"}})()  # type: ignore[attr-defined]
    await script(a=fails(0, error), b=answers(0)).ask(options=traces.options)()

    span = traces.attempts["a"]
    found = attributes(span)
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "rate_limit 429 tests.fakes.providers.HTTPStatusError"
    assert found["error.type"] == "tests.fakes.providers.HTTPStatusError"
    assert found["routeware.error.category"] == "rate_limit"
    assert found["http.response.status_code"] == 429
    assert found["routeware.retry_after_s"] == 2
    (event,) = span.events
    assert event.name == "exception"
    assert (event.attributes or {})["exception.type"] == "tests.fakes.providers.HTTPStatusError"
    assert "exception.stacktrace" not in (event.attributes or {})
    assert "too fast" not in traces.text()


async def test_a_machine_code_is_in_the_status(traces: Traces) -> None:
    """`<category> <status> <code> <class>`."""
    error = HTTPStatusError(429, code="insufficient_quota")
    outcome = await script(a=fails(0, error), b=answers(0)).ask(options=traces.options).outcome()

    expected = "quota 429 insufficient_quota tests.fakes.providers.HTTPStatusError"
    assert traces.attempts["a"].status.description == expected
    assert outcome.record.attempts[0].error.message == expected


async def test_error_texts_are_there_when_they_are_asked_for(traces: Traces) -> None:
    """`observe.error_messages`: cut at 256 characters."""
    ask = script(a=fails(0, HTTPStatusError(503, "x" * 1000)), b=answers(0)).ask(
        options=traces.options, error_messages=True
    )
    outcome = await ask.outcome()

    message = outcome.record.attempts[0].error.message
    assert "x" * 200 in message
    assert "x" * 257 not in message
    assert "x" * 200 in str(traces.attempts["a"].status.description)
    assert "x" * 257 not in str(traces.attempts["a"].status.description)


async def test_a_call_that_answered_is_no_error(traces: Traces) -> None:
    """Whatever its attempts were."""
    await script(a=busy(), b=answers(0)).ask(options=traces.options)()

    assert traces.call.status.status_code is StatusCode.UNSET
    assert traces.attempts["b"].status.status_code is StatusCode.UNSET


async def test_a_call_that_failed_is_an_error(traces: Traces) -> None:
    """Without the provider's text."""
    with pytest.raises(HTTPStatusError):
        await script(a=fails(0, HTTPStatusError(503, "secret"))).ask(options=traces.options)()

    assert traces.call.status.status_code is StatusCode.ERROR
    assert "secret" not in traces.text()


async def test_a_lost_race_is_normal_operation(traces: Traces) -> None:
    """UNSET, without an exception."""
    await script(a=hangs(), b=answers(0)).ask(race_after_ms=50, options=traces.options)()

    loser = traces.attempts["a"]
    assert loser.status.status_code is StatusCode.UNSET
    assert attributes(loser)["routeware.attempt.status"] == "race_lost"
    assert loser.events == ()


async def test_a_cancelled_call_is_no_error(traces: Traces) -> None:
    """The caller's cancellation is nobody's failure."""
    await cancelled_at(script(a=hangs(), b=hangs()).ask(race_after_ms=10, options=traces.options)(), 50)

    for span in traces.spans:
        assert span.status.status_code is StatusCode.UNSET
    assert attributes(traces.call)["routeware.call.outcome"] == "cancelled"
    assert {attributes(span)["routeware.attempt.status"] for span in traces.attempts.values()} == {"cancelled"}


async def test_a_rejected_result_has_its_own_status(traces: Traces) -> None:
    """Rejected, and the next one answered."""
    ask = script(a=answers(0), b=answers(0)).ask(options=traces.options)
    ask.accept(lambda result: result == "b")
    await ask()

    assert attributes(traces.attempts["a"])["routeware.attempt.status"] == "rejected"


async def test_a_skipped_link_has_no_span(traces: Traces) -> None:
    """Only its event."""
    ask = script(a=answers(0), b=answers(0)).ask(
        usd={"a": 2, "b": 1}, per_call_usd=1, on_exceed="skip", options=traces.options
    )
    await ask()

    assert list(traces.attempts) == ["b"]
    assert traces.event("llm.routing.budget_exceeded")["link"] == "a"


# Times.


async def test_a_loser_ends_before_the_winner_and_the_call_last(traces: Traces) -> None:
    """So that the critical path does not run through a loser; also when its clean-up took 100 ms."""
    providers = script(a=cleans_up(100, hangs()), b=hangs(), c=answers(0))
    await providers.ask(race_after_ms=50, race_width=3, options=traces.options)()

    first, second, winner = (traces.attempts[label].end_time or 0 for label in "abc")
    assert first == second
    assert first < winner < (traces.call.end_time or 0)
    assert attributes(traces.attempts["a"])["routeware.attempt.cleanup_s"] == pytest.approx(0.1)


async def test_a_straggler_ends_with_the_other_losers(traces: Traces) -> None:
    """There and not later: what it does afterwards is in no span."""
    providers = script(a=stubborn(10_000, hangs()), b=answers(0))
    await providers.ask(race_after_ms=50, usd={"a": 1, "b": 1}, options=traces.options)()

    assert set(traces.attempts) == {"a", "b"}
    assert (traces.attempts["a"].end_time or 0) < (traces.attempts["b"].end_time or 0)
    assert attributes(traces.attempts["a"])["routeware.cost.source"] == "estimated"
    await pause(20_000)
    assert len(traces.spans) == 3


async def test_a_report_after_the_end_leaves_the_span_alone(traces: Traces, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK would complain."""
    providers = script(a=answers(0))
    await providers.ask(options=traces.options)()

    providers.attempts["a"].report_cost(1)
    providers.attempts["a"].report_usage(input_tokens=1, output_tokens=1)

    assert "routeware.cost.usd" not in attributes(traces.attempts["a"])
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []
