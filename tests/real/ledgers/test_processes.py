"""One budget for many processes: real ones, some of them killed in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from routeware.budget import Balance, Tally
from routeware.contrib.redis import RedisLedger
from routeware.contrib.sqlite import SqliteLedger
from tests.real.ledgers.servers import RedisServer
from tests.real.ledgers.waiting import until
from tests.real.ledgers.worker import COST_USD, ledger_of
from tests.real.ledgers.workers import Workers

COST = round(COST_USD * 1e9)
ROOM = 500
LIMIT_USD = ROOM * COST / 1e9
TALLY = Tally("team", ROOM * COST)
LEASE_S = 1.5


@asynccontextmanager
async def working(told: dict[str, Any]) -> AsyncIterator[tuple[Workers, RedisLedger | SqliteLedger]]:
    """Processes, and a ledger of one's own to look at what they do."""
    workers = Workers(told)
    async with ledger_of(told) as ledger:
        try:
            yield workers, ledger
        finally:
            for worker in workers.all:
                await worker.kill()


def told_of(kind: str, where: str, calls: int, takes_s: float, **settings: Any) -> dict[str, Any]:
    """What a worker is told."""
    work = {"calls": calls, "takes_s": takes_s, "limit_usd": LIMIT_USD}
    return {"kind": kind, "where": where, "settings": settings, **work}


@pytest.fixture(params=["redis", "sqlite"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str, dict[str, Any], int]:
    """A ledger for several processes: its kind, its place, its settings, and how many processes there are."""
    if request.param == "sqlite":
        return "sqlite", str(tmp_path / "team.db"), {"timeout_s": 20.0}, 4
    redis: RedisServer = request.getfixturevalue("redis")
    return "redis", redis.url, {"prefix": f"test-{uuid4().hex}", "timeout_s": 20.0}, 8


async def test_as_many_run_as_there_is_room_for(shared: tuple[str, str, dict[str, Any], int]) -> None:
    """200 calls at once in each process, room for exactly 500: 500 run, and the sum is exact."""
    kind, where, settings, count = shared
    async with working(told_of(kind, where, 200, 0.05, **settings)) as (workers, ledger):
        await workers.start(count)
        ended = await workers.ended()

        assert dict(ended) == {"started": ROOM, "ran": ROOM, "refused": count * 200 - ROOM}
        assert await ledger.tally(TALLY) == Balance(settled=ROOM * COST)


async def test_the_cap_holds_when_processes_are_killed(shared: tuple[str, str, dict[str, Any], int]) -> None:
    """What they held stays reserved until their leases end, and is uncertain then: nothing is reserved any more."""
    kind, where, settings, count = shared
    # A process asks for all of its calls at once: few enough that more processes get some than are killed.
    killed, calls = (3, 100) if count == 8 else (2, 250)
    async with working(told_of(kind, where, calls, 1.0, lease_s=LEASE_S, **settings)) as (workers, ledger):
        seen: list[int] = []
        watching = asyncio.create_task(_watch(ledger, seen))
        await workers.start(count)
        await workers.kill_the_first(killed)
        ended = await workers.ended()

        async def nothing_is_reserved() -> bool:
            return (await ledger.tally(TALLY)).reserved == 0

        await until(nothing_is_reserved)  # the leases of the killed ones have ended
        balance = await ledger.tally(TALLY)
        watching.cancel()
        await asyncio.wait([watching])

        assert ended["ran"] + ended["refused"] == (count - killed) * calls
        assert max(seen) <= ROOM * COST
        assert balance.settled == ended["ran"] * COST
        assert balance.uncertain % COST == 0
        assert balance.uncertain > 0, "the killed ones had begun"
        assert balance.committed == ROOM * COST, "and there was room for no more"


async def _watch(ledger: RedisLedger | SqliteLedger, seen: list[int]) -> None:
    while True:
        seen.append((await ledger.tally(TALLY)).committed)
        await asyncio.sleep(0.02)
