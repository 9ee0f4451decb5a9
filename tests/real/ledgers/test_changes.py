"""Limits that are changed and uncertain money that is released: for all who share a name, and written down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from routeware import BudgetExceededError, PolicyError
from routeware.budget import Balance, Tally
from routeware.contrib.redis import RedisLedger
from routeware.contrib.sqlite import SqliteLedger
from routeware.testing.ledgers import an_id, fresh
from tests.real.ledgers.servers import RedisServer
from tests.real.ledgers.waiting import comes_to

Kept = SqliteLedger | RedisLedger


@pytest.fixture(params=["sqlite", "redis"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Kept]:
    """Make one more ledger that looks at the same sums."""
    if request.param == "sqlite":
        return lambda **settings: SqliteLedger(tmp_path / "b.db", **settings)
    redis: RedisServer = request.getfixturevalue("redis")
    name = f"test-{uuid4().hex}"
    return lambda **settings: RedisLedger(redis.url, prefix=name, **settings)


@asynccontextmanager
async def pair(another: Callable[..., Kept], **settings: Any) -> AsyncIterator[tuple[Kept, Kept]]:
    """Two processes' ledgers."""
    async with another(**settings) as one, another(**settings) as other:
        yield one, other


async def test_a_limit_is_set_for_all_who_share_the_name(another: Callable[..., Kept]) -> None:
    """Also for those that have opened it with the old one: nothing more fits into a lowered limit."""
    async with pair(another) as (one, other):
        tally = fresh(100)
        await other.tally(tally)
        await other.hold(an_id(), [tally], 50)
        assert await one.set_limit(Tally(tally.name, 60)) == Balance(reserved=50)

        with pytest.raises(BudgetExceededError) as raised:
            await other.hold(an_id(), [tally], 20)
        assert raised.value.limit_usd == 60e-9
        with pytest.raises(PolicyError):
            await other.tally(tally)
        assert await other.tally(Tally(tally.name, 60)) == Balance(reserved=50)


async def test_a_raised_limit_reaches_the_sessions_that_are_open(another: Callable[..., Kept]) -> None:
    """They bring the limit that they were entered with, and a policy's cap, which goes on to count."""
    async with pair(another) as (one, other):
        tally = fresh(100)
        await other.tally(tally)
        await one.set_limit(Tally(tally.name, 200))
        await other.hold(an_id(), [tally], 150)

        with pytest.raises(BudgetExceededError) as raised:
            await other.hold(an_id(), [Tally(tally.name, 100, 160)], 20)
        assert raised.value.limit_usd == 160e-9
        await other.hold(an_id(), [Tally(tally.name, 100, 170)], 20)


async def test_a_limit_may_be_lower_than_what_is_committed(another: Callable[..., Kept]) -> None:
    """What is spent is spent; it only keeps more from being reserved."""
    async with another() as ledger:
        tally = fresh(100)
        await ledger.tally(tally)
        await ledger.settle(an_id(), [tally], 80, 0)
        await ledger.set_limit(Tally(tally.name, 10))

        with pytest.raises(BudgetExceededError):
            await ledger.hold(an_id(), [Tally(tally.name, 10)], 0)


async def test_setting_a_limit_opens_a_tally_that_is_not_there(another: Callable[..., Kept]) -> None:
    """Which is no change, and is not in its history."""
    async with another() as ledger:
        tally = fresh(100)
        assert await ledger.set_limit(tally) == Balance()
        assert await ledger.tally(tally) == Balance()
        assert await ledger.history(tally.name) == []


async def test_changes_are_written_down_with_their_time(another: Callable[..., Kept]) -> None:
    """The oldest first. The same limit again is no change."""
    async with pair(another) as (one, other):
        tally, began = fresh(100), time.time()
        await one.tally(tally)
        for limit in (200, 200, None, 50):
            await one.set_limit(Tally(tally.name, limit))
        await one.settle(an_id(), [tally], 5, 7)
        await one.release_uncertain(tally.name)
        await one.release_uncertain(tally.name)

        changes = await other.history(tally.name)
    assert [(change.event, change.before, change.after) for change in changes] == [
        ("limit", 100, 200),
        ("limit", 200, None),
        ("limit", None, 50),
        ("release", 7, 0),
    ]
    assert all(began - 1 <= change.at <= time.time() + 1 for change in changes)


async def test_the_latest_hundred_changes_are_kept(another: Callable[..., Kept]) -> None:
    """Two deployments that set each their own limit at every start do not fill a disk."""
    async with another() as ledger:
        tally, neighbour = fresh(0), fresh(0)
        for one in (neighbour, tally):
            await ledger.tally(one)
        await ledger.set_limit(Tally(neighbour.name, 1))
        for limit in range(1, 121):
            await ledger.set_limit(Tally(tally.name, limit))

        changes = await ledger.history(tally.name)
        assert [change.after for change in changes] == list(range(21, 121))
        assert len(await ledger.history(neighbour.name)) == 1


async def test_released_money_leaves_what_is_spent_and_reserved(another: Callable[..., Kept]) -> None:
    """There is room again for what the bill does not show."""
    async with another() as ledger:
        tally, id = fresh(100), an_id()
        await ledger.tally(tally)
        await ledger.settle(an_id(), [tally], 20, 60)
        await ledger.hold(id, [tally], 20)
        assert await ledger.release_uncertain(tally.name) == Balance(20, 0, 20)
        await ledger.hold(an_id(), [tally], 60)
        assert list(await ledger.settle(id, [tally], 5, 10)) == [Balance(25, 10, 60)]


async def test_a_late_settlement_takes_nothing_off_what_was_released_before(another: Callable[..., Kept]) -> None:
    """The uncertain money of others, which came later, stays."""
    async with another(lease_s=0.3) as gone, another() as ledger:
        tally, id = fresh(100), an_id()
        await gone.hold(id, [tally], 60)
        await gone.leases.stop()
        await comes_to(ledger, tally, Balance(uncertain=60))
        await ledger.release_uncertain(tally.name)
        await ledger.settle(an_id(), [tally], 0, 10)

        assert list(await gone.settle(id, [tally], 25, 0)) == [Balance(25, 10, 0)]


async def test_a_correction_of_released_money_does_not_make_room(another: Callable[..., Kept]) -> None:
    """A sum never falls below what was reported."""
    async with another() as ledger:
        tally = fresh(100)
        await ledger.tally(tally)
        await ledger.settle(an_id(), [tally], 0, 60)
        await ledger.release_uncertain(tally.name)

        assert list(await ledger.settle(an_id(), [tally], 25, -60)) == [Balance(25, 0, 0)]


async def test_releasing_what_is_not_there_makes_nothing(another: Callable[..., Kept]) -> None:
    """Neither a tally nor a history."""
    async with another() as ledger:
        assert await ledger.release_uncertain("no") == Balance()
        assert await ledger.kept() == await ledger.kept("no") == []
        assert await ledger.history("no") == []


async def test_a_tally_is_forgotten_when_its_time_is_over(another: Callable[..., Kept]) -> None:
    """With its limit and its history. The next of its name owes nothing to what ran before."""
    async with another(expire_s=0.5) as ledger:
        tally, first, second = fresh(100), an_id(), an_id()
        await ledger.tally(tally)
        await ledger.hold(first, [tally], 60)
        await ledger.set_limit(Tally(tally.name, 101))
        await asyncio.sleep(0.6)

        assert await ledger.kept(tally.name) == []
        assert await ledger.history(tally.name) == []
        other = Tally(tally.name, 200)
        assert await ledger.tally(other) == Balance()
        await ledger.hold(second, [other], 10)
        assert list(await ledger.settle(first, [other], 25, 0)) == [Balance(25, 0, 10)], "what it cost, it cost"
        await asyncio.sleep(0.6)
        assert await ledger.tally(tally) == Balance()


async def test_a_lease_that_ends_after_its_tally_does_not_burden_the_next(another: Callable[..., Kept]) -> None:
    """The reservation of a process that was killed in the last budget's time."""
    async with another(lease_s=0.5, expire_s=0.3) as gone, another() as ledger:
        tally, late, id = fresh(100), fresh(100), an_id()
        await gone.hold(id, [tally], 60)
        await gone.leases.stop()
        await asyncio.sleep(0.4)
        await ledger.settle(an_id(), [tally], 1, 0)
        await asyncio.sleep(0.3)
        await ledger.tally(late)  # the lease has ended

        assert await ledger.tally(Tally(tally.name)) == Balance(settled=1)
        assert list(await gone.settle(id, [tally], 25, 0)) == [Balance(settled=26)]


async def test_one_tally_is_looked_up_without_the_others(another: Callable[..., Kept]) -> None:
    """By its whole name."""
    async with another() as ledger:
        await ledger.tally(Tally("a*", 5))
        await ledger.tally(Tally("ab"))

        assert [one.name for one in await ledger.kept("a*")] == ["a*"]
        assert [one.name for one in await ledger.kept()] == ["a*", "ab"]


async def test_a_name_that_cannot_be_encoded_is_refused(another: Callable[..., Kept]) -> None:
    """Half of a surrogate pair; nothing is sent, and nobody else's question fails with it."""
    name = "day\ud800"
    async with another() as ledger:
        for asking in (
            lambda: ledger.tally(Tally(name)),
            lambda: ledger.hold(an_id(), [Tally(name)], 1),
            lambda: ledger.settle(an_id(), [fresh(), Tally(name)], 1, 0),
            lambda: ledger.set_limit(Tally(name)),
            lambda: ledger.release_uncertain(name),
            lambda: ledger.history(name),
            lambda: ledger.kept(name),
        ):
            refused, fine = await asyncio.gather(asking(), ledger.tally(fresh()), return_exceptions=True)
            assert isinstance(refused, PolicyError)
            assert refused.key == "name"
            assert fine == Balance()


async def test_a_limit_that_does_not_fit_is_refused(another: Callable[..., Kept]) -> None:
    """As when a session is entered with it."""
    async with another() as ledger:
        with pytest.raises(PolicyError) as raised:
            await ledger.set_limit(fresh(2**63))
        assert raised.value.key == "limit_usd"


@pytest.mark.parametrize("settings", [{"timeout_s": 0}, {"lease_s": -1}, {"expire_s": 0}, {"repeat_s": 0}])
def test_a_time_that_is_none_is_refused(another: Callable[..., Kept], settings: dict[str, float]) -> None:
    """By name."""
    with pytest.raises(PolicyError) as raised:
        another(**settings)
    assert raised.value.key == next(iter(settings))
