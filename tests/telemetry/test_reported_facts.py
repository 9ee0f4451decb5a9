"""Spans and log lines speak of what happened: the failure that is raised, the race that was one, and its moment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

import routeware
from routeware import Attempt
from tests.fakes.providers import (
    FatalError,
    HTTPStatusError,
    answers,
    busy,
    cleans_up,
    fails,
    hangs,
    reports,
    script,
    stubborn,
)
from tests.fakes.tracing import Traces, attributes, fields_of, logged


@pytest.fixture
def traces() -> Traces:
    """What a call exports."""
    return Traces()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that routeware logs."""
    caplog.set_level(logging.DEBUG, "routeware")
    return caplog


@pytest.mark.parametrize("wrap_errors", [False, True])
async def test_an_exhausted_call_speaks_of_the_failure_that_is_raised(
    traces: Traces, log: pytest.LogCaptureFixture, wrap_errors: bool
) -> None:
    """The one that ended last, which is not the one that was started last."""
    error = HTTPStatusError(503)
    providers = script(a=fails(50, error), b=fails(5, HTTPStatusError(429)))

    with pytest.raises((HTTPStatusError, routeware.ExhaustedError)) as raised:
        await providers.ask(race_after_ms=10, options={**traces.options, "wrap_errors": wrap_errors})()

    assert error in (raised.value, raised.value.__cause__)
    assert traces.call.status.description == "failed: overloaded 503 tests.fakes.providers.HTTPStatusError"
    assert traces.event("llm.routing.exhausted")["link"] == "a"
    (record,) = logged(log.records)["exhausted"]
    assert fields_of(record)["link"] == "a"
    assert "link=a" in record.getMessage()


async def test_an_error_that_is_not_failed_over_on_is_what_the_call_speaks_of(traces: Traces) -> None:
    """Though another failed after it."""
    providers = script(a=fails(50, HTTPStatusError(503)), b=fails(5, FatalError("no")))

    with pytest.raises(FatalError):
        await providers.ask(race_after_ms=10, options=traces.options)()

    assert traces.call.status.description == "failed: generic tests.fakes.providers.FatalError"
    assert traces.events == ["llm.routing.race_started"]


async def test_a_refusal_at_first_is_what_the_call_speaks_of(traces: Traces) -> None:
    """No attempt failed: the refusal's own name stands there."""
    providers = script(a=answers(0))

    with pytest.raises(routeware.BudgetExceededError):
        await providers.ask(usd={"a": 1}, per_call_usd=0.5, options=traces.options)()

    assert traces.call.status.description == "budget_exceeded: BudgetExceededError"


async def test_a_time_out_that_ended_last_is_what_the_call_speaks_of(traces: Traces) -> None:
    """Of the first link, in a race."""
    providers = script(a=hangs(), b=busy(5))

    with pytest.raises(routeware.AttemptTimeoutError):
        await providers.ask(race_after_ms=10, timeouts={"a": 50}, options=traces.options)()

    assert traces.event("llm.routing.exhausted")["link"] == "a"
    assert traces.call.status.description == "failed: timeout routeware.errors.AttemptTimeoutError"


async def test_one_object_that_two_links_raise_is_the_last_ones(traces: Traces) -> None:
    """A client that keeps one instance of its error; "last" is the attempt that ended last."""
    error = HTTPStatusError(503)

    with pytest.raises(HTTPStatusError):
        await script(a=fails(0, error), b=fails(0, error)).ask(options=traces.options)()

    assert traces.event("llm.routing.exhausted")["link"] == "b"


async def test_a_failover_after_a_race_has_won_no_race(traces: Traces, log: pytest.LogCaptureFixture) -> None:
    """Both that raced have failed; who answers then was alone."""
    providers = script(a=busy(18), b=busy(5), c=answers(10))

    assert await providers.ask(race_after_ms=10, options=traces.options)() == "c"

    assert traces.events == ["llm.routing.race_started"]
    assert "race_won" not in logged(log.records)


@pytest.mark.parametrize(("first", "winner"), [(30, "a"), (1000, "b")])
async def test_who_wins_a_race_has_won_it(traces: Traces, first: float, winner: str) -> None:
    """The primary as well as the backup."""
    providers = script(a=answers(first), b=answers(100))

    assert await providers.ask(race_after_ms=10, options=traces.options)() == winner

    assert traces.event("llm.routing.race_won")["link"] == winner


async def test_who_outlives_its_race_has_won_it(traces: Traces) -> None:
    """The other failed, and it went on and answered."""
    providers = script(a=answers(50), b=busy(5))

    assert await providers.ask(race_after_ms=10, options=traces.options)() == "a"

    assert traces.event("llm.routing.race_won")["link"] == "a"


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock on the wall goes with the loop's, which jumps."""
    began = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: began + round(asyncio.get_running_loop().time() * 1e9))


@pytest.mark.usefixtures("wall_clock")
@pytest.mark.parametrize("loser", [cleans_up(30, hangs()), stubborn(5000, hangs())])
async def test_a_winner_ends_when_its_race_is_decided(traces: Traces, loser: Any) -> None:
    """And not when the last loser has cleaned up: the time after that is nobody's latency."""
    await script(a=loser, b=answers(10)).ask(race_after_ms=10, options=traces.options)()
    await asyncio.sleep(10)

    lost, won = traces.attempts["a"], traces.attempts["b"]
    assert lost.end_time is not None
    assert won.end_time is not None
    assert traces.call.end_time is not None
    assert 0 < won.end_time - lost.end_time <= 10_000
    assert traces.call.end_time - won.end_time >= 30_000_000 - 10_000


@pytest.mark.usefixtures("wall_clock")
async def test_a_winner_without_losers_ends_when_it_answered(traces: Traces) -> None:
    """A slow ledger, or the closing of what was turned down, does not lengthen it either."""

    class Slow:
        async def aclose(self) -> None:
            await asyncio.sleep(0.2)

    ask = script(a=answers(10, Slow()), b=answers(10)).ask(options=traces.options)
    ask.accept(lambda result: result == "b")
    await ask()

    rejected, won = traces.attempts["a"], traces.attempts["b"]
    assert won.end_time is not None
    assert rejected.end_time is not None
    assert abs(won.end_time - rejected.end_time - 10_000_000) <= 10_000


@pytest.fixture
def crowded() -> Iterator[None]:
    """A program whose log records have fields of its own, of the same names."""
    make = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        vars(record).update(session="theirs", link="theirs", attempts="theirs", policy="theirs", number="theirs")
        return record

    logging.setLogRecordFactory(factory)
    yield
    logging.setLogRecordFactory(make)


@pytest.mark.usefixtures("crowded")
@pytest.mark.parametrize("level", [logging.WARNING, logging.DEBUG])
async def test_a_log_record_with_fields_of_its_own_harms_nobody(caplog: pytest.LogCaptureFixture, level: int) -> None:
    """The program's value stays, ours is in the text; and the call goes on."""
    caplog.set_level(level, "routeware")
    providers = script(a=answers(0), b=reports(0, answers(0)))

    async with routeware.session("tenant-7"):
        answer = await providers.ask(usd={"a": 1, "b": 0}, per_call_usd=0.5, on_exceed="skip")()

    assert answer == "b"
    (record,) = logged(caplog.records)["budget_exceeded"]
    assert vars(record)["session"] == "theirs"
    assert "session=tenant-7" in record.getMessage()
    assert "link=a" in record.getMessage()


@pytest.mark.usefixtures("crowded")
async def test_an_exhausted_chain_says_so_in_a_crowded_log(caplog: pytest.LogCaptureFixture) -> None:
    """What is raised is the provider's error, as ever."""
    with pytest.raises(HTTPStatusError):
        await script(a=busy()).ask()()

    assert len(logged(caplog.records)["exhausted"]) == 1


async def test_attributes_of_the_session_and_the_call_say_nothing_of_ours(traces: Traces) -> None:
    """They land beside, and not over what the call says of itself."""
    theirs = {"routeware.call.name": "evil", "routeware.policy.label": "evil", "routeware.call.outcome": "evil"}
    ask = script(a=answers(0)).ask(options=traces.options, label="mine").with_options(attributes={**theirs, "b": 2})

    async with routeware.session("day", attributes={**theirs, "routeware.session.name": "evil", "a": 1}):
        await ask()

    told = attributes(traces.call)
    assert (told["a"], told["b"]) == (1, 2)
    assert told["routeware.call.name"] == "ask"
    assert told["routeware.policy.label"] == "mine"
    assert told["routeware.call.outcome"] == "succeeded"
    assert told["routeware.session.name"] == "day"


async def test_an_attempt_can_be_printed() -> None:
    """In a debugger, or a log line of the provider's own."""

    async def run(attempt: Attempt) -> str:
        return repr(attempt)

    assert await script(a=busy(), b=run).ask()() == "<attempt 2 at b>"


async def test_an_answer_that_nobody_got_is_not_selected_in_the_decision() -> None:
    """A record whose call has no result: what answered was as good as cancelled."""
    record = (await script(a=answers(0)).ask().outcome()).record

    decision = attrs.evolve(record, outcome="cancelled", selected=None).decision()

    assert decision.selected_provider is None
    assert [alternative.reason for alternative in decision.alternatives] == ["cancelled"]
