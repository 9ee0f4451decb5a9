"""Redis is stopped, killed, or loses its replies: nothing counts twice or goes unrecorded, and nobody waits long."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter

import pytest

import routeware
from routeware import Attempt, Ledger, LedgerUnavailableError, RoutingPolicy, routed
from routeware.budget import Balance, Tally
from routeware.contrib.redis import RedisLedger
from tests.real.ledgers.proxy import Proxy
from tests.real.ledgers.servers import RedisServer

COST_USD = 0.001234567
COST = 1_234_567


class Spender:
    """Calls that cost the same, and how they ended and how long they took at most."""

    def __init__(self, takes_s: float) -> None:
        self.ended: Counter[str] = Counter()
        self.slowest_s = 0.0

        @routed(RoutingPolicy.from_dict({"chain": ["a:m"], "budget": {"allow_unpriced": True}}))
        async def ask(attempt: Attempt) -> None:
            self.ended["started"] += 1
            await asyncio.sleep(takes_s)
            attempt.report_cost(COST_USD)

        ask.estimate(lambda _link: 2 * COST_USD)
        self._ask = ask

    async def call(self) -> None:
        """One call."""
        began = time.monotonic()
        try:
            await self._ask()
        except LedgerUnavailableError:
            self.ended["unavailable"] += 1
        else:
            self.ended["ran"] += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


async def balance_of(ledger: Ledger) -> Balance:
    """What the ledger says of the session."""
    return await ledger.tally(Tally("day", 10_000_000_000))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_redis_is_stopped_and_started_again(own_redis: RedisServer, how: signal.Signals) -> None:
    """Calls that need it meanwhile are refused in time; the others are told when it is back; the session goes on."""
    spender = Spender(takes_s=0.05)
    async with RedisLedger(own_redis.url, timeout_s=0.5) as ledger:
        async with routeware.session("day", limit_usd=10, ledger=ledger):
            enough = asyncio.Event()

            async def keep_calling() -> None:
                while not enough.is_set():
                    await spender.call()
                    await asyncio.sleep(0.005)

            async def seen(what: str, times: int = 100) -> None:
                enough_of_them = spender.ended[what] + times
                while True:
                    if spender.ended[what] >= enough_of_them:
                        return
                    await asyncio.sleep(0.01)

            calling = asyncio.gather(*(keep_calling() for _ in range(10)))
            await seen("ran")
            await asyncio.to_thread(own_redis.stop, how)
            await seen("unavailable")
            await asyncio.to_thread(own_redis.start)
            await seen("ran")  # the session goes on
            enough.set()
            await calling
        balance = await balance_of(ledger)

    ended = spender.ended
    assert ended["started"] == ended["ran"]
    assert balance == Balance(settled=ended["ran"] * COST)
    # The hold's time-out, the attempt, a second at most for telling what it cost, and what a busy machine adds.
    assert spender.slowest_s < 0.5 + 0.05 + 1.0 + 2


async def test_a_reply_that_is_lost_counts_once(own_redis: RedisServer) -> None:
    """The server has acted; the client asks again by the same id. Every fifth reply, while 200 calls run."""
    spender = Spender(takes_s=0.01)

    async def one_after_another() -> None:
        for _ in range(40):  # not all of them in one request
            await spender.call()

    async with Proxy(own_redis.port) as proxy, RedisLedger(proxy.url) as ledger:
        proxy.loses = lambda number: number % 5 == 4
        async with routeware.session("day", limit_usd=10, ledger=ledger):
            await asyncio.gather(*(one_after_another() for _ in range(5)))
        balance = await balance_of(ledger)

    assert proxy.lost > 10
    assert spender.ended["ran"] + spender.ended["unavailable"] == 200
    assert spender.ended["ran"] > 100
    assert balance == Balance(settled=spender.ended["ran"] * COST)


async def test_replies_that_are_all_lost_refuse_and_are_given_back(own_redis: RedisServer) -> None:
    """Nobody can know that the hold was granted, so nothing is started; what it set aside is given back later."""
    spender = Spender(takes_s=0.01)
    async with Proxy(own_redis.port) as proxy, RedisLedger(proxy.url, timeout_s=0.5) as ledger:
        async with routeware.session("day", limit_usd=10, ledger=ledger):
            proxy.loses = lambda _: True
            await asyncio.gather(*(spender.call() for _ in range(10)))
            proxy.loses = lambda _: False
        balance = await balance_of(ledger)

    assert dict(spender.ended) == {"unavailable": 10}
    assert balance == Balance()
    assert spender.slowest_s < 4


async def test_a_redis_that_hangs_keeps_no_call_for_longer_than_the_time_out(own_redis: RedisServer) -> None:
    """Its connections are open, and silent."""
    spender = Spender(takes_s=0.01)
    async with RedisLedger(own_redis.url, timeout_s=0.3) as ledger:
        async with routeware.session("day", limit_usd=10, ledger=ledger):
            await spender.call()
            own_redis.freeze()
            await asyncio.gather(*(spender.call() for _ in range(50)))
            slowest_s = spender.slowest_s
            own_redis.thaw()
            await spender.call()
        balance = await balance_of(ledger)

    assert dict(spender.ended) == {"started": 2, "ran": 2, "unavailable": 50}
    assert slowest_s < 3
    assert balance == Balance(settled=2 * COST)


async def test_a_ledger_that_takes_its_time_delays_no_primary(own_redis: RedisServer) -> None:
    """In a race the hold is the backup's own business: the primary's answer is there, and the hold is given back."""
    started: list[str] = []

    @routed(
        RoutingPolicy.from_dict(
            {"chain": ["a:m", "b:m"], "latency": {"race_after_ms": 50}, "budget": {"allow_unpriced": True}}
        )
    )
    async def ask(attempt: Attempt) -> str:
        started.append(attempt.provider)
        await asyncio.sleep(0.15)
        attempt.report_cost(COST_USD)
        return attempt.provider

    ask.estimate(lambda _link: 2 * COST_USD)
    async with Proxy(own_redis.port) as proxy, RedisLedger(proxy.url) as ledger:
        async with routeware.session("day", limit_usd=10, ledger=ledger):
            # The answers to come: to the primary's hold, to the backup's.
            first = proxy.replies
            proxy.delay_s = lambda number: 1.5 if number == first + 1 else 0.0
            began = time.monotonic()
            answer = await ask()
            took = time.monotonic() - began
        balance = await balance_of(ledger)

    assert answer == "a"
    assert started == ["a"]
    assert took < 1.4
    assert balance == Balance(settled=COST)
