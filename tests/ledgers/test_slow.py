"""Ledgers that are slow to hear what a call cost, or late with what they grant: the answer does not wait for them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import routeware
from routeware import Attempt, LedgerUnavailableError, record_of
from tests.fakes.ledgers import Remote
from tests.fakes.providers import (
    HTTPStatusError,
    answers,
    busy,
    cancelled_at,
    fails,
    hangs,
    pause,
    reports,
    script,
    statuses,
    stopwatch,
    stubborn,
)
from tests.fakes.tracing import Traces, logged

SLOW_MS = 800
WAYS: list[dict[str, Any]] = [{}, {"race_after_ms": 500}]


@pytest.mark.parametrize("settings", WAYS)
@pytest.mark.parametrize(("deadline", "expected"), [(None, 260), (100, 100), (200, 200), (10_000, 260)])
async def test_an_answer_waits_a_quarter_of_a_second_and_never_past_the_deadline(
    settings: dict[str, Any], deadline: float | None, expected: float
) -> None:
    """The session waits for the rest, and has it right then."""
    providers = script(a=reports(0.125, answers(10)), b=hangs())
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=SLOW_MS)) as spending:
        assert await providers.ask(usd={"a": 0.25, "b": 0.25}, deadline_ms=deadline, **settings)() == "a"
        assert took() == expected

    assert (spending.spent_usd, spending.reserved_usd) == (0.125, 0)


@pytest.mark.parametrize("settings", WAYS)
@pytest.mark.parametrize(("deadline", "expected"), [(None, 270), (100, 100), (10_000, 270)])
async def test_a_cancellation_waits_no_longer(
    settings: dict[str, Any], deadline: float | None, expected: float
) -> None:
    """Nor past the deadline of a call that is over."""
    ask = script(a=hangs(), b=hangs()).ask(usd={"a": 0.25, "b": 0.25}, deadline_ms=deadline, **settings)

    async with routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=SLOW_MS)) as spending:
        task, took = await cancelled_at(ask(), 20)

    assert task.cancelled()
    assert took == expected
    assert (spending.uncertain_usd, spending.reserved_usd) == (0.25, 0)


@pytest.mark.parametrize("settings", WAYS)
async def test_an_error_waits_no_longer(settings: dict[str, Any]) -> None:
    """The last provider error comes out in time, too."""
    ask = script(a=fails(10, HTTPStatusError(400)), b=hangs()).ask(usd={"a": 0.25, "b": 0.25}, **settings)
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=SLOW_MS)):
        with pytest.raises(HTTPStatusError):
            await ask()
        assert took() == 260


@pytest.mark.parametrize("settings", WAYS)
async def test_the_deadline_waits_for_no_ledger(settings: dict[str, Any]) -> None:
    """When it comes, it is over."""
    ask = script(a=hangs(), b=hangs()).ask(usd={"a": 0.25, "b": 0.25}, deadline_ms=100, **settings)
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=SLOW_MS)) as spending:
        with pytest.raises(routeware.DeadlineExceededError):
            await ask()
        assert took() == 100

    assert (spending.uncertain_usd, spending.reserved_usd) == (0.25, 0)


async def test_losers_results_and_ledgers_share_the_quarter_of_a_second() -> None:
    """250 ms together, whatever is waited for."""
    providers = script(a=stubborn(2000, hangs()), b=answers(10))
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=SLOW_MS)):
        assert await providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=10)() == "b"
        assert took() == 270


async def test_a_failover_under_a_deadline_waits_for_the_ledger_no_longer_than_that() -> None:
    """What the attempt before gave back has to be there before more is asked for: it is not, in time."""
    providers = script(a=busy(10), b=answers(0))
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=SLOW_MS)):
        with pytest.raises(routeware.DeadlineExceededError) as raised:
            await providers.ask(usd={"a": 0.25, "b": 0.25}, deadline_ms=100)()
        assert took() == 100

    assert isinstance(raised.value.__cause__, HTTPStatusError)
    assert list(providers.started) == ["a"]


async def test_a_call_inside_an_attempt_keeps_its_deadline_while_a_ledger_is_told() -> None:
    """The outer attempt holds nothing from here on; a ledger that is slow to hear that delays nobody."""
    inner = script(x=answers(10))
    took: list[float] = []

    async def nest(attempt: Attempt) -> object:
        clock = stopwatch()
        try:
            return await inner.ask(usd={"x": 0.25}, deadline_ms=50)()
        except TimeoutError:
            return "late"
        finally:
            took.append(clock())

    async with routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=SLOW_MS)):
        await script(a=nest).ask(usd={"a": 0.25})()

    assert took[0] <= 50


class Unreachable(Remote):
    """A ledger that says why it cannot be reached."""

    def __init__(self, cause: BaseException | None, after: int = 0) -> None:
        super().__init__()
        self.cause = cause
        self.after = after

    async def hold(self, id: str, tallies: Any, nanos: int, /) -> Any:
        if self.holds < self.after:
            return await super().hold(id, tallies, nanos)
        raise LedgerUnavailableError("redis is away") from self.cause


@pytest.mark.parametrize("deadline", [None, 1000])
async def test_a_ledgers_error_keeps_its_cause(deadline: float | None) -> None:
    """That is what has to be mended."""
    cause = ConnectionRefusedError("6379")

    async with routeware.session("day", limit_usd=1, ledger=Unreachable(cause)):
        with pytest.raises(LedgerUnavailableError) as raised:
            await script(a=answers(0)).ask(usd={"a": 0.25}, deadline_ms=deadline)()

    assert raised.value.__cause__ is cause


async def test_a_ledgers_error_on_a_failover_keeps_its_cause() -> None:
    """The provider's error is in the record."""
    cause = ConnectionRefusedError("6379")

    async with routeware.session("day", limit_usd=1, ledger=Unreachable(cause, after=1)):
        with pytest.raises(LedgerUnavailableError) as raised:
            await script(a=busy(), b=answers(0)).ask(usd={"a": 0.25, "b": 0.25})()

    assert raised.value.__cause__ is cause
    assert statuses(record_of(raised.value)) == {"a": "failed"}


async def test_a_ledgers_error_without_a_cause_is_from_the_providers() -> None:
    """Where it has none of its own."""
    error = HTTPStatusError(503)

    async with routeware.session("day", limit_usd=1, ledger=Unreachable(None, after=1)):
        with pytest.raises(LedgerUnavailableError) as raised:
            await script(a=fails(0, error), b=answers(0)).ask(usd={"a": 0.25, "b": 0.25})()

    assert raised.value.__cause__ is error


async def test_a_hold_that_is_granted_when_the_primary_has_failed_is_a_failover(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Asked for at 10 as a backup, granted at 60; the primary failed at 30: there is nothing left to race."""
    traces = Traces()
    providers = script(a=busy(30), b=reports(0.125, answers(10)), c=hangs())

    with caplog.at_level(logging.DEBUG, "routeware"):
        async with routeware.session("day", limit_usd=1, ledger=Remote(hold_ms=[0, 50])) as spending:
            usd = {"a": 0.25, "b": 0.25, "c": 0.25}
            outcome = await providers.ask(usd=usd, race_after_ms=10, options=traces.options).outcome()

    assert outcome.value == "b"
    assert [str(attempt.trigger) for attempt in outcome.record.attempts] == ["initial", "failover"]
    assert outcome.record.attempts[1].started_ms == 60
    assert traces.events == []
    assert not {"race_started", "race_won", "race_lost"} & logged(caplog.records).keys()
    assert dict(traces.attempts["b"].attributes or {})["routeware.attempt.trigger"] == "failover"
    assert (spending.spent_usd, spending.reserved_usd) == (0.125, 0)


async def test_a_hold_that_is_granted_in_time_is_a_race() -> None:
    """The same hold, with the primary still running."""
    traces = Traces()
    providers = script(a=hangs(), b=answers(10))

    async with routeware.session("day", limit_usd=1, ledger=Remote(hold_ms=[0, 50])):
        usd = {"a": 0.25, "b": 0.25}
        outcome = await providers.ask(usd=usd, race_after_ms=10, options=traces.options).outcome()

    assert [str(attempt.trigger) for attempt in outcome.record.attempts] == ["initial", "race"]
    assert [name.rpartition(".")[2] for name in traces.events] == ["race_started", "race_lost", "race_won"]
    await pause(1)


async def test_a_failover_that_came_late_may_be_raced_again() -> None:
    """It is an ordinary start: the race timer runs from it."""
    providers = script(a=busy(30), b=hangs(), c=answers(10))

    async with routeware.session("day", limit_usd=1, ledger=Remote(hold_ms=[0, 50])):
        usd = {"a": 0.25, "b": 0.25, "c": 0.25}
        outcome = await providers.ask(usd=usd, race_after_ms=10).outcome()

    assert outcome.value == "c"
    assert [str(attempt.trigger) for attempt in outcome.record.attempts] == ["initial", "failover", "race"]
    assert providers.started["c"] == 70
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
