"""Span links: each attempt leads to the one that it replaces or races."""

from __future__ import annotations

import pytest

from tests.fakes.providers import answers, busy, hangs, script
from tests.fakes.tracing import Traces


@pytest.fixture
def traces() -> Traces:
    """A tracer provider of the test's own."""
    return Traces()


def linked(traces: Traces) -> dict[str, list[str]]:
    """The labels of the attempts that each attempt's span leads to."""
    labels = {span.context.span_id: label for label, span in traces.attempts.items()}
    return {label: [labels[link.context.span_id] for link in span.links] for label, span in traces.attempts.items()}


async def test_an_attempt_leads_to_the_one_that_it_replaces(traces: Traces) -> None:
    """By a link, beside the call as its parent; the first has none."""
    await script(a=busy(5), b=busy(5), c=answers(5)).ask(options=traces.options)()

    assert linked(traces) == {"a": [], "b": ["a"], "c": ["b"]}
    parents = {span.parent.span_id for span in traces.attempts.values() if span.parent is not None}
    assert parents == {traces.call.context.span_id}


async def test_a_racing_attempt_leads_to_the_one_that_it_was_started_beside(traces: Traces) -> None:
    """The newest one: the one that the event names, too."""
    providers = script(a=hangs(), b=hangs(), c=answers(5))
    await providers.ask(race_after_ms=10, race_width=3, options=traces.options)()

    assert linked(traces) == {"a": [], "b": ["a"], "c": ["b"]}


async def test_a_skipped_link_is_no_attempt_to_lead_to(traces: Traces) -> None:
    """It has no span."""
    providers = script(a=busy(5), dear=answers(5), c=answers(5))
    await providers.ask(usd={"a": 1, "dear": 9, "c": 1}, per_call_usd=5, on_exceed="skip", options=traces.options)()

    assert linked(traces) == {"a": [], "c": ["a"]}
