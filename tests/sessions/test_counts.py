"""What a report is made of: calls, attempts and races, counted as they end, in a session and those around it."""

from __future__ import annotations

import json

import attrs

import routeware
from routeware import Link, Session
from routeware.observers import Cost
from routeware.records import AttemptStatus, AttemptTrigger


@attrs.define
class Ended:
    label: str
    status: AttemptStatus | None
    trigger: AttemptTrigger = AttemptTrigger.INITIAL
    settled: int | None = 0
    uncertain: int | None = 0

    @property
    def link(self) -> Link:
        return Link(provider=self.label, model="m", label=self.label)

    @property
    def cost(self) -> Cost:
        return Cost(self.settled, self.uncertain)


def sums(session: Session) -> dict[tuple[str, str], tuple[int, int, int]]:
    """How many attempts at each link ended so, and what they cost, in nano-dollars."""
    return {
        (row.label, row.status): (row.attempts, round(row.spent_usd * 1e9), round(row.uncertain_usd * 1e9))
        for row in session.report().attempts
    }


def test_calls_are_counted_by_outcome_and_attempts_by_link_and_status() -> None:
    """With what they came to; what is unknown adds nothing."""
    one = routeware.session()

    one.count_call(
        "succeeded", [Ended("a", AttemptStatus.FAILED, settled=5), Ended("b", AttemptStatus.SUCCEEDED, settled=7)]
    )
    one.count_call("failed", [Ended("a", AttemptStatus.FAILED, settled=None, uncertain=3)])
    one.count_call("budget_exceeded", [])

    assert one.report().calls == {"succeeded": 1, "failed": 1, "budget_exceeded": 1}
    assert sums(one) == {("a", "failed"): (2, 5, 3), ("b", "succeeded"): (1, 7, 0)}


def test_a_race_is_won_by_its_backup_and_costs_what_its_losers_cost() -> None:
    """Settled or uncertain."""
    one, race = routeware.session(), AttemptTrigger.RACE

    one.count_call(
        "succeeded",
        [Ended("a", AttemptStatus.RACE_LOST, uncertain=5), Ended("b", AttemptStatus.SUCCEEDED, race, settled=1)],
    )
    one.count_call(
        "succeeded",
        [Ended("a", AttemptStatus.SUCCEEDED, settled=1), Ended("b", AttemptStatus.RACE_LOST, race, settled=7)],
    )
    one.count_call("cancelled", [Ended("a", AttemptStatus.CANCELLED), Ended("b", None, race)])

    report = one.report()
    assert (report.races, report.races_won, round(report.race_usd * 1e9)) == (3, 1, 12)


async def test_what_is_counted_inside_is_counted_around() -> None:
    """Once in each."""
    async with routeware.session() as outer, routeware.session() as inner:
        inner.count_call("succeeded", [Ended("a", AttemptStatus.SUCCEEDED)])
        outer.count_call("succeeded", [])

        assert (inner.report().calls, outer.report().calls) == ({"succeeded": 1}, {"succeeded": 2})


async def test_a_report_is_plain_json_and_prints_as_a_table() -> None:
    """The dearest first."""
    async with routeware.session("day", limit_usd=1) as spending:
        spending.count_call("succeeded", [Ended("cheap", AttemptStatus.SUCCEEDED, settled=1_000_000)])
        spending.count_call(
            "succeeded", [Ended("dear", AttemptStatus.SUCCEEDED, AttemptTrigger.RACE, settled=125_000_000)]
        )
        report = spending.report()

    assert json.loads(json.dumps(report.to_dict())) == {
        "name": "day",
        "limit_usd": 1,
        "spent_usd": 0,
        "uncertain_usd": 0,
        "reserved_usd": 0,
        "remaining_usd": 1,
        "calls": {"succeeded": 2},
        "attempts": [
            {"label": "dear", "status": "succeeded", "attempts": 1, "spent_usd": 0.125, "uncertain_usd": 0},
            {"label": "cheap", "status": "succeeded", "attempts": 1, "spent_usd": 0.001, "uncertain_usd": 0},
        ],
        "races": 1,
        "races_won": 1,
        "race_usd": 0,
    }
    assert str(report).splitlines() == [
        "session day: $0.00 spent, $0.00 uncertain, $0.00 reserved",
        "$1.00 left of $1.00",
        "2 calls: 2 succeeded",
        "1 races, 1 won by the backup; losers cost $0.00",
        "",
        "link   status     attempts   spent  uncertain",
        "dear   succeeded         1  $0.125      $0.00",
        "cheap  succeeded         1  $0.001      $0.00",
    ]


def test_a_session_that_was_not_entered_reports_nothing() -> None:
    """Rather than failing."""
    text = str(routeware.session().report())

    assert text.splitlines() == [
        "session (no name): $0.00 spent, $0.00 uncertain, $0.00 reserved",
        "no limit",
        "0 calls",
    ]
