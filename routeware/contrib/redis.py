"""A ledger in Redis: processes on many machines share it. It needs Redis 7, or a server that speaks as it does.

All of a request is one script on the server (``redis.lua``), so nothing comes between the check and the hold, and each
request is one round trip. Every reservation has an id, so a request whose reply was lost is simply sent again. Leases
are measured by the server's clock; who asks next finds those that have ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from routeware.budget import Balance, Tally, different_limit, refusal
from routeware.contrib.kept import Kept
from routeware.contrib.leases import Leases
from routeware.contrib.loops import PerLoop
from routeware.errors import LedgerUnavailableError, PolicyError
from routeware.money import usd

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster
    from redis.commands.core import AsyncScript

__all__ = ["RedisLedger"]

_BIGGEST = 2**53 - 1
_FITS = 2**62
_RETRIES = 3
_NO_LIMIT = "none"
_LISTING_S = 60.0


class RedisLedger:
    """A ledger on the server at ``url`` (``redis://``, ``rediss://`` or ``unix://``).

    One object may serve all sessions of a process, on any event loop. Use it with ``async with``, or call
    :meth:`aclose` on the loop that used it; sums stay on the server, as safe as its persistence makes them.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "routeware",
        timeout_s: float = 2.0,
        lease_s: float = 60.0,
        expire_s: float | None = None,
        connections: int = 16,
        cluster: bool = False,
    ) -> None:
        """A ledger that connects when it is first asked.

        Args:
            url: the server, as redis-py reads it.
            prefix: what its keys begin with; in braces, so that all of them lie in one hash slot of a cluster.
            timeout_s: how long a request may take, connecting and retries included.
            lease_s: how long a reservation stays reserved after its process was killed; then it becomes uncertain.
            expire_s: how long after its first use a tally is forgotten, with its limit; ``None`` for never.
            connections: how many there are at most, on each event loop.
            cluster: whether ``url`` is a node of a Redis Cluster.

        Raises:
            PolicyError: a prefix with braces in it, or a time that is none.
        """
        if not prefix or "{" in prefix or "}" in prefix:
            raise PolicyError(f"{prefix!r} cannot be what keys begin with: some text without braces", key="prefix")
        for key, value in {"timeout_s": timeout_s, "lease_s": lease_s, "expire_s": expire_s}.items():
            if value is not None and not value > 0:
                raise PolicyError(f"{value!r} is not a time above 0", key=key)
        self._prefix = f"{{{prefix}}}"
        self._timeout_s = timeout_s
        self._lease_ms = str(max(1, round(lease_s * 1000)))
        self._life_ms = "" if expire_s is None else str(max(1, round(expire_s * 1000)))
        self._leases = Leases(self._renew, lease_s / 3)
        self._clients = PerLoop(lambda: _Client(url, connections, cluster))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let the connections of this event loop go; asked again, the ledger connects again."""
        await self._leases.stop()
        client = self._clients.pop()
        if client is not None:
            await client.redis.aclose()

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally``, or go on with it, and say what it stands at.

        Raises:
            PolicyError: it was opened with another limit (names both), or with one above 2^53 - 1 nano-dollars.
            LedgerUnavailableError: the server cannot be asked, or does not answer in time.
        """
        limit = tally.limit_nanos
        if limit is not None and limit > _BIGGEST:
            raise PolicyError(f"{usd(limit):g} does not fit: up to {usd(_BIGGEST):g} are kept here", key="limit_usd")
        told = await self._ask("tally", self._key("leases"), [tally], [_text(limit)])
        if told[0] == "limit":
            known = None if told[1] == _NO_LIMIT else int(told[1])
            raise PolicyError(different_limit(tally.name, known, limit), key="limit_usd")
        return _balances(told)[0]

    async def hold(self, id: str, tallies: Sequence[Tally], nanos: int, /) -> Sequence[Balance]:
        """Set aside ``nanos`` in every tally, or in none, until it is settled or this process is gone.

        Raises:
            BudgetExceededError: a limit would be passed; equality fits.
            LedgerUnavailableError: the server cannot be asked, or does not answer in time.
        """
        limits = [_text(tally.limit_nanos) for tally in tallies]
        told = await self._ask("hold", self._reservation(id), tallies, [_amount(nanos), *limits])
        if told[0] == "refused":
            refused = tallies[int(told[1])]
            raise refusal(refused.name, sum(map(int, told[2:])), refused.limit_nanos or 0, nanos)
        self._leases.add(id)
        return _balances(told)

    async def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int, /) -> Sequence[Balance]:
        """Replace what ``id`` holds, if anything, by what it cost; once per ``id``.

        Raises:
            LedgerUnavailableError: the server cannot be asked, or does not answer in time.
        """
        self._leases.discard(id)
        return _balances(
            await self._ask("settle", self._reservation(id), tallies, [_amount(settled), _amount(uncertain)])
        )

    async def kept(self) -> list[Kept]:
        """All tallies under the prefix, by name. The keys of the whole database are looked through for them.

        Raises:
            LedgerUnavailableError: the server cannot be asked, or does not come to an end.
        """
        async with self._bounded(_LISTING_S):
            return sorted([one async for one in self._all_kept()], key=lambda one: one.name)

    async def _all_kept(self) -> AsyncIterator[Kept]:
        redis, start = self._clients.here().redis, self._key("tally", "")
        async for key in redis.scan_iter(match=f"{_escaped(start)}*", count=1000):
            limit, *amounts = await redis.hmget(key, ["limit", "settled", "uncertain", "reserved"])
            limit_nanos = None if limit in {None, _NO_LIMIT} else int(limit)
            balance = Balance(*(int(amount or 0) for amount in amounts))
            yield Kept(key.removeprefix(start), balance, limited=limit is not None, limit_nanos=limit_nanos)

    async def _renew(self, ids: list[str]) -> None:
        keys = [self._key("leases"), self._key("leases"), *map(self._reservation, ids)]
        await self._call(keys, ["renew", self._lease_ms, self._life_ms])

    async def _ask(self, question: str, about: str, tallies: Sequence[Tally], arguments: list[str]) -> list[str]:
        keys = [self._key("leases"), about, *(self._key("tally", tally.name) for tally in tallies)]
        return await self._call(keys, [question, self._lease_ms, self._life_ms, *arguments])

    async def _call(self, keys: list[str], arguments: list[str]) -> list[str]:
        async with self._bounded(self._timeout_s):
            told: list[str] = await self._clients.here().script(keys, arguments)
            return told

    @asynccontextmanager
    async def _bounded(self, timeout_s: float) -> AsyncIterator[None]:
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError as error:
            raise LedgerUnavailableError(f"the Redis ledger did not answer within {timeout_s:g} s") from error
        except (RedisError, OSError) as error:
            raise LedgerUnavailableError(f"the Redis ledger could not be asked: {error}") from error

    def _reservation(self, id: str) -> str:
        return self._key("reservation", id)

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))


class _Client:
    """The connections of one event loop, and the script."""

    def __init__(self, url: str, connections: int, cluster: bool) -> None:
        from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
        from redis.asyncio.retry import Retry
        from redis.backoff import ExponentialBackoff

        settings: dict[str, Any] = {
            "decode_responses": True,
            # No time-outs of its own: beside ours, they can eat the cancellation that ours is made of.
            "socket_timeout": None,
            "socket_connect_timeout": None,
            # Every request may be sent again: the server knows it by its id.
            "retry": Retry(ExponentialBackoff(cap=0.2, base=0.02), _RETRIES),
            "max_connections": connections,
        }
        self.redis: Redis | RedisCluster
        if cluster:
            self.redis = RedisCluster.from_url(url, **settings)
        else:
            # Calls wait for a connection that is free: thousands of connections would not be faster.
            self.redis = Redis.from_pool(BlockingConnectionPool.from_url(url, timeout=None, **settings))
        text = files("routeware.contrib").joinpath("redis.lua").read_text(encoding="utf-8")
        self.script: AsyncScript = self.redis.register_script(text)


def _text(limit: int | None) -> str:
    return _NO_LIMIT if limit is None else str(limit)


def _amount(nanos: int) -> str:
    # Beyond 64 bits the server would stop in the middle of its script.
    if not -_FITS < nanos < _FITS:
        raise OverflowError(f"{nanos} nano-dollars do not fit in 64 bits with room to add")
    return str(nanos)


def _balances(told: list[str]) -> list[Balance]:
    numbers = [int(text) for text in told[1:]]
    return [Balance(*numbers[start : start + 3]) for start in range(0, len(numbers), 3)]


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in r"\*?[]" else letter for letter in text)
