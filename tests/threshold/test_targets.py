"""A latency target, from the call's side: what it does to calls, and what it learns from each way in which they end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from routeware import Attempt, BudgetExceededError, CallRecord, Routed, RoutingPolicy, record_of, routed
from routeware.threshold import LatencyReport
from tests.fakes.providers import HTTPStatusError, pause
from tests.fakes.tracing import Traces, attributes, fields_of, logged

Latencies = Callable[[int], tuple[float, float]]


@pytest.fixture(autouse=True)
def chance(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Exploring calls come at the same places every time."""
    drawn = random.Random(1)
    monkeypatch.setattr("random.random", drawn.random)
    return iter(())


def slow_at_times(call: int) -> tuple[float, float]:
    """A fifth of the calls hangs at the primary; the backup takes 300 ms."""
    return (5000.0 if call % 5 == 4 else 100.0), 300.0


def asking(latencies: Latencies, *, options: dict[str, Any] | None = None, **latency: object) -> Routed[[int], str]:
    """A function with a target of a second, whose n-th call takes so many milliseconds at each link."""
    rules = {"target_p95_ms": 1000, "explore": 0, **latency}

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency=rules), **(options or {}))
    async def ask(attempt: Attempt, call: int) -> str:
        await pause(latencies(call)[0 if attempt.provider == "a" else 1])
        return attempt.provider

    return ask


async def called(ask: Routed[[int], str], calls: Sequence[int]) -> list[CallRecord]:
    """The records of these calls, one after another."""
    return [(await ask.outcome(call)).record for call in calls]


def believed(ask: Routed[[int], str]) -> LatencyReport:
    """What the function's target has led to."""
    report = ask.latency_report()
    assert report is not None
    return report


async def test_a_target_alone_races_at_half_of_itself_at_first() -> None:
    """There is nothing to go by yet."""
    (record,) = await called(asking(slow_at_times), [4])

    assert (record.race_after_ms, record.race_source) == (500, "prior")
    assert record.attempts[1].started_ms == pytest.approx(500)


async def test_race_after_serves_until_there_is_enough_to_go_by() -> None:
    """And is then the latest start."""
    records = await called(asking(slow_at_times, race_after_ms=650), range(100))

    assert {(record.race_after_ms, record.race_source) for record in records[:30]} == {(650, "prior")}
    assert {(record.race_after_ms, record.race_source) for record in records[31:]} == {(650, "fitted")}


async def test_the_latest_start_that_meets_the_target_is_found() -> None:
    """The backup needs 300 ms of the second, so 16 of its 24 steps may go by: every hanging call is saved in time."""
    ask = asking(slow_at_times)
    await called(ask, range(400))

    (record,) = await called(ask, [4])

    assert record.race_source == "fitted"
    assert record.race_after_ms == pytest.approx(1000 * 16 / 24, abs=1)
    assert record.duration_ms == pytest.approx(1000 * 16 / 24 + 300, abs=1)
    assert believed(ask).links[1].as_backup.p95_ms == pytest.approx(300)


async def test_a_target_that_the_primary_meets_makes_no_races_and_no_tasks() -> None:
    """The record says that racing is on, and that there is no threshold."""
    ask = asking(lambda _call: (100.0, 100.0))
    records = await called(ask, range(100))

    assert (records[-1].race_after_ms, records[-1].race_source) == (None, "none")
    before = len(asyncio.all_tasks())
    call = asyncio.ensure_future(ask(1))
    await pause(50)
    assert len(asyncio.all_tasks()) == before + 1
    await call


async def test_lost_races_are_learned_as_cut_off() -> None:
    """The primary would have taken longer than the race: half of its fifth was never seen to end."""
    ask = asking(slow_at_times)
    await called(ask, range(100))

    primary = believed(ask).links[0].as_primary
    assert (primary.attempts, primary.censored, primary.failed_share) == (100, 20, 0.0)
    assert primary.late_share == pytest.approx(0.2, abs=0.01)


async def test_callers_who_give_up_are_learned_as_cut_off() -> None:
    """They cancel exactly the slow calls: leaving those out would make the primary look fast."""
    ask = asking(slow_at_times, max_extra=0)
    for call in range(50):
        try:
            async with asyncio.timeout(1.1):
                await ask(call)
        except TimeoutError:
            pass

    primary = believed(ask).links[0].as_primary
    assert (primary.attempts, primary.censored) == (50, 10)
    assert primary.late_share == pytest.approx(0.2)


async def test_own_time_outs_are_cut_off_and_answered_errors_are_failures() -> None:
    """An error that comes quickly is not a quick answer."""
    policy = RoutingPolicy(
        chain=[{"provider": "a", "model": "m", "timeout_ms": 400}, "b:m"],
        latency={"target_p95_ms": 1000, "explore": 0},
    )

    @routed(policy)
    async def ask(attempt: Attempt, call: int) -> str:
        if attempt.provider == "a" and call % 4 == 1:
            raise HTTPStatusError(503)
        await pause(5000 if attempt.provider == "a" and call % 4 == 2 else 100)
        return attempt.provider

    for call in range(40):
        await ask(call)

    first, second = believed(ask).links
    assert (first.as_primary.attempts, first.as_primary.censored, first.as_primary.failed_share) == (40, 10, 0.25)
    assert (second.as_backup.attempts, second.as_primary.attempts) == (20, 0)


async def test_nothing_is_learned_from_calls_that_never_started() -> None:
    """A refused call says nothing about a link."""
    policy = RoutingPolicy(
        chain=[{"provider": "a", "model": "m", "price": {"request_usd": 5}}, "a:n"],
        latency={"target_p95_ms": 1000},
        budget={"per_call_usd": 1, "allow_unpriced": True},
    )

    @routed(policy)
    async def ask(attempt: Attempt) -> str:
        return "never"

    with pytest.raises(BudgetExceededError) as caught:
        await ask()

    assert record_of(caught.value) is not None
    report = ask.latency_report()
    assert report is not None
    assert [link.as_primary.attempts + link.as_backup.attempts for link in report.links] == [0, 0]


async def test_an_unreachable_target_is_told_by_attribute_event_and_one_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the best that can be had."""
    traces = Traces()
    ask = asking(lambda call: (5000.0 if call % 2 else 100.0, 5000.0), options=traces.options, max_extra=1)

    records = await called(ask, range(120))

    assert "infeasible" in {record.race_source for record in records[:100]}
    spans = [span for span in traces.spans if span.name.startswith("routeware.call ")]
    assert attributes(spans[-1])["routeware.race.source"] == "infeasible"
    events = [event for span in spans for event in span.events if event.name.endswith("target_out_of_reach")]
    (line,) = logged(caplog.records)["target_out_of_reach"]
    assert len(events) == 1
    assert line.levelname == "WARNING"
    assert fields_of(line)["target_ms"] == 1000
    assert fields_of(line)["best_miss_share"] > 0.2


async def test_in_an_outage_the_order_of_the_first_two_is_swapped() -> None:
    """Where the policy allows it, but for a tenth of the calls, which probe; span and record show it."""
    traces = Traces()
    ask = asking(
        lambda call: (100.0 if call < 200 and call % 10 else 60_000.0, 200.0),
        options=traces.options,
        swap_in_outage=True,
        max_extra=1,
    )
    await called(ask, range(400))

    records = await called(ask, range(400, 500))

    first = [record.attempts[0].label for record in records]
    assert 80 <= first.count("b:m") <= 98
    spans = [span for span in traces.spans if span.name.startswith("routeware.call ")][-100:]
    swapped = [attributes(span).get("routeware.race.swapped") for span in spans]
    assert [label == "b:m" for label in first] == [flag is True for flag in swapped]
    assert believed(ask).swapped


async def test_views_share_what_was_learned() -> None:
    """A view with a deadline goes on where the function is; one without a target has no report."""
    ask = asking(slow_at_times)
    await called(ask, range(100))

    assert ask.with_options(deadline_ms=9000).latency_report() == believed(ask)
    assert ask.with_policy(RoutingPolicy(chain=["a:m", "b:m"])).latency_report() is None


async def test_the_target_is_met() -> None:
    """Three thousand calls of lognormal latencies, a tenth of them late without racing: 4 to 6 % are."""
    drawn = random.Random(2)
    lasting = [(1000 * drawn.lognormvariate(0, 0.65), 1100 * drawn.lognormvariate(0, 0.65)) for _ in range(3000)]
    ask = asking(lambda call: lasting[call], target_p95_ms=2300, max_extra=1)

    records = await called(ask, range(3000))

    late = sum(record.duration_ms > 2300 for record in records) / 3000
    extra = sum(len(record.attempts) - 1 for record in records) / 3000
    assert 0.04 <= late <= 0.06
    assert extra <= 0.46  # the best fixed delay in hindsight needs about 0.41


async def test_nothing_is_learned_of_a_link_that_was_skipped() -> None:
    """The other one answered, after no attempt before it."""
    policy = RoutingPolicy(
        chain=[{"provider": "a", "model": "m", "price": {"request_usd": 5}}, "b:m"],
        latency={"target_p95_ms": 1000},
        budget={"per_call_usd": 1, "allow_unpriced": True, "on_exceed": "skip"},
    )

    @routed(policy)
    async def ask(attempt: Attempt) -> str:
        return attempt.provider

    assert await ask() == "b"

    report = ask.latency_report()
    assert report is not None
    assert [link.as_primary.attempts + link.as_backup.attempts for link in report.links] == [0, 1]
