"""What an attempt cost: what was said, what cannot have been, and what may have been."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

import routeware
from routeware import Attempt, Price, Usage
from tests.fakes.providers import (
    MTOK,
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
    stubborn,
    uses,
)


async def test_a_cost_that_was_reported_counts() -> None:
    """Source: reported."""
    outcome = await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.5}).outcome()

    attempt = outcome.record.attempts[0]
    assert (attempt.cost_usd, attempt.cost_source) == (0.125, "reported")
    assert (outcome.record.cost_usd, outcome.record.uncertain_usd, outcome.record.wasted_usd) == (0.125, 0, 0)


async def test_usage_that_was_reported_is_priced() -> None:
    """Source: priced; the usage is in the record."""
    ask = script(a=uses(answers(0), input_tokens=3, output_tokens=4)).ask(links={"a": {"price": MTOK}})

    outcome = await ask.outcome()

    attempt = outcome.record.attempts[0]
    assert (attempt.cost_usd, attempt.cost_source) == (7, "priced")
    assert attempt.usage == Usage(input_tokens=3, output_tokens=4)
    assert attempt.price == Price(**MTOK)


async def test_a_later_report_replaces_an_earlier_one() -> None:
    """They are not added up."""
    ask = script(a=uses(uses(answers(0), input_tokens=3, output_tokens=4), input_tokens=1, output_tokens=1)).ask(
        links={"a": {"price": MTOK}}
    )

    assert (await ask.outcome()).record.cost_usd == 7
    assert (await script(a=reports(0.1, reports(0.2, answers(0)))).ask().outcome()).record.cost_usd == 0.2


async def test_a_reply_is_read_and_given_back() -> None:
    """`report(reply)` returns the reply."""
    reply = {"model": "m-2026", "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}}

    async def run(attempt: Attempt) -> str:
        assert attempt.report(reply) is reply
        return "text"

    outcome = await script(a=run).ask(links={"a": {"price": MTOK}}).outcome()

    assert outcome.record.cost_usd == 11


async def test_usage_is_read_from_the_result_where_nothing_was_reported() -> None:
    """In the shape of an API that is known."""
    reply = {"usage": {"input_tokens": 5, "output_tokens": 6}, "content": [], "type": "message"}

    outcome = await script(a=answers(0, reply)).ask(links={"a": {"price": MTOK}}).outcome()

    assert outcome.record.attempts[0].usage == Usage(input_tokens=5, output_tokens=6)
    assert outcome.record.cost_usd == 11


async def test_usage_is_read_from_the_error_where_nothing_was_reported() -> None:
    """Parse errors of SDKs carry the completion that was paid for."""

    class LengthError(Exception):
        def __init__(self) -> None:
            self.completion = {"usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}}

    ask = script(a=fails(0, LengthError()), b=reports(1, answers(0))).ask(
        on_error_kinds="any", links={"a": {"price": MTOK}}
    )

    outcome = await ask.outcome()

    assert outcome.record.attempts[0].cost_usd == 11
    assert outcome.record.wasted_usd == 11


async def test_an_answer_without_usage_is_booked_at_its_projection() -> None:
    """As uncertain; source: estimated."""
    async with routeware.session() as spending:
        outcome = await script(a=answers(0)).ask(usd={"a": 0.25}).outcome()

        attempt = outcome.record.attempts[0]
        assert attempt.cost_source == "estimated"
        assert (outcome.record.cost_usd, outcome.record.uncertain_usd) == (0, 0.25)
        assert (spending.spent_usd, spending.uncertain_usd) == (0, 0.25)


async def test_an_hour_of_refused_connections_costs_nothing() -> None:
    """The connection was never made."""
    providers = script(a=fails(1000, ConnectionRefusedError()))
    ask = providers.ask(usd={"a": 0.1})

    async with routeware.session(limit_usd=0.1) as spending:
        for _ in range(3600):
            providers.again()
            with pytest.raises(ConnectionRefusedError):
                await ask()

    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0, 0, 0)


async def test_an_hour_of_read_time_outs_does_not() -> None:
    """Each may have been billed: the session is soon full."""
    ran = 0

    async with routeware.session(limit_usd=1) as spending:
        for _ in range(60):
            providers = script(a=hangs())
            with pytest.raises((TimeoutError, routeware.BudgetExceededError)):
                await providers.ask(usd={"a": 0.1}, timeouts={"a": 60_000})()
            ran += len(providers.started)

    assert ran == 10
    assert (spending.spent_usd, spending.uncertain_usd) == (0, 1)


async def test_an_answered_error_costs_nothing() -> None:
    """The provider said no."""
    async with routeware.session() as spending:
        with pytest.raises(HTTPStatusError):
            await script(a=busy(), b=fails(0, HTTPStatusError(400))).ask(usd={"a": 0.1, "b": 0.1})()

    assert (spending.spent_usd, spending.uncertain_usd) == (0, 0)


async def test_an_exception_while_the_answer_is_parsed_does_not_make_it_free() -> None:
    """It was answered, and that was billed."""

    async def parses(attempt: Attempt) -> object:
        return json.loads("<html>")

    async with routeware.session() as spending:
        with pytest.raises(ValueError, match="Expecting value"):
            await script(a=parses).ask(usd={"a": 0.1})()

    assert spending.uncertain_usd == 0.1


async def test_a_dropped_connection_is_uncertain() -> None:
    """Nobody knows what the provider had done by then."""
    async with routeware.session() as spending:
        await script(a=fails(0, ConnectionResetError()), b=reports(0.5, answers(0))).ask(usd={"a": 0.1, "b": 1})()

    assert (spending.spent_usd, spending.uncertain_usd) == (0.5, 0.1)


async def test_a_rejected_result_was_paid_for() -> None:
    """At what was reported, or at its projection."""
    ask = script(a=reports(0.125, answers(0)), b=answers(0), c=reports(0.5, answers(0))).ask(
        usd={"a": 1, "b": 0.25, "c": 1}
    )
    ask.accept(lambda result: result == "c")

    record = (await ask.outcome()).record

    assert (record.cost_usd, record.uncertain_usd, record.wasted_usd) == (0.625, 0.25, 0.375)


async def test_a_report_before_a_failure_counts() -> None:
    """Also where the error by itself would have cost nothing."""
    async with routeware.session() as spending:
        with pytest.raises(HTTPStatusError):
            await script(a=reports(0.125, busy())).ask(usd={"a": 1})()

    assert (spending.spent_usd, spending.uncertain_usd) == (0.125, 0)


async def test_a_report_before_a_cancellation_counts() -> None:
    """The caller's, or a lost race's."""
    async with routeware.session() as spending:
        await cancelled_at(script(a=reports(0.125, hangs())).ask(usd={"a": 1})(), 20)
        assert (spending.spent_usd, spending.uncertain_usd) == (0.125, 0)

        providers = script(a=reports(0.25, hangs()), b=reports(0.5, answers(0)))
        record = (await providers.ask(usd={"a": 1, "b": 1}, race_after_ms=10).outcome()).record

    assert (record.cost_usd, record.uncertain_usd, record.wasted_usd) == (0.75, 0, 0.25)
    assert spending.spent_usd == 0.875


async def test_a_loser_counts_at_its_projection() -> None:
    """Cancelling a request does not mean that the provider stops billing."""
    async with routeware.session() as spending:
        providers = script(a=hangs(), b=reports(0.5, answers(0)))
        record = (await providers.ask(usd={"a": 0.25, "b": 1}, race_after_ms=10).outcome()).record

    assert (record.cost_usd, record.uncertain_usd, record.wasted_usd) == (0.5, 0.25, 0.25)
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.5, 0.25, 0)


async def test_a_report_during_clean_up_counts() -> None:
    """A loser that reads its usage while it is cut off."""

    async def reports_late(attempt: Attempt) -> object:
        try:
            return await hangs()(attempt)
        finally:
            attempt.report_cost(0.125)

    record = (
        await script(a=reports_late, b=reports(0.5, answers(0))).ask(usd={"a": 1, "b": 1}, race_after_ms=10).outcome()
    ).record

    assert (record.cost_usd, record.uncertain_usd) == (0.625, 0)


async def test_a_report_after_an_attempt_was_settled_corrects_the_books() -> None:
    """The session's; the record is history."""
    providers = script(a=answers(0))

    async with routeware.session(limit_usd=1) as spending:
        record = (await providers.ask(usd={"a": 0.25}).outcome()).record
        assert (spending.spent_usd, spending.uncertain_usd) == (0, 0.25)

        providers.attempts["a"].report_cost(0.125)
        await pause(1)

        assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.125, 0, 0)
        providers.attempts["a"].report_cost(0.5)
        await pause(1)
        assert (spending.spent_usd, spending.uncertain_usd) == (0.5, 0)

    assert record.uncertain_usd == 0.25


async def test_a_straggler_is_booked_when_it_ends() -> None:
    """Its reservation stays until then; the record has it estimated."""
    providers = script(a=stubborn(1000, hangs()), b=reports(0.5, answers(0)))

    async with routeware.session(limit_usd=2) as spending:
        record = (await providers.ask(usd={"a": 0.25, "b": 1}, race_after_ms=10).outcome()).record

        assert (record.cost_usd, record.uncertain_usd) == (0.5, 0.25)
        assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.5, 0, 0.25)
        await pause(2000)
        assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.5, 0.25, 0)


async def test_only_the_session_is_corrected_by_a_straggler() -> None:
    """It said what it cost when nobody was waiting for it any more."""
    late = stubborn(1000, hangs(), then=reports(0.125, answers(0)))
    providers = script(a=late, b=reports(0.5, answers(0)))

    async with routeware.session(limit_usd=2) as spending:
        record = (await providers.ask(usd={"a": 0.25, "b": 1}, race_after_ms=10).outcome()).record

    assert (record.cost_usd, record.uncertain_usd) == (0.5, 0.25)
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.625, 0, 0)


async def test_leaving_a_session_waits_for_its_stragglers() -> None:
    """Until they end."""
    loop = asyncio.get_running_loop()
    providers = script(a=stubborn(1000, hangs()), b=answers(0))

    async with routeware.session() as spending:
        await providers.ask(usd={"a": 0.25, "b": 1}, race_after_ms=10)()

    assert loop.time() == pytest.approx(1.01)
    assert spending.reserved_usd == 0


async def test_leaving_a_session_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """Five seconds at most: then the projection stays as uncertain, and what is still reserved is logged."""
    loop = asyncio.get_running_loop()
    providers = script(a=stubborn(20_000, hangs()), b=reports(0.5, answers(0)))

    async with routeware.session("tenant-7") as spending:
        await providers.ask(usd={"a": 0.25, "b": 1}, race_after_ms=10)()
        left = loop.time()

    assert loop.time() - left == pytest.approx(5)
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.5, 0.25, 0)
    assert any("tenant-7" in record.getMessage() for record in caplog.records if record.name.startswith("routeware"))
    await pause(20_000)
    assert spending.uncertain_usd == 0.25


async def test_an_attempt_that_costs_more_than_its_projection_is_settled_at_what_it_cost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It may pass the cap, and is logged once per link."""
    runs = 0

    async def run(attempt: Attempt) -> str:
        nonlocal runs
        runs += 1
        attempt.report_cost(0.75)
        return "done"

    providers = script(a=run)
    ask = providers.ask(usd={"a": 0.25})

    with caplog.at_level(logging.WARNING, "routeware"):
        async with routeware.session(limit_usd=1) as spending:
            for _ in range(2):
                providers.again()
                await ask()
            assert spending.spent_usd == 1.5
            assert spending.remaining_usd == 0
            providers.again()
            with pytest.raises(routeware.BudgetExceededError):
                await ask()

    assert runs == 2
    assert len([record for record in caplog.records if "projected at" in record.getMessage()]) == 1


async def test_settling_is_not_lost_to_a_second_cancellation() -> None:
    """Cancelled in the middle of its clean-up: what it may have cost is booked all the same."""
    async with routeware.session(limit_usd=1) as spending:
        task, _ = await cancelled_at(script(a=cleans_up(100, hangs())).ask(usd={"a": 0.25})(), 20, 30, 30)

        assert task.cancelled()
        assert (spending.uncertain_usd, spending.reserved_usd) == (0.25, 0)
