"""Two things in one moment: a cancellation and what a provider makes of it, a failure, a time-out and the deadline."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import routeware
from routeware import Attempt, DeadlineExceededError, record_of
from tests.fakes.providers import (
    Closable,
    HTTPStatusError,
    answers,
    busy,
    cancelled_at,
    cancels_itself,
    converts,
    fails,
    hangs,
    in_a_group,
    pause,
    script,
    statuses,
)
from tests.fakes.tracing import Traces, logged


@pytest.mark.parametrize("wrap_errors", [False, True])
@pytest.mark.parametrize("links", [1, 2])
async def test_a_swallowed_cancellation_is_no_exhausted_chain(
    wrap_errors: bool, links: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What the attempt raised is raised as it is: the caller stopped it, and no provider was out."""
    error = ConnectionResetError("closed by cancel")
    traces = Traces()
    providers = script(a=converts(hangs(), error), **({"b": answers(0)} if links == 2 else {}))

    with caplog.at_level(logging.DEBUG, "routeware"):
        call = providers.ask(options={**traces.options, "wrap_errors": wrap_errors})()
        task, took = await cancelled_at(call, 20)

    assert task.exception() is error
    assert took == 20
    assert list(providers.started) == ["a"]
    assert "exhausted" not in logged(caplog.records)
    assert traces.events == []


async def test_a_swallowed_cancellation_after_a_failover_is_no_exhausted_chain() -> None:
    """The same on the last link of several."""
    error = ConnectionResetError("closed by cancel")
    traces = Traces()
    providers = script(a=busy(10), b=converts(hangs(), error))

    task, _ = await cancelled_at(providers.ask(options={**traces.options, "wrap_errors": True})(), 20)

    assert task.exception() is error
    assert traces.events == []


async def test_a_result_that_is_turned_down_after_a_swallowed_cancellation_is_rejected() -> None:
    """Nothing more is started, and the caller is told why there is no result."""
    late = Closable()
    providers = script(a=converts(hangs(), late), b=answers(0))
    ask = providers.ask(options={"wrap_errors": True})
    ask.accept(lambda _result: False)

    task, _ = await cancelled_at(ask(), 20)

    error = task.exception()
    assert isinstance(error, routeware.ResultRejectedError)
    assert error.result is late
    assert late.closed == 0
    assert list(providers.started) == ["a"]


def grouped(child: Any) -> Any:
    """A TaskGroup whose body waits, besides a child."""

    async def run(attempt: Attempt) -> object:
        async with asyncio.TaskGroup() as group:
            group.create_task(child(attempt))
            await hangs()(attempt)
        return "never"

    return run


IN_THE_BODY = pytest.param(grouped, id="in the body")
AT_THE_END = pytest.param(in_a_group, id="at the end")


@pytest.mark.parametrize("group", [IN_THE_BODY, AT_THE_END])
async def test_a_group_that_converts_the_callers_cancellation_stops_the_chain(group: Any) -> None:
    """Its ExceptionGroup comes out, as it would from the bare function: the caller's task was cancelled."""
    providers = script(a=group(converts(hangs(), HTTPStatusError(503))), b=answers(0))

    task, took = await cancelled_at(providers.ask()(), 20)

    assert isinstance(task.exception(), ExceptionGroup)
    assert took == 20
    assert list(providers.started) == ["a"]


@pytest.mark.parametrize("group", [IN_THE_BODY, AT_THE_END])
@pytest.mark.parametrize("racing", [None, 500])
async def test_a_group_whose_child_fails_by_itself_fails_over(group: Any, racing: float | None) -> None:
    """Nobody cancelled anything from outside, whatever the count says afterwards."""
    providers = script(a=group(busy(10)), b=group(busy(10)), c=answers(0))

    outcome = await providers.ask(race_after_ms=racing).outcome()

    assert outcome.value == "c"
    assert statuses(outcome.record) == {"a": "failed", "b": "failed", "c": "succeeded"}


async def test_after_a_group_has_failed_the_callers_cancellation_still_counts() -> None:
    """The count that a group leaves behind does not use up the next one."""
    error = ConnectionResetError("closed by cancel")
    providers = script(a=in_a_group(busy(10), hangs()), b=converts(hangs(), error), c=answers(0))

    task, _ = await cancelled_at(providers.ask()(), 30)

    assert task.exception() is error
    assert list(providers.started) == ["a", "b"]


@pytest.mark.parametrize("turns", [0, 1])
async def test_a_failure_that_is_there_when_the_caller_cancels_is_a_failure(turns: int) -> None:
    """Nobody had looked yet; it was answered with 429 all the same, and that is free."""
    rings = asyncio.Event()

    async def fails_then(attempt: Attempt) -> object:
        await rings.wait()
        raise HTTPStatusError(429)

    providers = script(a=fails_then, b=answers(0))
    async with routeware.session(limit_usd=1) as spending:
        call = providers.ask(usd={"a": 0.5, "b": 0.5}, race_after_ms=1000)()
        task = asyncio.get_running_loop().create_task(call)
        await pause(20)
        rings.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    assert task.cancelled()
    (attempt,) = providers.records[0].attempts
    assert attempt.status == "failed"
    assert attempt.error is not None
    assert attempt.error.status == 429
    assert (attempt.cost_usd, providers.records[0].uncertain_usd) == (0, 0)
    assert (spending.uncertain_usd, spending.reserved_usd) == (0, 0)
    assert providers.records[0].outcome == "cancelled"


async def test_an_answer_that_is_there_when_the_caller_cancels_was_paid_for() -> None:
    """Its caller is gone: it is cancelled, at its real cost, and closed."""
    rings = asyncio.Event()
    late = Closable()

    async def answers_then(attempt: Attempt) -> object:
        await rings.wait()
        attempt.report_cost(0.25)
        return late

    providers = script(a=answers_then, b=answers(0))
    task = asyncio.get_running_loop().create_task(providers.ask(usd={"a": 0.5, "b": 0.5}, race_after_ms=1000)())
    await pause(20)
    rings.set()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert statuses(providers.records[0]) == {"a": "cancelled"}
    assert (providers.records[0].cost_usd, late.closed) == (0.25, 1)


@pytest.mark.parametrize("racing", [None, 20, 1000])
@pytest.mark.parametrize("chain", ["ab", "a"])
async def test_a_time_out_and_the_deadline_at_once_are_the_deadline(racing: float | None, chain: str) -> None:
    """With racing and without: the call is out of time, and nothing else may be started."""
    providers = script(**{name: hangs() for name in chain})

    with pytest.raises(DeadlineExceededError) as raised:
        await providers.ask(timeouts={"a": 50}, deadline_ms=50, race_after_ms=racing)()

    record = record_of(raised.value)
    assert record is not None
    assert record.outcome == "deadline_exceeded"
    assert set(statuses(record).values()) == {"cancelled"}
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("racing", [None, 1000])
async def test_a_time_out_a_millisecond_before_the_deadline_is_a_time_out(racing: float | None) -> None:
    """It has failed, and the next link has that millisecond."""
    providers = script(a=hangs(), b=hangs())

    with pytest.raises(DeadlineExceededError) as raised:
        await providers.ask(timeouts={"a": 49}, deadline_ms=50, race_after_ms=racing)()

    assert statuses(record_of(raised.value)) == {"a": "failed", "b": "cancelled"}
    assert isinstance(raised.value.__cause__, routeware.AttemptTimeoutError)


async def test_a_provider_that_cancels_itself_after_a_group_has_failed_is_no_cancelled_caller() -> None:
    """Before CPython 3.13 the group can leave its own cancellation counted in the caller's task."""
    providers = script(a=in_a_group(fails(5, HTTPStatusError(503))), b=cancels_itself(5), c=answers(0))

    assert await providers.ask()() == "c"
