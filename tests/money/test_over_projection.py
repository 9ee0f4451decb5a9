"""An attempt that cost more than it was projected at is marked, and said once; no other is."""

from __future__ import annotations

import pytest
from opentelemetry.trace import StatusCode

import routeware
from routeware import DeadlineExceededError
from tests.fakes.providers import answers, busy, hangs, reports, script
from tests.fakes.tracing import Traces, attributes

PROJECTED = "routeware.cost.projected_usd"


@pytest.mark.parametrize(("cost", "marked"), [(0.125, False), (0.25, False), (0.250000001, True), (2, True)])
async def test_a_cost_over_its_projection_is_marked(
    cost: float, marked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The span has both amounts, the log has the link and both; as much as was projected is not more."""
    traces = Traces()
    ask = script(a=reports(cost, answers(0))).ask(usd={"a": 0.25}, per_call_usd=1, options=traces.options)

    await ask()

    found = attributes(traces.attempts["a"])
    assert found["routeware.cost.usd"] == cost
    assert found.get(PROJECTED) == (0.25 if marked else None)
    told = [record.getMessage() for record in caplog.records]
    assert [message.split()[0] for message in told] == (["a"] if marked else [])
    assert all(f"${cost:.9f}" in message and "$0.250000000" in message for message in told)


@pytest.mark.parametrize("limit", [None, 1])
async def test_where_nothing_was_set_aside_nothing_is_compared(
    limit: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a cap nobody made a promise; and a container has given back what it held."""

    async def nest(attempt: routeware.Attempt) -> object:
        attempt.report_cost(5)
        return await script(x=reports(0.25, answers(0))).ask(usd={"x": 0.25})()

    async with routeware.session(limit_usd=limit) as spending:
        if limit is None:
            await script(a=reports(5, answers(0))).ask(usd={"a": 0.25})()
        await script(a=nest).ask(usd={"a": 0.25})()

    assert spending.spent_usd == (5.25 if limit else 10.25)
    assert caplog.records == []


async def test_a_deadline_after_a_failure_says_both_in_the_calls_status() -> None:
    """The class of what is raised, and what the attempt before had failed of: no text of anybody's."""
    traces = Traces()

    with pytest.raises(DeadlineExceededError):
        await script(a=busy(10), b=hangs()).ask(deadline_ms=100, options=traces.options)()

    status = traces.call.status
    assert status.status_code is StatusCode.ERROR
    assert status.description == (
        "deadline_exceeded: DeadlineExceededError after overloaded 503 tests.fakes.providers.HTTPStatusError"
    )
