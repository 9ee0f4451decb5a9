"""A settlement counts once, whatever outage lies between: its reply is lost, it is repeated late, a copy of it is late.

The windows are hours and days. The tests shorten them to fractions of a second.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from uuid import uuid4

import pytest

from routeware import LedgerUnavailableError, RoutewareError
from routeware.budget import Balance, Tally
from routeware.contrib.redis import RedisLedger
from routeware.contrib.sqlite import SqliteLedger
from routeware.contrib.sqlite_file import LedgerFile
from routeware.testing.ledgers import an_id, fresh
from tests.real.ledgers.outage import live_through
from tests.real.ledgers.proxy import Proxy
from tests.real.ledgers.servers import RedisServer
from tests.real.ledgers.worker import COST_USD

COST = round(COST_USD * 1e9)
FORGOTTEN_S = 0.1
"""How long an acknowledged id is known here."""


@pytest.fixture(autouse=True)
def soon_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """An acknowledged id is known for a moment, not for a minute."""
    for place in ("redis", "sqlite_file"):
        monkeypatch.setattr(f"routeware.contrib.{place}.ACKNOWLEDGED_S", FORGOTTEN_S)


def prefix() -> str:
    """Keys that no other test sees."""
    return f"test-{uuid4().hex}"


async def some_other_call(ledger: RedisLedger | SqliteLedger) -> None:
    """Whatever is to be forgotten is forgotten by then."""
    for _ in range(2):
        id = an_id()
        await ledger.hold(id, [fresh()], 1)
        await ledger.settle(id, [fresh()], 1, 0)
        await asyncio.sleep(2 * FORGOTTEN_S)


async def test_a_reply_is_lost_and_the_network_is_away_for_long(redis: RedisServer) -> None:
    """The server has counted it, and still knows when it is asked again."""
    tally, id = fresh(100), an_id()
    async with Proxy(redis.port) as proxy, RedisLedger(proxy.url, prefix=prefix(), timeout_s=0.2) as ledger:
        await ledger.hold(id, [tally], 60)
        proxy.loses = lambda _: True
        with pytest.raises(LedgerUnavailableError):
            await ledger.settle(id, [tally], 25, 0)
        proxy.loses, proxy.away = lambda _: False, True
        with pytest.raises(LedgerUnavailableError):
            await ledger.settle(id, [tally], 25, 0)
        await asyncio.sleep(3 * FORGOTTEN_S)
        proxy.away = False
        await some_other_call(ledger)

        assert list(await ledger.settle(id, [tally], 25, 0)) == [Balance(settled=25)]
        await some_other_call(ledger)
        assert list(await ledger.settle(id, [tally], 25, 0)) == [Balance(settled=25)]


async def test_a_copy_arrives_long_after_its_repetition_was_answered(redis: RedisServer) -> None:
    """It was kept in a buffer on the way. That its repetition was answered does not make it harmless."""
    tally, id = fresh(100), an_id()
    async with Proxy(redis.port) as proxy, RedisLedger(proxy.url, prefix=prefix()) as ledger:
        await ledger.hold(id, [tally], 60)
        proxy.keeps = lambda _: not proxy.kept
        assert list(await ledger.settle(id, [tally], 25, 0)) == [Balance(settled=25)]
        assert len(proxy.kept) == 1
        await some_other_call(ledger)
        await proxy.deliver()

        assert await ledger.tally(tally) == Balance(settled=25)


async def test_a_hold_arrives_long_after_it_was_given_back(redis: RedisServer) -> None:
    """It holds nothing then, and becomes no uncertain money."""
    tally, id = fresh(100), an_id()
    async with Proxy(redis.port) as proxy, RedisLedger(proxy.url, prefix=prefix(), timeout_s=0.2) as ledger:
        await ledger.tally(tally)
        proxy.keeps = lambda _: True
        with pytest.raises(LedgerUnavailableError):
            await ledger.hold(id, [tally], 60)
        proxy.keeps = lambda _: False
        assert list(await ledger.settle(id, [tally], 0, 0)) == [Balance()]
        await some_other_call(ledger)
        await proxy.deliver()

        assert await ledger.tally(tally) == Balance()


async def test_a_caller_that_is_cancelled_while_it_waits_has_no_answer(redis: RedisServer) -> None:
    """The answer is on the loop already, and the caller is cancelled: it may ask again, and so the id stays known."""
    tally, id = fresh(100), an_id()
    async with RedisLedger(redis.url, prefix=prefix()) as ledger:
        await ledger.hold(id, [tally], 60)
        settling = asyncio.create_task(ledger.settle(id, [tally], 25, 0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        settling.cancel()
        await asyncio.wait([settling])
        assert settling.cancelled()
        await some_other_call(ledger)

        assert list(await ledger.settle(id, [tally], 25, 0)) == [Balance(settled=25)]


async def test_redis_grows_with_what_went_wrong_only(own_redis: RedisServer) -> None:
    """A thousand settlements later there is one tally, and the one id whose reply was lost."""
    tally = fresh()
    async with Proxy(own_redis.port) as proxy, RedisLedger(proxy.url) as ledger:

        async def call() -> None:
            id = an_id()
            await ledger.hold(id, [tally], 1)
            await ledger.settle(id, [tally], 1, 0)

        for _ in range(20):
            await asyncio.gather(*(call() for _ in range(50)))
        lost = an_id()
        await ledger.hold(lost, [tally], 1)
        proxy.loses = lambda number, first=proxy.replies: number == first  # type: ignore[misc]
        await ledger.settle(lost, [tally], 1, 0)
        await ledger.tally(tally)
        await asyncio.sleep(3 * FORGOTTEN_S)
        client = ledger._clients.here().redis
        keys = {key async for key in client.scan_iter()}

        assert keys == {f"{{routeware}}:tally:{tally.name}", f"{{routeware}}:reservation:{lost}"}
        assert await client.pttl(f"{{routeware}}:reservation:{lost}") > 29 * 86_400_000
        assert await ledger.tally(tally) == Balance(settled=1001)


async def test_the_client_stops_repeating_before_the_ledger_forgets(redis: RedisServer) -> None:
    """And says that it does; the server keeps what it must know for twice as long."""
    tally, id, name = fresh(100), an_id(), prefix()
    async with Proxy(redis.port) as proxy, RedisLedger(proxy.url, prefix=name, timeout_s=0.3, repeat_s=0.5) as ledger:
        await ledger.hold(id, [tally], 60)
        proxy.loses = lambda _: True
        with pytest.raises(LedgerUnavailableError):
            await ledger.settle(id, [tally], 25, 0)
        proxy.loses = lambda _: False
        left_ms = await ledger._clients.here().redis.pttl(f"{{{name}}}:reservation:{id}")
        await asyncio.sleep(0.5)

        with pytest.raises(RoutewareError, match=r"did not answer this settlement for 0\.5 s") as raised:
            await ledger.settle(id, [tally], 25, 0)
        assert not isinstance(raised.value, LedgerUnavailableError)
        assert 0 < left_ms <= 1000
        assert await ledger.tally(tally) == Balance(settled=25)


async def test_a_file_answers_too_late_and_is_asked_again_much_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction is committed when nobody waits any more; that an hour has passed does not count it twice."""
    tally, id, real = fresh(100), an_id(), LedgerFile.commit

    def slowly(file: LedgerFile) -> None:
        real(file)
        time.sleep(0.4)

    async with SqliteLedger(tmp_path / "b.db", timeout_s=0.2) as ledger:
        await ledger.hold(id, [tally], 60)
        monkeypatch.setattr(LedgerFile, "commit", slowly)
        with pytest.raises(LedgerUnavailableError):
            await ledger.settle(id, [tally], 25, 0)
        monkeypatch.setattr(LedgerFile, "commit", real)
        await asyncio.sleep(0.4)
        await some_other_call(ledger)

        assert list(await ledger.settle(id, [tally], 25, 0)) == [Balance(settled=25)]


async def test_a_file_grows_with_what_went_wrong_only(tmp_path: Path) -> None:
    """What was answered is deleted, a minute after it was acknowledged."""
    tally = fresh()
    async with SqliteLedger(tmp_path / "b.db") as ledger:

        async def call() -> None:
            id = an_id()
            await ledger.hold(id, [tally], 1)
            await ledger.settle(id, [tally], 1, 0)

        await asyncio.gather(*(call() for _ in range(300)))
        for _ in range(4):
            await ledger.tally(tally)
            await asyncio.sleep(2 * FORGOTTEN_S)

    connection = sqlite3.connect(tmp_path / "b.db")
    assert connection.execute("SELECT count(*) FROM reservation").fetchone() == (0,)
    connection.close()


async def test_what_was_answered_last_is_acknowledged_when_a_ledger_is_closed(tmp_path: Path) -> None:
    """There is no next question for it to travel with."""
    path = tmp_path / "b.db"
    async with SqliteLedger(path) as ledger:
        id = an_id()
        await ledger.hold(id, [fresh()], 1)
        await ledger.settle(id, [fresh()], 1, 0)
    await asyncio.sleep(2 * FORGOTTEN_S)
    async with SqliteLedger(path) as ledger:
        await ledger.tally(Tally("day"))

    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM reservation").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("meanwhile", ["refuse", 1.0])
async def test_the_sums_of_two_processes_are_exact_after_an_outage(
    own_redis: RedisServer, meanwhile: str | float
) -> None:
    """Replies are lost throughout, the network is away for longer than leases last, and copies arrive afterwards."""
    settings = {"timeout_s": 0.3, "lease_s": 1.0}
    told = {"on_unavailable": meanwhile, "acknowledged_s": FORGOTTEN_S}
    outcome = await live_through(own_redis, 4.0, settings, told)

    ended = outcome.ended
    assert outcome.lost > 0
    assert outcome.late > 0
    assert ended["started"] == ended["ran"] > 20
    assert set(ended) <= {"started", "ran", "LedgerUnavailableError", "refused"}
    assert outcome.balance == Balance(settled=ended["ran"] * COST)
