"""Links that cooldown passed over, in the lab: they have no span, and are drawn where they were passed over."""

from __future__ import annotations

import attrs

from routeware import Attempt, CallRecord, Health, RoutingPolicy, routed
from routeware.lab.calls import call_from_record, calls
from routeware.lab.reading_spans import jaeger_span
from routeware.lab.summary import status_text, summary
from tests.fakes.exported import comparable, jaeger
from tests.fakes.providers import HTTPStatusError
from tests.fakes.tracing import Traces


async def test_a_link_that_was_passed_over_is_drawn_as_skipped_by_cooldown() -> None:
    """At its own number; where it is tried after all, it stands there twice, as in the record."""
    traces = Traces()
    records: list[CallRecord] = []
    health = Health()
    policy = RoutingPolicy(chain=["a:m", "b:m"], failover={"cooldown_ms": 5_000})

    @routed(policy, health=health, on_call=records.append, **traces.options)
    async def ask(attempt: Attempt) -> str:
        if attempt.provider == "b":
            raise HTTPStatusError(503)
        return "answer"

    health.trip("a:m", for_ms=60_000)
    await ask()

    (tree,) = calls(jaeger_span(span) for trace in jaeger(traces.spans)["data"] for span in trace["spans"])
    record = attrs.evolve(records[0], started_unix_s=None)
    assert comparable(tree) == comparable(call_from_record(record))
    assert [status_text(bar) for bar in tree.attempts] == ["skipped: cooldown", "503 overloaded", "answered"]
    assert "was skipped, as it was cooling" in summary(tree)
