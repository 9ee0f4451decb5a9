"""The ledger in Redis passes what every ledger has to, and knows what becomes of keys, leases and connections."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from redis.crc import key_slot

from routeware import BudgetExceededError, LedgerUnavailableError, PolicyError
from routeware.budget import Balance, Tally
from routeware.contrib.redis import RedisLedger
from routeware.testing.ledgers import LedgerSuite, an_id, fresh
from tests.real.ledgers.servers import RedisServer, free_port, need_redis
from tests.real.ledgers.waiting import comes_to


def prefix() -> str:
    """Keys that no other test sees."""
    return f"test-{uuid4().hex}"


class TestRedisLedger(LedgerSuite):
    biggest_limit = 2**53 - 1

    @pytest.fixture(autouse=True)
    def somewhere(self, redis: RedisServer) -> None:
        self.url = redis.url

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[RedisLedger]:
        async with RedisLedger(self.url) as ledger:
            yield ledger


async def test_a_reservation_without_its_process_becomes_uncertain(redis: RedisServer) -> None:
    """Its lease ends by the server's clock, whoever looks next; a late settlement still replaces it."""
    name = prefix()
    async with RedisLedger(redis.url, prefix=name, lease_s=1) as gone, RedisLedger(redis.url, prefix=name) as ledger:
        tally, id = fresh(100), an_id()
        await gone.hold(id, [tally], 60)
        assert await ledger.tally(tally) == Balance(reserved=60)
        await gone.leases.stop()

        await comes_to(ledger, tally, Balance(uncertain=60))
        assert list(await ledger.hold(id, [tally], 60)) == [Balance(uncertain=60)], "it is still known"
        with pytest.raises(BudgetExceededError):
            await ledger.hold(an_id(), [tally], 41)
        for _ in range(2):
            assert list(await gone.settle(id, [tally], 25, 0)) == [Balance(settled=25)]


async def test_a_reservation_is_renewed_while_its_process_lives(redis: RedisServer) -> None:
    """However long the attempt takes; nothing runs on where nothing is held."""
    async with RedisLedger(redis.url, prefix=prefix(), lease_s=1.5) as ledger:
        tally, id = fresh(100), an_id()
        await ledger.hold(id, [tally], 60)
        await asyncio.sleep(2)

        assert await ledger.tally(tally) == Balance(reserved=60)
        await ledger.settle(id, [tally], 25, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_tally_is_forgotten_when_its_time_is_over(redis: RedisServer) -> None:
    """The next of its name begins at nothing, may have another limit, and owes nothing to what ran before."""
    async with RedisLedger(redis.url, prefix=prefix(), expire_s=1) as ledger:
        tally, first, second = fresh(100), an_id(), an_id()
        await ledger.tally(tally)
        await ledger.hold(first, [tally], 60)
        await asyncio.sleep(1.2)

        other = Tally(tally.name, 200)
        assert await ledger.tally(other) == Balance()
        await ledger.hold(second, [other], 10)
        assert list(await ledger.settle(first, [other], 25, 0)) == [Balance(25, 0, 10)], "what it cost, it cost"
        await asyncio.sleep(1.2)
        assert await ledger.tally(tally) == Balance()


async def test_what_a_server_has_forgotten_is_counted_when_it_is_settled(own_redis: RedisServer) -> None:
    """A server without persistence, started again: what the reservation held is not taken off what is there now."""
    async with RedisLedger(own_redis.url) as ledger:
        tally, before, after = fresh(100), an_id(), an_id()
        await ledger.hold(before, [tally], 60)
        own_redis.tell("FLUSHALL")
        own_redis.tell("SCRIPT FLUSH")
        await ledger.hold(after, [tally], 10)

        assert list(await ledger.settle(before, [tally], 25, 0)) == [Balance(25, 0, 10)]
        assert list(await ledger.settle(before, [tally], 25, 0)) == [Balance(25, 0, 10)]
        assert await ledger.tally(tally) == Balance(25, 0, 10)


async def test_a_settled_id_is_forgotten_a_minute_after_its_answer_arrived(redis: RedisServer) -> None:
    """The client acknowledges it with its next question, or when it is closed; until then it may ask again."""
    name = prefix()
    async with RedisLedger(redis.url, prefix=name) as looking, RedisLedger(redis.url, prefix=name) as ledger:
        first, second, client = an_id(), an_id(), looking._clients.here().redis

        async def expires_ms(id: str) -> int:
            left: int = await client.pttl(f"{{{name}}}:reservation:{id}")
            return left

        await ledger.hold(first, [fresh()], 1)
        await ledger.settle(first, [fresh()], 1, 0)
        assert await expires_ms(first) > 29 * 86_400_000
        await ledger.hold(second, [fresh()], 1)
        assert 0 < await expires_ms(first) <= 60_000
        await ledger.settle(second, [fresh()], 1, 0)
        await ledger.aclose()

        assert 0 < await expires_ms(second) <= 60_000
        assert await client.zcard(f"{{{name}}}:leases") == 0


async def test_all_keys_of_a_ledger_lie_in_one_slot(own_redis: RedisServer) -> None:
    """So a cluster serves it, too."""
    async with RedisLedger(own_redis.url) as ledger:
        await ledger.hold(an_id(), [fresh(100), fresh()], 1)
        await ledger.settle(an_id(), [fresh()], 1, 0)
        client = ledger._clients.here().redis
        keys = [key async for key in client.scan_iter()]

    assert len(keys) == 6
    assert len({key_slot(key.encode()) for key in keys}) == 1


async def test_a_cluster_serves_it(tmp_path: Path) -> None:
    """A cluster of one node: it refuses scripts whose keys are not its own."""
    need_redis()
    server = RedisServer(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    server.start()
    try:
        server.tell("CLUSTER ADDSLOTSRANGE 0 16383")
        async with RedisLedger(server.url, cluster=True) as ledger:
            tally, id = fresh(100), an_id()
            for _ in range(100):
                try:
                    await ledger.tally(tally)
                except LedgerUnavailableError:
                    await asyncio.sleep(0.05)
            await ledger.hold(id, [tally, fresh()], 60)
            await ledger.settle(id, [tally], 25, 0)
            assert await ledger.tally(tally) == Balance(settled=25)
            assert len(await ledger.kept()) == 2
    finally:
        server.stop()


async def test_a_server_that_is_not_there_cannot_be_asked() -> None:
    """At once, and not after the time-out."""
    async with RedisLedger(f"redis://127.0.0.1:{free_port()}") as ledger:
        began = time.monotonic()
        for asking in (ledger.tally(fresh()), ledger.hold(an_id(), [fresh()], 1), ledger.settle(an_id(), [], 0, 0)):
            with pytest.raises(LedgerUnavailableError):
                await asking
        with pytest.raises(LedgerUnavailableError):
            await ledger.kept()
        assert time.monotonic() - began < 4


async def test_a_server_that_hangs_keeps_nobody_longer_than_the_time_out(own_redis: RedisServer) -> None:
    """And when it goes on, what it was asked meanwhile is done once, or given back."""
    async with RedisLedger(own_redis.url, timeout_s=0.3) as ledger:
        tally, id = fresh(100), an_id()
        await ledger.tally(tally)
        own_redis.freeze()
        began = time.monotonic()
        with pytest.raises(LedgerUnavailableError):
            await ledger.hold(id, [tally], 60)
        assert time.monotonic() - began < 1.9, "and of itself it would wait for ever"
        own_redis.thaw()

        assert list(await ledger.settle(id, [tally], 0, 0)) == [Balance()]
        await asyncio.sleep(0.1)
        assert await ledger.tally(tally) == Balance()


async def test_a_listing_of_a_server_that_hangs_ends(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take longer than a question, but not for ever."""
    monkeypatch.setattr("routeware.contrib.redis._LISTING_S", 0.2)
    async with RedisLedger(own_redis.url, timeout_s=0.2) as ledger:
        await ledger.tally(fresh())
        own_redis.freeze()
        with pytest.raises(LedgerUnavailableError, match=r"within 0\.2 s"):
            await ledger.kept()
        own_redis.thaw()


async def test_closing_ends_what_is_on_its_way_and_what_waits(own_redis: RedisServer) -> None:
    """With an error for whoever waits; no task is left on the loop, and closing a server that hangs does not hang."""
    ledger = RedisLedger(own_redis.url, timeout_s=30, connections=1)
    id = an_id()
    await ledger.hold(id, [fresh()], 1)
    await ledger.settle(id, [fresh()], 1, 0)
    own_redis.freeze()
    first = asyncio.create_task(ledger.tally(fresh()))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(ledger.tally(fresh()))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await ledger.aclose()
    own_redis.thaw()

    assert time.monotonic() - began < 10
    for asking in (first, second):
        with pytest.raises(LedgerUnavailableError, match="closed"):
            await asking
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_may_be_used_on_one_loop_after_another(redis: RedisServer) -> None:
    """A ledger may be made where modules are; each loop has connections of its own."""
    ledger, tally = RedisLedger(redis.url, prefix=prefix()), fresh()

    async def settle_and_close() -> None:
        await ledger.settle(an_id(), [tally], 1, 0)
        await ledger.aclose()

    await settle_and_close()
    await asyncio.to_thread(asyncio.run, settle_and_close())
    assert await ledger.tally(tally) == Balance(settled=2)
    await ledger.aclose()
    await ledger.aclose()


async def test_more_calls_than_connections_wait_for_one(redis: RedisServer) -> None:
    """None is refused for that."""
    async with RedisLedger(redis.url, prefix=prefix(), connections=2) as ledger:
        tally = fresh(50)
        await asyncio.gather(*(ledger.hold(an_id(), [tally], 1) for _ in range(50)))
        assert await ledger.tally(tally) == Balance(reserved=50)


async def test_amounts_beyond_64_bits_change_nothing(redis: RedisServer) -> None:
    """They are an error, not a rounded number."""
    async with RedisLedger(redis.url, prefix=prefix()) as ledger:
        tally = fresh()
        for amount in (2**62, -(2**62)):
            with pytest.raises(OverflowError):
                await ledger.settle(an_id(), [tally], amount, 0)
        assert await ledger.tally(tally) == Balance()


async def test_all_tallies_can_be_listed(redis: RedisServer) -> None:
    """Those of its own prefix."""
    name = prefix()
    async with RedisLedger(redis.url, prefix=name) as ledger, RedisLedger(redis.url, prefix=f"{name}-2") as other:
        await ledger.tally(Tally("b:*", 5))
        await ledger.settle(an_id(), [Tally("c")], 7, 0)
        await ledger.tally(Tally("a"))
        await other.tally(Tally("d"))

        kept = await ledger.kept()

    assert [(one.name, one.limited, one.limit_nanos, one.balance.settled) for one in kept] == [
        ("a", True, None, 0),
        ("b:*", True, 5, 0),
        ("c", False, None, 7),
    ]


@pytest.mark.parametrize(
    "settings", [{"prefix": "a{b"}, {"prefix": ""}, {"timeout_s": 0}, {"lease_s": -1}, {"expire_s": 0}]
)
def test_settings_that_cannot_mean_anything_are_refused(settings: dict[str, object]) -> None:
    """By name."""
    with pytest.raises(PolicyError) as raised:
        RedisLedger("redis://localhost", **settings)  # type: ignore[arg-type]
    assert raised.value.key == next(iter(settings))


def test_redis_is_imported_when_it_is_used() -> None:
    """Naming the class costs nothing."""
    said = "import sys, routeware.contrib.redis as r; r.RedisLedger('redis://localhost'); print('redis' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
