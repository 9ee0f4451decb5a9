"""Leases are renewed while something is held, and nothing is left on the loop when nothing is."""

from __future__ import annotations

import asyncio
import gc
import weakref

from routeware import LedgerUnavailableError
from routeware.contrib.leases import Leases


class Renewals:
    """What was renewed, and how long it takes."""

    def __init__(self, takes_s: float = 0.0, *, away: int = 0) -> None:
        self.rounds: list[list[str]] = []
        self._takes_s = takes_s
        self._away = away

    async def __call__(self, ids: list[str]) -> None:
        self.rounds.append(ids)
        await asyncio.sleep(self._takes_s)
        if len(self.rounds) <= self._away:
            raise LedgerUnavailableError("away")


async def test_all_that_is_held_is_renewed_at_once() -> None:
    """One request for all, again and again, until nothing is held."""
    renewals = Renewals()
    leases = Leases(renewals, 0.05)
    leases.add("a")
    leases.add("b")
    await asyncio.sleep(0.08)
    leases.discard("a")
    await asyncio.sleep(0.05)
    leases.discard("b")
    leases.discard("never")
    await asyncio.sleep(0.1)

    assert renewals.rounds == [["a", "b"], ["b"]]


async def test_a_ledger_that_is_away_is_asked_again_in_time() -> None:
    """A lease lasts for three rounds."""
    renewals = Renewals(away=1)
    leases = Leases(renewals, 0.02)
    leases.add("a")
    await asyncio.sleep(0.1)
    leases.discard("a")

    assert len(renewals.rounds) >= 2


async def test_stopping_waits_for_what_is_on_its_way() -> None:
    """No task is left; what is held again is renewed again."""
    renewals = Renewals(takes_s=60)
    leases = Leases(renewals, 0.01)
    leases.add("a")
    await asyncio.sleep(0.05)
    await leases.stop()
    await leases.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}

    leases.add("b")
    await asyncio.sleep(0.05)
    await leases.stop()
    assert renewals.rounds == [["a"], ["b"]]


async def test_a_hold_during_a_round_is_renewed_by_the_next() -> None:
    """One timer, whenever they come."""
    renewals = Renewals(takes_s=0.03)
    leases = Leases(renewals, 0.02)
    leases.add("a")
    await asyncio.sleep(0.03)
    leases.discard("a")
    leases.add("b")
    await asyncio.sleep(0.06)
    await leases.stop()

    assert renewals.rounds == [["a"], ["b"]]


def test_a_loop_that_has_ended_is_forgotten() -> None:
    """With what it held: when the next one asks."""
    leases = Leases(Renewals(), 60)

    async def hold() -> weakref.ref[asyncio.AbstractEventLoop]:
        leases.add("a")
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(hold())
    asyncio.run(hold())
    gc.collect()
    assert loop() is None
