"""Prices that nobody knows: unknown is not zero."""

from __future__ import annotations

import pytest

import routeware
from routeware import PolicyError
from tests.fakes.providers import (
    answers,
    cancelled_at,
    hangs,
    reports,
    script,
)


def test_an_unpriced_link_under_the_policys_cap_is_an_error_at_once() -> None:
    """When the function is decorated; the error names both remedies."""
    for settings in ({"per_call_usd": 1}, {"session_usd": 1}):
        with pytest.raises(PolicyError) as raised:
            script(a=answers(0), b=answers(0)).ask(usd={"a": 0.1}, **settings)

        assert "b" in str(raised.value)
        assert "price" in str(raised.value)
        assert "allow_unpriced" in str(raised.value)


async def test_an_unpriced_link_under_a_sessions_limit_is_an_error_at_the_call() -> None:
    """Before anything starts: also where only the last link is unpriced."""
    providers = script(a=answers(0), b=answers(0))
    ask = providers.ask(usd={"a": 0.1})

    async with routeware.session(limit_usd=1):
        with pytest.raises(PolicyError, match="allow_unpriced"):
            await ask()

    assert providers.started == {}


async def test_an_unpriced_link_may_be_let_through() -> None:
    """`allow_unpriced`: its cost is unknown, which is not zero."""
    ask = script(a=answers(0)).ask(per_call_usd=0.1, allow_unpriced=True)

    async with routeware.session(limit_usd=0.1):
        outcome = await ask.outcome()

    assert outcome.value == "a"
    assert outcome.record.attempts[0].cost_usd is None


async def test_without_a_cap_nothing_is_refused() -> None:
    """An attempt of unknown cost has none in its record, and the call's is unknown, too."""
    async with routeware.session():
        outcome = await script(a=answers(0)).ask().outcome()

    assert outcome.record.attempts[0].cost_usd is None
    assert outcome.record.cost_usd is None


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        ({"b": 0.25}, (0.0, None, None)),
        ({"a": 0.25}, (None, None, 0.25)),
        ({"a": 0.25, "b": 0.25}, (0.0, 0.5, 0.25)),
        ({}, (None, None, None)),
    ],
    ids=["the loser's", "the winner's", "none", "both"],
)
async def test_what_is_unknown_makes_those_sums_unknown_that_it_belongs_to(
    usd: dict[str, float], expected: tuple[float | None, float | None, float | None]
) -> None:
    """What was wasted is known where only the winner's cost is not; what is settled, where every answer's cost is."""
    async with routeware.session():
        outcome = await script(a=hangs(), b=answers(10)).ask(usd=usd, race_after_ms=10).outcome()

    record = outcome.record
    assert (record.cost_usd, record.uncertain_usd, record.wasted_usd) == expected


async def test_a_projection_is_worked_out_only_where_it_is_needed() -> None:
    """Without a cap, and with a cost that was reported, nobody asks for an estimate."""
    asked: list[object] = []
    ask = script(a=reports(0.1, answers(0))).ask(usd={"a": 0.1})

    @ask.estimate
    def estimate(link: object, *args: object, **kwargs: object) -> float:
        asked.append(link)
        return 0.1

    await ask()

    assert asked == []


async def test_cancelled_under_a_cap_nothing_stays_reserved() -> None:
    """A cancelled attempt may have cost its projection; that is booked, and nothing is set aside any more."""
    for moments in ((20,), (20, 20), (20, 21), (0,)):
        async with routeware.session(limit_usd=1) as spending:
            task, _ = await cancelled_at(script(a=hangs()).ask(usd={"a": 0.25})(), *moments)

            assert task.cancelled()
            assert spending.reserved_usd == 0
            assert spending.uncertain_usd == (0.25 if moments[0] else spending.uncertain_usd)
