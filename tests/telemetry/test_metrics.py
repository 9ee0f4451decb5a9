"""Metrics: read back through the SDK, they say what the records say, summed up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

import routeware
from routeware import Attempt, RoutingPolicy, routed
from tests.fakes.measuring import Measured
from tests.fakes.providers import (
    FatalError,
    answers,
    busy,
    cancelled_at,
    fails,
    hangs,
    pause,
    reports,
    script,
    stubborn,
)
from tests.fakes.tracing import Traces

NAMES = {
    "routeware.call.duration": "s",
    "routeware.attempt.duration": "s",
    "routeware.attempts": "{attempt}",
    "routeware.cost": "{USD}",
    "routeware.uncertain_cost": "{USD}",
    "routeware.inflight": "{attempt}",
    "routeware.race.threshold": "s",
}


@pytest.fixture
def measured() -> Measured:
    """A meter provider of the test's own."""
    return Measured()


async def test_a_call_is_measured(measured: Measured) -> None:
    """Names, units and values: a failure, a lost race and a success."""
    providers = script(a=busy(30), b=hangs(), c=reports(0.25, answers(100)))
    ask = providers.ask(race_after_ms=50, usd={"a": 1, "b": 0.5, "c": 1}, options=measured.options)

    await ask()

    assert {name: metric.unit for name, metric in measured.metrics().items()} == NAMES
    assert measured.values("routeware.call.duration", "routeware.call.outcome") == {"succeeded": 1}
    (call,) = measured.points("routeware.call.duration")
    assert call.sum == pytest.approx(0.18)
    assert {
        point.attributes["routeware.link.label"]: round(point.sum, 3)
        for point in measured.points("routeware.attempt.duration")
    } == {"a": 0.03, "b": 0.15, "c": 0.1}
    keys = ("routeware.link.label", "routeware.attempt.status", "routeware.attempt.trigger", "routeware.error.category")
    assert measured.values("routeware.attempts", *keys) == {
        ("a", "failed", "initial", "overloaded"): 1,
        ("b", "race_lost", "failover", None): 1,
        ("c", "succeeded", "race", None): 1,
    }
    spent = ("routeware.link.label", "routeware.attempt.status", "routeware.cost.wasted")
    assert measured.values("routeware.cost", *spent) == {("c", "succeeded", False): 0.25}
    assert measured.values("routeware.uncertain_cost", *spent) == {("b", "race_lost", True): 0.5}
    assert measured.values("routeware.race.threshold", "routeware.call.name", "routeware.race.source") == {
        ("ask", "fixed"): 0.05
    }


async def test_the_sums_are_those_of_the_records(measured: Measured) -> None:
    """Whatever becomes of calls: attempts, settled, uncertain and wasted dollars add up to the same."""
    scripts = [
        {"a": answers(5)},
        {"a": busy(5), "b": reports(0.125, answers(5))},
        {"a": busy(5), "b": busy(5)},
        {"a": hangs(), "b": answers(5)},
        {"a": stubborn(1000, hangs()), "b": reports(0.125, answers(5))},
        {"a": reports(0.125, hangs()), "b": hangs()},
    ]
    records = []
    for behaviours in scripts:
        providers = script(**behaviours)
        for settings in ({}, {"race_after_ms": 20}, {"per_call_usd": 0.4, "on_exceed": "skip"}):
            providers.again()
            ask = providers.ask(usd={"a": 0.5, "b": 0.25}, deadline_ms=100, options=measured.options, **settings)
            with suppress(Exception):
                await ask()
        providers.again()
        await cancelled_at(providers.ask(usd={"a": 0.5, "b": 0.25}, options=measured.options)(), 3)
        records += providers.records
    await pause(2000)

    attempts = [attempt for record in records for attempt in record.attempts]
    assert len(records) == len(scripts) * 4
    assert measured.values("routeware.call.duration", "routeware.call.outcome") == Counter(r.outcome for r in records)
    assert measured.values("routeware.attempts", "routeware.attempt.status") == Counter(a.status for a in attempts)
    assert sum(measured.values("routeware.attempt.duration", "").values()) == len(
        [attempt for attempt in attempts if attempt.status != "skipped"]
    )
    assert total(measured, "routeware.cost") == pytest.approx(sum(record.cost_usd or 0 for record in records))
    assert total(measured, "routeware.uncertain_cost") == pytest.approx(sum(r.uncertain_usd or 0 for r in records))
    wasted = total(measured, "routeware.cost", wasted=True) + total(measured, "routeware.uncertain_cost", wasted=True)
    assert wasted == pytest.approx(sum(record.wasted_usd or 0 for record in records))
    assert wasted > 0


def total(measured: Measured, name: str, *, wasted: bool | None = None) -> float:
    """The sum of a metric; of its wasted part only, if asked for."""
    found = measured.values(name, "routeware.cost.wasted")
    return sum(value for key, value in found.items() if wasted is None or key is wasted)


async def test_attempts_in_flight_are_counted(measured: Measured) -> None:
    """By link, while they are in flight, and not after; a straggler is in flight until it ends."""
    providers = script(a=stubborn(1000, hangs()), b=answers(100))
    call = asyncio.create_task(providers.ask(race_after_ms=50, options=measured.options)())

    seen = []
    for _ in range(4):
        await pause(40)
        seen.append(measured.values("routeware.inflight", "routeware.link.label"))
    await call
    straggling = measured.values("routeware.inflight", "routeware.link.label")
    await pause(2000)

    assert seen == [{"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 0}]
    assert straggling == {"a": 1, "b": 0}
    assert measured.values("routeware.inflight", "routeware.link.label") == {"a": 0, "b": 0}


async def test_nothing_stays_in_flight(measured: Measured) -> None:
    """A caller that goes away, a function that cannot be called, a coroutine that is closed."""
    await cancelled_at(script(a=hangs(), b=hangs()).ask(race_after_ms=10, options=measured.options)(), 50)
    with suppress(TypeError):
        await script(a=answers()).ask(options=measured.options)(1, 2, 3)

    closed = script(a=hangs()).ask(options=measured.options)()
    task = asyncio.ensure_future(asyncio.sleep(0))
    await task
    closed.close()

    assert set(measured.values("routeware.inflight", "routeware.link.label").values()) <= {0}


async def test_a_skipped_link_is_counted_and_has_no_duration(measured: Measured) -> None:
    """It took no time, and a zero would make the link look quick."""
    providers = script(dear=answers(5), cheap=answers(5))
    await providers.ask(usd={"dear": 3, "cheap": 1}, per_call_usd=2, on_exceed="skip", options=measured.options)()

    assert measured.values("routeware.attempts", "routeware.attempt.status") == {"skipped": 1, "succeeded": 1}
    assert measured.values("routeware.attempt.duration", "routeware.attempt.status") == {"succeeded": 1}


async def test_buckets_are_those_of_the_conventions(measured: Measured) -> None:
    """As advice: a view of the program's own goes before."""
    await script(a=answers(5)).ask(options=measured.options)()

    for name in ("routeware.call.duration", "routeware.attempt.duration"):
        (point,) = measured.points(name)
        assert point.explicit_bounds == tuple(0.01 * 2**power for power in range(14))


async def test_links_are_named_by_the_conventions(measured: Measured) -> None:
    """What is not an LLM has none of their attributes."""
    policy = RoutingPolicy(chain=["mistral:large"])

    @routed(policy, name="chatting", meter_provider=measured.provider)
    async def chat(attempt: Attempt) -> None: ...

    @routed(policy, name="fetching", operation=None, meter_provider=measured.provider)
    async def fetch(attempt: Attempt) -> None: ...

    await chat()
    await fetch()

    told = [dict(point.attributes) for point in measured.points("routeware.inflight")]
    link = {"routeware.link.label": "mistral:large"}
    assert sorted(told, key=len) == [
        {"routeware.call.name": "fetching", **link},
        {
            "routeware.call.name": "chatting",
            **link,
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "mistral_ai",
            "gen_ai.request.model": "large",
        },
    ]


async def test_no_session_is_in_a_metric(measured: Measured) -> None:
    """Nor what its caller put on it or on the call: a series for each tenant is what makes metrics dear."""
    ask = script(a=answers(5)).ask(options=measured.options, usd={"a": 1})
    async with routeware.session("tenant-7", limit_usd=5, attributes={"tenant": "tenant-7"}):
        await ask.with_options(attributes={"user": "tenant-7"})("tenant-7")

    assert "tenant-7" not in repr(measured.metrics())


async def test_measurements_lead_back_to_their_trace(measured: Measured) -> None:
    """An exemplar: from a slow bucket to a call that was as slow."""
    traces = Traces()
    ask = script(a=answers(5)).ask(options={**measured.options, **traces.options})

    record = (await ask.outcome()).record

    (point,) = measured.points("routeware.call.duration")
    assert [f"{exemplar.trace_id:032x}" for exemplar in point.exemplars] == [record.trace_id]


@pytest.mark.parametrize("outcome", ["failed", "cancelled", "deadline_exceeded", "budget_exceeded"])
async def test_calls_without_a_result_are_measured(measured: Measured, outcome: str) -> None:
    """By what became of them."""
    settings: Mapping[str, Any] = {"budget_exceeded": {"usd": {"a": 2}, "per_call_usd": 1}}.get(outcome, {})
    behaviour = busy(5) if outcome == "failed" else hangs()
    ask = script(a=behaviour).ask(deadline_ms=20, options=measured.options, **settings)

    await cancelled_at(ask(), *([10] if outcome == "cancelled" else []))

    assert measured.values("routeware.call.duration", "routeware.call.outcome") == {outcome: 1}


async def test_a_fatal_error_is_counted_by_its_category(measured: Measured) -> None:
    """Whether it failed over or not."""
    with suppress(FatalError):
        await script(a=fails(5, FatalError())).ask(options=measured.options)()

    assert measured.values("routeware.attempts", "routeware.error.category") == {"generic": 1}
