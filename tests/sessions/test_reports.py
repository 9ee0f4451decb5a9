"""What a session came to: sums, calls, attempts and races, as JSON and as a table."""

from __future__ import annotations

import asyncio
import json

import pytest

import routeware
from routeware import BudgetExceededError
from tests.fakes.providers import answers, busy, cancelled_at, hangs, reports, script


async def test_calls_and_attempts_are_counted_by_what_became_of_them() -> None:
    """Per link and per status, the dearest first."""
    async with routeware.session("day", limit_usd=2) as spending:
        await script(a=reports(0.125, answers(10))).ask(usd={"a": 0.25})()
        await script(a=busy(10), b=reports(0.5, answers(10))).ask(usd={"a": 0.25, "b": 0.25})()
        await cancelled_at(script(a=hangs()).ask(usd={"a": 0.25})(), 20)
        with pytest.raises(BudgetExceededError):
            await script(a=answers(0)).ask(usd={"a": 5})()
        report = spending.report()

    assert report.calls == {"succeeded": 2, "cancelled": 1, "budget_exceeded": 1}
    assert [(row.label, row.status, row.attempts, row.spent_usd, row.uncertain_usd) for row in report.attempts] == [
        ("b", "succeeded", 1, 0.5, 0),
        ("a", "cancelled", 1, 0, 0.25),
        ("a", "succeeded", 1, 0.125, 0),
        ("a", "failed", 1, 0, 0),
    ]
    assert (report.spent_usd, report.uncertain_usd, report.remaining_usd) == (0.625, 0.25, 1.125)
    assert (report.races, report.races_won, report.race_usd) == (0, 0, 0)


async def test_races_say_what_they_cost_and_how_often_they_were_won() -> None:
    """What the losers cost is what racing cost, whoever lost."""
    usd = {"a": 0.25, "b": 0.25}
    async with routeware.session("day") as spending:
        await script(a=answers(100, "a"), b=reports(0.125, answers(10))).ask(usd=usd, race_after_ms=50)()
        await script(a=reports(0.125, answers(70)), b=answers(100)).ask(usd=usd, race_after_ms=50)()
        await script(a=reports(0.125, answers(10)), b=answers(100)).ask(usd=usd, race_after_ms=50)()
        report = spending.report()

    assert (report.races, report.races_won, report.race_usd) == (2, 1, 0.5)
    assert "2 races, 1 won by the backup; losers cost $0.50" in str(report)


async def test_a_session_reports_what_was_done_in_those_inside_it() -> None:
    """As its sums do; a fresh start counts for itself."""
    async with routeware.session("outer") as outer:
        async with routeware.session("inner") as inner:
            await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()
        async with routeware.session("apart", root=True) as apart:
            await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()

    assert [sum(one.report().calls.values()) for one in (outer, inner, apart)] == [1, 1, 1]
    assert outer.report().attempts == inner.report().attempts


async def test_what_runs_is_reserved_and_not_yet_counted() -> None:
    """A call is counted when it has ended."""
    async with routeware.session("day", limit_usd=1) as spending:
        calling = asyncio.create_task(script(a=reports(0.125, answers(10))).ask(usd={"a": 0.25})())
        await asyncio.sleep(0.005)
        report = spending.report()
        await calling

    assert (report.reserved_usd, report.calls, report.attempts) == (0.25, {}, ())


async def test_a_report_is_plain_json() -> None:
    """Its keys are its attributes."""
    async with routeware.session("day", limit_usd=1) as spending:
        await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()

    assert json.loads(json.dumps(spending.report().to_dict())) == {
        "name": "day",
        "limit_usd": 1,
        "spent_usd": 0.125,
        "uncertain_usd": 0,
        "reserved_usd": 0,
        "remaining_usd": 0.875,
        "calls": {"succeeded": 1},
        "attempts": [
            {"label": "a", "status": "succeeded", "attempts": 1, "spent_usd": 0.125, "uncertain_usd": 0},
        ],
        "races": 0,
        "races_won": 0,
        "race_usd": 0,
    }


async def test_a_report_prints_as_a_table() -> None:
    """Nothing but text."""
    async with routeware.session("day", limit_usd=1) as spending:
        await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()
        await script(long_name=busy(), b=reports(0.001, answers(0))).ask(usd={"long_name": 0.25, "b": 0.25})()

    assert str(spending.report()).splitlines() == [
        "session day: $0.126 spent, $0.00 uncertain, $0.00 reserved",
        "$0.874 left of $1.00",
        "2 calls: 2 succeeded",
        "",
        "link       status     attempts   spent  uncertain",
        "a          succeeded         1  $0.125      $0.00",
        "b          succeeded         1  $0.001      $0.00",
        "long_name  failed            1   $0.00      $0.00",
    ]


def test_a_session_that_was_not_entered_reports_nothing() -> None:
    """Rather than failing."""
    text = str(routeware.session().report())

    assert text.splitlines() == [
        "session (no name): $0.00 spent, $0.00 uncertain, $0.00 reserved",
        "no limit",
        "0 calls",
    ]
