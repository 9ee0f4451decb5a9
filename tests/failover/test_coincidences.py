"""Corners: two rare things at once."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

import pytest

import routeware
from routeware import Attempt, MemoryLedger, Price, Usage, current_session
from tests.fakes.providers import (
    Closable,
    HTTPStatusError,
    answers,
    busy,
    cancelled_at,
    cleans_up,
    fails,
    hangs,
    pause,
    reports,
    script,
    statuses,
    stopwatch,
    stubborn,
    uses,
)
from tests.fakes.tracing import Traces


class SlowToClose(Closable):
    """Takes 100 ms to be closed."""

    async def aclose(self) -> None:
        await pause(100)
        self.closed += 1


async def test_notes_hold_no_text_even_where_records_do() -> None:
    """`observe.error_messages` is about records and spans; notes have category, status, class and times."""
    error = HTTPStatusError(503, "no such key: sk-live-1234")

    with pytest.raises(HTTPStatusError):
        await script(a=busy(), b=fails(0, error)).ask(error_messages=True)()

    assert "sk-live-1234" not in "".join(error.__notes__)
    assert "HTTPStatusError" in error.__notes__[1]


async def test_notes_name_the_class_beside_a_code() -> None:
    """Class, and what the provider's machine said."""
    error = HTTPStatusError(429, code="insufficient_quota")

    with pytest.raises(HTTPStatusError):
        await script(a=fails(0, error)).ask()()

    assert "HTTPStatusError" in error.__notes__[0]


async def test_cancelled_while_a_losers_result_is_closed_the_winners_is_closed_too() -> None:
    """The caller of the winner is gone as well."""
    won, lost = Closable(), SlowToClose()
    providers = script(a=answers(100, won), b=answers(50, lost))

    task, _ = await cancelled_at(providers.ask(race_after_ms=50)(), 150)

    assert task.cancelled()
    assert (won.closed, lost.closed) == (1, 1)


async def test_a_results_closing_is_waited_for_with_the_losers() -> None:
    """At most 250 ms together; nothing of it is lost."""
    won, lost = Closable(), SlowToClose()
    took = stopwatch()

    assert await script(a=answers(100, won), b=answers(50, lost)).ask(race_after_ms=50)() is won

    assert took() == 200
    assert lost.closed == 1


@pytest.mark.parametrize("closed", [0, 30])
async def test_a_result_of_a_straggler_is_closed(closed: float) -> None:
    """When it comes, long after everybody has left."""
    late = SlowToClose() if closed else Closable()
    providers = script(a=stubborn(1000, hangs(), then=answers(0, late)), b=answers(0))

    assert await providers.ask(race_after_ms=10)() == "b"
    await pause(5000)

    assert late.closed == 1


async def test_an_attempt_that_timed_out_in_a_race_is_settled_when_it_ends() -> None:
    """It said that it cost nothing: there is room for the next link long before the call is over."""
    providers = script(a=reports(0, hangs()), b=busy(200), c=answers(0))

    outcome = await providers.ask(
        usd={"a": 0.25, "b": 0, "c": 0.25}, per_call_usd=0.25, timeouts={"a": 100}, race_after_ms=1000
    ).outcome()

    assert outcome.value == "c"
    assert statuses(outcome.record) == {"a": "failed", "b": "failed", "c": "succeeded"}


async def test_a_session_gets_back_what_a_timed_out_attempt_did_not_cost() -> None:
    """When it has ended, and not only when its call has."""
    seen: list[tuple[float, float]] = []

    async with routeware.session(limit_usd=1) as spending:

        async def look(attempt: Attempt) -> str:
            await pause(100)
            seen.append((spending.spent_usd, spending.reserved_usd))
            return "done"

        providers = script(a=reports(0.125, cleans_up(10, hangs())), b=look, c=hangs())
        await providers.ask(usd={"a": 0.25, "b": 0.5, "c": 0}, timeouts={"a": 100}, race_after_ms=1000)()

    assert seen == [(0.125, 0.5)]


class Broken:
    """A tariff whose catalogue breaks when it is asked for a cost."""

    def __init__(self) -> None:
        self.broken = False

    def find(self, provider: str, model: str) -> Broken:
        return self

    def cost_usd(self, usage: Usage, at: datetime) -> float | None:
        if self.broken:
            raise LookupError("no such day")
        return 0.25

    def price(self, at: datetime) -> Price | None:
        if self.broken:
            raise LookupError("no such day")
        return None


@pytest.mark.parametrize("in_session", [False, True])
@pytest.mark.parametrize("racing", [None, 50])
async def test_an_answer_is_not_lost_to_a_tariff_that_breaks(in_session: bool, racing: float | None) -> None:
    """Never worse than the bare call: the answer is there, and its cost is unknown."""
    book = Broken()

    async def run(attempt: Attempt) -> str:
        attempt.report_usage(input_tokens=1, output_tokens=1)
        book.broken = True
        return "done"

    ask = script(a=run, b=hangs()).ask(race_after_ms=racing, options={"prices": book})

    if not in_session:
        assert await ask() == "done"
        return
    async with routeware.session(limit_usd=1) as spending:
        assert await ask() == "done"
        assert spending.reserved_usd == 0


@pytest.mark.parametrize("racing", [None, 10])
async def test_a_coroutine_that_is_closed_leaves_nothing(racing: float | None) -> None:
    """A call that is thrown away half-way: spans end, money is booked, tasks end."""
    traces = Traces()
    providers = script(a=hangs(), b=hangs())

    async with routeware.session(limit_usd=1) as spending:
        call: Coroutine[Any, Any, Any] = providers.ask(
            race_after_ms=racing, usd={"a": 0.25, "b": 0.25}, options=traces.options
        )()
        task = asyncio.current_task()
        assert task is not None
        future = call.send(None)
        await pause(50 if racing is None else 5)
        call.close()
        if future is not None:
            future.cancel()
        await pause(1)
        assert spending.reserved_usd == 0

    assert len(traces.spans) == len(providers.started) + 1
    assert providers.records[0].outcome == "cancelled"


async def test_a_deadline_that_passes_while_losers_clean_up_cancels_nobody() -> None:
    """The answer was there in time; what is left is clean-up."""
    providers = script(a=cleans_up(100, hangs()), b=answers(0))

    assert await providers.ask(race_after_ms=50, deadline_ms=80)() == "b"


async def test_a_provider_may_open_a_session_of_its_own() -> None:
    """Inside its attempt; what it spends there counts outside, too, and its own reservation stands."""

    async def run(attempt: Attempt) -> object:
        async with routeware.session("inside", limit_usd=1) as inside:
            await script(x=reports(0.125, answers(0))).ask(usd={"x": 0.25})()
            return inside.spent_usd

    async with routeware.session("outside", limit_usd=1) as outside:
        assert await script(a=run).ask(usd={"a": 0.5})() == 0.125
        assert current_session() is outside
        assert (outside.spent_usd, outside.reserved_usd) == (0.125, 0)


async def test_a_race_inside_a_race() -> None:
    """The inner call is cut off with the attempt that made it; nothing runs on, nothing is reserved."""
    inner = script(x=cleans_up(20, hangs()), y=cleans_up(30, hangs()))

    async def nest(attempt: Attempt) -> object:
        return await inner.ask(race_after_ms=10, usd={"x": 0.25, "y": 0.25})()

    async with routeware.session(limit_usd=2) as spending:
        outer = script(a=nest, b=answers(50))
        took = stopwatch()
        assert await outer.ask(race_after_ms=50, usd={"a": 0.5, "b": 0.5})() == "b"
        assert took() == 130
        assert spending.reserved_usd == 0
        assert spending.uncertain_usd == 1

    assert inner.records[0].outcome == "cancelled"
    assert set(inner.ended) == {"x", "y"}


async def test_a_straggler_that_makes_a_call_is_on_its_own() -> None:
    """It was cut off long ago, and its session may have been left: it gets an error, and harms nobody."""

    async def calls_late(attempt: Attempt) -> object:
        return await script(x=answers(0)).ask(usd={"x": 0.25})()

    providers = script(a=stubborn(10_000, hangs(), then=calls_late), b=answers(0))

    async with routeware.session(limit_usd=2) as spending:
        assert await providers.ask(race_after_ms=10, usd={"a": 0.25, "b": 0.25})() == "b"
    await pause(20_000)

    assert spending.reserved_usd == 0


async def test_reports_of_a_straggler_after_its_session_was_left_correct_it() -> None:
    """Late is better than never."""
    providers = script(a=stubborn(10_000, hangs(), then=reports(0.125, answers(0))), b=reports(0, answers(0)))

    async with routeware.session(limit_usd=2) as spending:
        await providers.ask(race_after_ms=10, usd={"a": 0.25, "b": 0.25})()
    assert (spending.uncertain_usd, spending.reserved_usd) == (0.25, 0)
    await pause(20_000)

    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.125, 0, 0)


async def test_usage_that_cannot_be_priced_is_uncertain() -> None:
    """Half of the usage is unknown: the attempt is booked at its projection, and the usage is kept."""
    price = {"input_usd_per_mtok": 1_000_000.0, "output_usd_per_mtok": 1_000_000.0}
    ask = script(a=uses(answers(0), input_tokens=3)).ask(links={"a": {"price": price, "max_output_tokens": 10}})

    record = (await ask.outcome()).record

    assert record.attempts[0].cost_source == "estimated"
    assert record.uncertain_usd is not None
    assert record.uncertain_usd >= 10
    assert record.attempts[0].usage == Usage(input_tokens=3)


async def test_a_ledger_that_is_shared_by_nested_sessions_and_a_race_adds_up() -> None:
    """Two names, one of them twice, a loser and a winner."""
    ledger = MemoryLedger()

    async with (
        routeware.session("team", limit_usd=2, ledger=ledger) as team,
        routeware.session("day", limit_usd=2, ledger=ledger) as day,
        routeware.session("team", limit_usd=2, ledger=ledger) as again,
    ):
        await script(a=hangs(), b=reports(0.5, answers(0))).ask(race_after_ms=10, usd={"a": 0.25, "b": 0.5})()

    for spending in (team, day, again):
        assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.5, 0.25, 0)


async def test_warnings_about_guessed_output_come_once(caplog: pytest.LogCaptureFixture) -> None:
    """Under a cap, where neither an argument nor the link says how much may be answered."""
    providers = script(a=answers(0))
    ask = providers.ask(links={"a": {"price": {"output_usd_per_mtok": 1.0}}}, per_call_usd=1)

    with caplog.at_level(logging.WARNING, "routeware"):
        for _ in range(3):
            providers.again()
            await ask()

    warnings = [record.getMessage() for record in caplog.records if record.name == "routeware"]
    assert len([words for words in warnings if "how much it may answer" in words]) == 1
    assert len([words for words in warnings if "no usage can be read" in words]) == 1
    assert len(warnings) == 2


async def test_calls_leave_no_garbage_circles() -> None:
    """A service makes millions of them."""
    providers = script(a=busy(), b=answers(0))
    ask = providers.ask()
    for racing in (None, 10):
        view = ask.with_options(race_after_ms=racing)
        providers.again()
        await view()
        gc.collect()
        gc.collect()  # what a closed loop of an earlier test was told of is resurrected by the first
        gc.disable()
        try:
            providers.again()
            await view()
            assert not [found for found in _collected() if "routeware" in type(found).__module__]
        finally:
            gc.enable()


def _collected() -> list[object]:
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
