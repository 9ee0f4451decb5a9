"""Caps in a race: a refused backup stops the extra attempt, never the running one."""

from __future__ import annotations

from typing import Any

import routeware
from tests.fakes.providers import (
    answers,
    busy,
    hangs,
    script,
    statuses,
)


async def test_a_refused_backup_is_not_started_and_harms_nobody() -> None:
    """Whatever the policy says about a refusal: the running attempt goes on, and leaves no attempt behind."""
    for on_exceed in ("abort", "skip"):
        providers = script(a=answers(100), b=answers(0), c=answers(0))
        ask = providers.ask(
            usd={"a": 0.1, "b": 0.1, "c": 0.01}, per_call_usd=0.15, on_exceed=on_exceed, race_after_ms=10
        )

        outcome = await ask.outcome()

        assert outcome.value == "a"
        assert list(providers.started) == ["a"], "no later link is asked"
        assert statuses(outcome.record) == {"a": "succeeded"}


async def test_a_refused_backup_is_not_asked_again_until_the_next_start() -> None:
    """A refusal ends racing until then."""
    asked: list[str] = []
    providers = script(a=answers(200), b=answers(0), c=answers(0))
    ask = providers.ask(usd={"a": 0.1, "b": 0.1, "c": 0.01}, per_call_usd=0.15, race_after_ms=10)

    @ask.estimate
    def estimate(link: Any, *args: object, **kwargs: object) -> float:
        asked.append(link.provider)
        return {"a": 0.1, "b": 0.1, "c": 0.01}[link.provider]

    await ask()

    assert asked == ["a", "b"]


async def test_a_refused_backup_keeps_its_place_for_a_failover() -> None:
    """When the primary has failed and cost nothing there is room, and it is the backup's turn."""
    providers = script(a=busy(100), b=answers(50), c=answers(0))

    outcome = await providers.ask(usd={"a": 0.1, "b": 0.1, "c": 0.01}, per_call_usd=0.15, race_after_ms=60).outcome()

    assert outcome.value == "b"
    assert providers.started == {"a": 0, "b": 100}
    assert str(outcome.record.attempts[1].trigger) == "failover"


async def test_after_a_refused_backup_racing_goes_on_with_the_next_start() -> None:
    """The failover is a start: the timer runs from it."""
    providers = script(a=busy(100), b=answers(500), c=answers(0))

    assert await providers.ask(usd={"a": 0.1, "b": 0.1, "c": 0.01}, per_call_usd=0.15, race_after_ms=60)() == "c"
    assert providers.started == {"a": 0, "b": 100, "c": 160}


async def test_under_warn_a_backup_goes_on() -> None:
    """Warn goes on, in a race too."""
    providers = script(a=hangs(), b=answers(0))

    assert await providers.ask(usd={"a": 0.1, "b": 0.1}, per_call_usd=0.15, on_exceed="warn", race_after_ms=10)() == "b"


async def test_a_backup_passes_the_sessions_limit_too() -> None:
    """It is an attempt like any other: what the running one has set aside counts."""
    providers = script(a=answers(100), b=answers(0))

    async with routeware.session(limit_usd=0.15) as spending:
        assert await providers.ask(usd={"a": 0.1, "b": 0.1}, race_after_ms=10)() == "a"
        assert list(providers.started) == ["a"]
        assert spending.reserved_usd == 0


async def test_committed_money_never_passes_a_cap_in_a_race() -> None:
    """Two of three fit; the third waits for a free place in the budget."""
    providers = script(a=hangs(), b=answers(100), c=answers(0))

    async with routeware.session(limit_usd=0.2) as spending:
        assert await providers.ask(usd={"a": 0.1, "b": 0.1, "c": 0.1}, race_after_ms=10, race_width=3)() == "b"

    assert "c" not in providers.started
    assert spending.uncertain_usd == 0.2
