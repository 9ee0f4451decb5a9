"""What is left behind: calls that are thrown away, sessions that are left too early, results that nobody gets."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

import routeware
from routeware import Attempt, CallRecord, MemoryLedger, record_of
from tests.fakes.ledgers import Remote
from tests.fakes.providers import (
    Behaviour,
    Closable,
    answers,
    busy,
    cleans_up,
    fails,
    hangs,
    in_a_group,
    pause,
    script,
    stubborn,
)
from tests.fakes.teardown import started


async def test_a_result_that_comes_after_its_call_was_closed_is_closed() -> None:
    """The attempt ignores that it was cut off, and answers when nobody is there."""
    late = Closable()
    providers = script(a=stubborn(100, hangs(), then=answers(0, late)), b=hangs())

    call = providers.ask(race_after_ms=10)()
    future = call.send(None)
    await pause(5)
    call.close()
    future.cancel()
    await pause(1000)

    assert late.closed == 1


def test_an_attempt_that_was_still_leaving_when_the_loop_was_closed_is_left_like_the_others() -> None:
    """One had timed out, one was in flight: neither will ever end, and what both hold stays held."""
    records: list[CallRecord] = []
    sessions: list[routeware.Session] = []
    providers = script(a=cleans_up(1000, hangs()), b=hangs(), c=hangs())
    ask = providers.ask(
        usd={"a": 0.25, "b": 0.25, "c": 0.25},
        timeouts={"a": 20},
        race_after_ms=500,
        options={"on_call": records.append},
    )

    async def inside() -> None:
        spending = routeware.session("day", limit_usd=1, ledger=MemoryLedger())
        sessions.append(spending)
        await spending.__aenter__()
        await ask()

    call, _ = started(inside)
    call.close()

    assert [str(attempt.status) for attempt in records[0].attempts] == ["failed", "cancelled"]
    assert records[0].uncertain_usd == 0.5
    assert (sessions[0].uncertain_usd, sessions[0].reserved_usd) == (0, 0.5)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
async def test_a_program_that_exits_in_a_call_finds_its_record(error: BaseException) -> None:
    """It passes straight through, and `record_of` knows what had been spent by then."""
    with pytest.raises(type(error)) as raised:
        await script(a=fails(0, error), b=answers(0)).ask()()

    record = record_of(raised.value)
    assert record is not None
    assert record.outcome == "cancelled"
    assert len(record.attempts) == 1


async def test_leaving_a_session_says_what_calls_inside_still_hold(caplog: pytest.LogCaptureFixture) -> None:
    """One was started inside, and runs on outside."""
    ask = script(a=answers(1000)).ask(usd={"a": 0.25})

    async with routeware.session("day", limit_usd=1) as spending:
        task = asyncio.ensure_future(ask())
        await pause(10)

    assert "session 'day' was left with $0.250000000 still reserved" in caplog.text
    await task
    assert spending.reserved_usd == 0


async def test_what_others_hold_elsewhere_is_no_business_of_a_session_that_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In a ledger that many share somebody always holds something."""
    ledger = Remote()
    others = asyncio.ensure_future(_in_day(ledger, answers(1000)))
    await pause(10)

    await _in_day(ledger, answers(0))

    assert [record for record in caplog.records if "no usage can be read" not in record.getMessage()] == []
    await others


async def _in_day(ledger: Remote, behaviour: Behaviour) -> None:
    async with routeware.session("day", limit_usd=1, ledger=ledger):
        await script(a=behaviour).ask(usd={"a": 0.25})()


class Simple:
    """Is closed without waiting."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


class Shop:
    """Has hours, and nothing to call."""

    close = "at six"


async def _loses(result: object) -> None:
    """A call in which this result was there, in the turn in which another one won."""
    assert await script(a=answers(100, "won"), b=answers(50, result)).ask(race_after_ms=50)() == "won"


async def test_a_losers_result_is_closed_by_the_method_that_it_has() -> None:
    """Without `aclose`, `close` is called; once."""
    result = Simple()

    await _loses(result)

    assert result.closed == 1


@pytest.mark.parametrize("result", [Shop(), object(), "text", 7, {"close": "door"}], ids=lambda one: type(one).__name__)
async def test_a_losers_result_that_cannot_be_closed_is_left(result: Any, caplog: pytest.LogCaptureFixture) -> None:
    """And that is nothing to speak of."""
    await _loses(result)

    assert caplog.records == []


@pytest.mark.parametrize("besides", [None, LookupError("besides")])
async def test_a_group_that_is_only_the_cause_of_an_error_is_found(besides: Exception | None) -> None:
    """Its own cancellation is no cancellation of the caller's, wherever in the chain of errors the group is."""
    fallen = ConnectionResetError("the group failed")

    async def run(attempt: Attempt) -> object:
        try:
            return await in_a_group(busy(10), hangs())(attempt)
        except ExceptionGroup as group:
            fallen.__cause__ = group
        try:
            raise fallen
        finally:
            fallen.__context__ = besides

    assert await script(a=run, b=answers(0)).ask()() == "b"


async def test_errors_that_are_one_anothers_causes_keep_nobody_busy() -> None:
    """A caller's cancellation was swallowed: the chain of errors is searched for a group, each of them once."""
    first, second = ConnectionResetError("first"), ConnectionResetError("second")
    first.__cause__, second.__cause__ = second, first

    async def run(attempt: Attempt) -> object:
        with contextlib.suppress(asyncio.CancelledError):
            await pause(1000)
        raise first

    task = asyncio.ensure_future(script(a=run, b=answers(0)).ask()())
    await pause(10)
    task.cancel()
    await asyncio.wait([task])

    assert task.exception() is first
