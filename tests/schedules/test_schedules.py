"""Whatever the schedule: one result or one error, no money, task, timer or span left, and nobody waits for ever."""

from __future__ import annotations

import sys

import attrs
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tests.fakes.clock import EagerLoop
from tests.schedules.promises import ULP_MS, check, more, without_ties
from tests.schedules.stage import Ended, perform
from tests.schedules.worlds import GRACE_MS, Call, Link, Plan, Wallet, World, worlds


@more
@given(world=worlds())
def test_whatever_the_schedule(world: World) -> None:
    """Every promise about what is left behind, at once."""
    seen = perform(world)

    check(world, seen)
    for record in seen.records:
        event(f"outcome: {record.outcome}")
        for attempt in record.attempts:
            event(f"attempt: {attempt.status}")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are eager from CPython 3.12 on")
@more
@given(world=worlds())
def test_whatever_the_schedule_with_eager_tasks(world: World) -> None:
    """The same, where a task takes its first step as it is made."""
    check(world, perform(world, EagerLoop))


@more
@given(world=worlds(calls=1, racing=True), late=st.sampled_from(["stubborn", "stubborn_value"]))
def test_ignoring_a_cancellation_changes_nothing_but_a_quarter_of_a_second(world: World, late: str) -> None:
    """In a race, the same world with obedient providers ends the same way, at most 250 ms earlier."""
    call = attrs.evolve(world.calls[0], cancelled_ms=(), depth=0)
    free = without_ties(attrs.evolve(world, wallets=(), per_call_usd=None, session_usd=None))

    obedient = _one(attrs.evolve(free, calls=(_all(call, "obey", 0),)))
    stubborn = _one(attrs.evolve(free, calls=(_all(call, late, 9000),)))

    if not stubborn.in_own_task:
        assert stubborn.result == obedient.result
        assert type(stubborn.error) is type(obedient.error)
        assert obedient.at_ms - ULP_MS <= stubborn.at_ms <= obedient.at_ms + GRACE_MS + ULP_MS


def _one(world: World) -> Ended:
    seen = perform(world)
    check(world, seen)
    return seen.ended[0]


def _all(call: Call, when_cancelled: str, lingers_ms: float) -> Call:
    plans = [attrs.evolve(plan, when_cancelled=when_cancelled, lingers_ms=lingers_ms) for plan in call.plans]
    return attrs.evolve(call, plans=tuple(plans))


@pytest.mark.parametrize("moment", [0.0, 10.0, 50.0, 60.0, 100.0, 110.0, 150.0, 200.0, 250.0, 310.0])
@pytest.mark.parametrize("again", [0.0, 0.5, 10.0, 50.0, 240.0, 250.0])
@pytest.mark.parametrize("racing", [None, 50.0])
@pytest.mark.parametrize("end", ["hang", "answer", "busy"])
def test_cancelled_at_every_kind_of_moment_twice(moment: float, again: float, racing: float | None, end: str) -> None:
    """Before, at and after each start, failure, answer, time-out and clean-up of a small world."""
    plans = (
        Plan(after_ms=60, end=end, when_cancelled="clean_up", lingers_ms=100),  # type: ignore[arg-type]
        Plan(after_ms=10, end="busy"),
        Plan(after_ms=50, end="answer", when_cancelled="stubborn", lingers_ms=1000, reports=0.125),
    )
    world = World(
        links=(Link(0.25, timeout_ms=150), Link(0.125), Link(0.125)),
        calls=(Call(plans, depth=1, cancelled_ms=(moment, moment + again)),),
        wallets=(Wallet(limit_usd=1),),
        race_after_ms=racing,
        deadline_ms=200,
    )

    check(world, perform(world))


_PLANS = (Plan(),) * 4

FOUND = {
    "answers of one ledger about two sessions cross": World(
        links=(Link(0.5), Link(0.0), Link(0.0), Link(0.0)),
        calls=(Call(_PLANS), Call(_PLANS, depth=2), Call(_PLANS, depth=2), Call(_PLANS, depth=1)),
        wallets=(Wallet(tally="day"), Wallet(tally="team")),
        race_after_ms=0.0,
        ledger_ms=(0.0, 300.0),
    ),
}
"""Worlds in which something did not hold once."""


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_stays_mended(name: str) -> None:
    """Every world that a search has found."""
    check(FOUND[name], perform(FOUND[name]))


def test_a_world_can_be_pasted() -> None:
    """What a failure prints is the code that makes it again."""
    world = example_world()

    assert eval(repr(world)) == world


def example_world() -> World:
    """One that has something of everything."""
    plan = Plan(after_ms=10, end="busy", when_cancelled="stubborn", lingers_ms=50, reports=0.25)
    call = Call((plan,), at_ms=10, depth=1, cancelled_ms=(1, 2))
    return World(links=(Link(0.5, 100),), calls=(call,), wallets=(Wallet(1, "day"),))
