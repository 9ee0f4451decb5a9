"""What a latency target learns where an answer and the end of its call are two moments."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

import routeware
from routeware import Attempt, BudgetExceededError, Routed, RoutingPolicy, routed
from routeware.threshold import LatencyReport
from tests.fakes.ledgers import Remote
from tests.fakes.measuring import Measured
from tests.fakes.providers import pause

PRICED = [{"provider": name, "model": "m", "label": name, "price": {"request_usd": 0.25}} for name in ("a", "b")]


@pytest.fixture(autouse=True)
def chance(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same draws every time."""
    drawn = random.Random(1)
    monkeypatch.setattr("random.random", drawn.random)
    return iter(())


def asking(clean_up_ms: float, measured: Measured | None = None) -> Routed[[int], str]:
    """A target of a second; every fifth call hangs at the primary, and is tidied up after; the backup takes 300 ms."""
    policy = RoutingPolicy(chain=PRICED, latency={"target_p95_ms": 1000, "explore": 0})

    @routed(policy, **(measured.options if measured else {}))
    async def ask(attempt: Attempt, call: int) -> str:
        if attempt.provider == "b":
            await pause(300)
            return "b"
        try:
            await pause(5000 if call % 5 == 4 else 100)
        except asyncio.CancelledError:
            await pause(clean_up_ms)
            raise
        return "a"

    return ask


class Thinks(Remote):
    """Takes two seconds to come to a decision."""

    async def hold(self, id: str, tallies: Any, nanos: int, /) -> Any:
        await pause(2000)
        return await super().hold(id, tallies, nanos)


def believed(ask: Routed[[int], str]) -> LatencyReport:
    """What the function's target has led to."""
    report = ask.latency_report()
    assert report is not None
    return report


async def test_what_a_loser_needs_to_end_is_not_in_its_winners_latency() -> None:
    """The backup answers in 300 ms, though its calls return 200 ms later; the primary was cut off, then and there."""
    ask = asking(clean_up_ms=200)
    for call in range(60):
        await ask(call)

    first, second = believed(ask).links
    assert second.as_backup.p95_ms == pytest.approx(300)
    assert (first.as_primary.attempts, first.as_primary.censored) == (60, 12)
    assert first.as_primary.p50_ms == pytest.approx(100)


async def test_what_losers_need_to_end_does_not_make_a_call_miss_its_target() -> None:
    """The answer was there in a second: nothing is to be corrected by starting earlier."""
    tidy, untidy = asking(clean_up_ms=0), asking(clean_up_ms=200)
    for ask in (tidy, untidy):
        for call in range(200):
            await ask(call)

    assert believed(untidy).allowed_share == pytest.approx(believed(tidy).allowed_share)


async def test_a_ledger_that_refuses_late_is_not_taken_for_a_slow_link() -> None:
    """Two seconds, and nothing was started: the target has not been missed by anybody who was asked."""
    ask = asking(clean_up_ms=0)
    for call in range(100):
        await ask(call)
    before = believed(ask)
    assert before.source == "fitted"

    async with routeware.session("day", limit_usd=0, ledger=Thinks()):
        for call in range(5):
            with pytest.raises(BudgetExceededError):
                await ask(call)

    assert believed(ask) == before


async def test_a_call_that_is_not_to_race_has_no_threshold_to_measure() -> None:
    """The primary meets the target alone: there is nothing to set the metric to."""
    measured = Measured()
    ask = asking(clean_up_ms=0, measured=measured)
    for _ in range(100):
        await ask(0)

    assert believed(ask).source == "none"
    assert set(measured.values("routeware.race.threshold", "routeware.race.source")) == {"prior"}
