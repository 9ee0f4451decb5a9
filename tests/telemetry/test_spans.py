"""Spans: one per call and one per attempt, ended once, whatever became of them."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind

import routeware
from routeware import Attempt
from tests.fakes.providers import (
    answers,
    busy,
    hangs,
    reports,
    script,
    uses,
)
from tests.fakes.tracing import Traces, attributes


@pytest.fixture
def traces() -> Traces:
    """A tracer provider of the test's own."""
    return Traces()


async def test_a_call_and_its_attempts(traces: Traces) -> None:
    """Names, kinds and parents."""
    await script(a=busy(), b=answers(0)).ask(options=traces.options)()

    assert (traces.call.name, traces.call.kind) == ("routeware.call ask", SpanKind.INTERNAL)
    assert list(traces.attempts) == ["a", "b"]
    for span in traces.attempts.values():
        assert (span.name, span.kind) == ("chat m", SpanKind.CLIENT)
        assert span.parent is not None
        assert span.parent.span_id == traces.call.context.span_id
    assert len(traces.spans) == 3


async def test_a_call_says_what_it_is_about(traces: Traces) -> None:
    """Name, policy, chain, session."""
    async with routeware.session("tenant-7"):
        await script(a=busy(), b=answers(0)).ask(options=traces.options, label="careful", max_attempts=5)()

    found = attributes(traces.call)
    assert found["routeware.call.name"] == "ask"
    assert found["routeware.policy.label"] == "careful"
    assert tuple(found["routeware.policy.chain"]) == ("a", "b")
    assert found["routeware.policy.max_attempts"] in (2, 5)
    assert found["routeware.session.name"] == "tenant-7"
    assert found["routeware.call.outcome"] == "succeeded"
    assert found["routeware.call.attempts"] == 2
    assert found["routeware.call.selected"] == "b"


async def test_a_call_says_what_it_cost(traces: Traces) -> None:
    """Settled, uncertain, wasted; and what its session has spent."""
    providers = script(a=hangs(), b=reports(0.5, answers(0)))

    async with routeware.session():
        await providers.ask(usd={"a": 0.25, "b": 1}, race_after_ms=50, options=traces.options)()

    found = attributes(traces.call)
    assert found["routeware.call.cost_usd"] == 0.5
    assert found["routeware.call.uncertain_usd"] == 0.25
    assert found["routeware.call.wasted_usd"] == 0.25
    assert found["routeware.session.spent_usd"] == 0.5
    assert found["routeware.race.after_s"] == 0.05
    assert found["routeware.race.source"] == "fixed"


async def test_a_call_that_may_not_race_says_nothing_of_racing(traces: Traces) -> None:
    """The attributes are there where racing was on."""
    await script(a=answers(0)).ask(options=traces.options)()

    assert not [name for name in attributes(traces.call) if name.startswith("routeware.race")]


async def test_no_usage_stands_on_a_call(traces: Traces) -> None:
    """Backends sum it."""
    await script(a=uses(answers(0), input_tokens=3, output_tokens=4)).ask(options=traces.options)()

    assert not [name for name in attributes(traces.call) if name.startswith("gen_ai.usage")]


async def test_an_attempt_says_what_it_is_about(traces: Traces) -> None:
    """By the GenAI conventions where they have a name."""
    ask = script(a=busy(), b=uses(answers(0), input_tokens=3, output_tokens=4)).ask(
        options=traces.options, timeouts={"a": 250}, links={"b": {"price": {"output_usd_per_mtok": 250_000.0}}}
    )
    await ask()

    first, second = (attributes(span) for span in traces.attempts.values())
    assert first["gen_ai.operation.name"] == "chat"
    assert first["gen_ai.provider.name"] == "a"
    assert first["gen_ai.request.model"] == "m"
    assert (first["routeware.attempt.number"], second["routeware.attempt.number"]) == (1, 2)
    assert (first["routeware.attempt.trigger"], second["routeware.attempt.trigger"]) == ("initial", "failover")
    assert first["routeware.attempt.timeout_s"] == 0.25
    assert (first["routeware.attempt.status"], second["routeware.attempt.status"]) == ("failed", "succeeded")
    assert (second["routeware.cost.usd"], second["routeware.cost.source"]) == (1, "priced")
    assert (second["gen_ai.usage.input_tokens"], second["gen_ai.usage.output_tokens"]) == (3, 4)


async def test_the_model_that_answered_is_on_the_attempt(traces: Traces) -> None:
    """As the reply names it."""
    reply = {"model": "m-2026-01-01", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}

    async def run(attempt: Attempt) -> object:
        return attempt.report(reply)

    await script(a=run).ask(options=traces.options)()

    assert attributes(traces.attempts["a"])["gen_ai.response.model"] == "m-2026-01-01"


async def test_an_unknown_cost_is_no_attribute(traces: Traces) -> None:
    """Unknown is not zero."""
    await script(a=answers(0)).ask(options=traces.options)()

    assert "routeware.cost.usd" not in attributes(traces.attempts["a"])
    assert "routeware.call.cost_usd" not in attributes(traces.call)


@pytest.mark.parametrize(
    ("provider", "spelled"),
    [("openai", "openai"), ("gemini", "gcp.gemini"), ("bedrock", "aws.bedrock"), ("mistral", "mistral_ai")],
)
async def test_providers_are_spelled_as_opentelemetry_spells_them(traces: Traces, provider: str, spelled: str) -> None:
    """The record keeps the policy's own word."""
    outcome = await script(**{provider: answers(0)}).ask(options=traces.options).outcome()

    assert attributes(traces.attempts[provider])["gen_ai.provider.name"] == spelled
    assert outcome.record.attempts[0].provider == provider


async def test_what_is_no_model_has_no_such_words(traces: Traces) -> None:
    """`operation=None`: no `gen_ai.*`, and the span is called after the function and the link."""
    await script(a=busy(), b=uses(answers(0), output_tokens=1)).ask(options={**traces.options, "operation": None})()

    assert [span.name for span in traces.attempts.values()] == ["ask a", "ask b"]
    assert "gen_ai" not in traces.text()


async def test_another_operation_has_its_name(traces: Traces) -> None:
    """As the conventions call it."""
    await script(a=answers(0)).ask(options={**traces.options, "operation": "embeddings"})()

    assert traces.attempts["a"].name == "embeddings m"
    assert attributes(traces.attempts["a"])["gen_ai.operation.name"] == "embeddings"
