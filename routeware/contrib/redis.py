"""A ledger in Redis: processes on many machines share it. It needs Redis 7, or a server that speaks as it does.

One script on the server (``redis.lua``) answers every question, so nothing comes between the check and the hold, and
what is asked in one turn of the loop is one round trip. Every reservation has an id, so a question whose answer was
lost is simply asked again (``receipts`` says for how long). Leases are measured by the server's clock; whoever asks
next finds those that have ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from routeware.budget import Balance, Tally, different_limit, refusal
from routeware.contrib.kept import Change, Kept, KeptLedger, check_name
from routeware.contrib.loops import PerLoop, answered, late
from routeware.contrib.receipts import ACKNOWLEDGED_S, REPEAT_S, known_s
from routeware.contrib.redis_client import Question, RedisClient, check_url
from routeware.errors import LedgerUnavailableError, PolicyError
from routeware.money import usd

__all__ = ["RedisLedger"]

_BIGGEST = 2**53 - 1
_FITS = 2**62
_NAME = "the Redis ledger"
_NO_LIMIT = "none"
_LISTING_S = 60.0
_PAGE = 200
"""The number of tallies that one question reads."""


class RedisLedger(KeptLedger):
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
        repeat_s: float = REPEAT_S,
        connections: int = 16,
        cluster: bool = False,
    ) -> None:
        """Make a ledger that connects when it is first asked.

        Args:
            url: the server, as redis-py reads it.
            prefix: what its keys begin with; in braces, so that all of them lie in one hash slot of a cluster.
            timeout_s: how long a request may take, connecting and retries included.
            lease_s: how long a reservation stays reserved after its process was killed; then it becomes uncertain.
            expire_s: how long after its first use a tally is forgotten, with its limit; ``None`` for never.
            repeat_s: how long a settlement that had no answer is repeated. The server knows ids for twice as long,
                unless they are acknowledged.
            connections: how many there are at most, on each event loop.
            cluster: whether ``url`` is a node of a Redis Cluster.

        Raises:
            PolicyError: a URL that is none, a prefix with braces in it, or a time that is none.
        """
        check_url(url)
        if not prefix or "{" in prefix or "}" in prefix:
            raise PolicyError(f"{prefix!r} cannot be what keys begin with: some text without braces", key="prefix")
        super().__init__(timeout_s=timeout_s, lease_s=lease_s, expire_s=expire_s, repeat_s=repeat_s)
        self._prefix = f"{{{prefix}}}"
        self._clients = PerLoop(
            lambda: RedisClient(
                url,
                connections=connections,
                cluster=cluster,
                timeout_s=timeout_s,
                leases=self._key("leases"),
                settings=[_ms(lease_s), _ms(expire_s), _ms(known_s(repeat_s)), _ms(ACKNOWLEDGED_S)],
                probe=[self._key(kind, "") for kind in ("reservation", "tally", "history")],
                receipts=self.receipts,
            )
        )

    async def aclose(self) -> None:
        """Let the connections of this event loop go; asked again, the ledger connects again."""
        await self.leases.stop()
        client = self._clients.pop()
        if client is not None:
            await client.aclose()

    async def tally(self, tally: Tally, /) -> Balance:
        """Open ``tally``, or go on with it, and return its balance.

        Raises:
            PolicyError: it was opened with another limit (names both), or with one above 2^53 - 1 nano-dollars.
            LedgerUnavailableError: the server cannot be asked, or does not answer in time.
        """
        limit = _limit(tally)
        told = await self._ask(Question("tally", [self._tally(tally.name)], [limit]))
        if told[0] == "limit":
            raise PolicyError(different_limit(tally.name, _nanos(told[1]), tally.limit_nanos), key="limit_usd")
        return _balances(told)[0]

    async def set_limit(self, tally: Tally, /) -> Balance:
        """Give ``tally`` its limit for all who share the name; another one than it had is written to its history.

        Raises:
            PolicyError: the limit is above 2^53 - 1 nano-dollars.
            LedgerUnavailableError: the server cannot be asked, or does not answer in time.
        """
        limit = _limit(tally)
        keys = [self._tally(tally.name), self._key("history", tally.name)]
        return _balances(await self._ask(Question("limit", keys, [limit])))[0]

    async def release_uncertain(self, name: str, /) -> Balance:
        """Take what is uncertain under ``name`` off its sum, and write that to its history.

        Raises:
            LedgerUnavailableError: the server cannot be asked, or does not answer in time.
        """
        keys = [self._tally(name), self._key("history", name)]
        return _balances(await self._ask(Question("release", keys)))[0]

    async def history(self, name: str, /) -> list[Change]:
        """Return what was changed by hand under ``name``, the oldest first; at most the last 100 changes.

        Raises:
            LedgerUnavailableError: the server cannot be asked, or does not answer in time.
        """
        check_name(name)
        told = await self._ask(Question("history", [self._key("history", name)]))
        changes = [json.loads(text) for text in told[1:]]
        return [Change(float(at), event, _nanos(before), _nanos(after)) for at, event, before, after in changes]

    async def kept(self, name: str | None = None) -> list[Kept]:
        """Return the tally called ``name``, or all under the prefix, by name.

        For all of them the keys of the whole database are looked through.

        Raises:
            LedgerUnavailableError: the server cannot be asked, or does not come to an end.
        """
        if name is not None:
            check_name(name)
            return await self._read([name])
        async with self._bounded(_LISTING_S):
            names = sorted({name async for name in self._names()})
        found = []
        for start in range(0, len(names), _PAGE):
            found += await self._read(names[start : start + _PAGE])
        return found

    async def _names(self) -> AsyncIterator[str]:
        start = self._key("tally", "")
        async for key in self._clients.here().redis.scan_iter(match=f"{_escaped(start)}*", count=1000):
            yield key.removeprefix(start)

    async def _read(self, names: Sequence[str]) -> list[Kept]:
        told = await self._ask(Question("kept", [self._tally(name) for name in names]))
        rows = [told[start : start + 5] for start in range(1, len(told), 5)]
        return [
            Kept(names[int(place)], Balance(*map(int, sums)), limited=limit != "", limit_nanos=_nanos(limit))
            for place, limit, *sums in rows
        ]

    async def _renew(self, ids: list[str]) -> None:
        await self._ask(Question("renew", [self._reservation(id) for id in ids]))

    async def _hold(self, id: str, tallies: Sequence[Tally], nanos: int) -> Sequence[Balance]:
        bounds = [_text(bound) for tally in tallies for bound in (tally.limit_nanos, tally.cap_nanos)]
        told = await self._ask(self._about(id, "hold", tallies, [_amount(nanos), *bounds]))
        if told[0] == "refused":
            refused = tallies[int(told[1])]
            raise refusal(refused.name, sum(map(int, told[3:])), int(told[2]), nanos)
        return _balances(told)

    async def _settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int) -> Sequence[Balance]:
        return _balances(await self._ask(self._about(id, "settle", tallies, [_amount(settled), _amount(uncertain)])))

    def _about(self, id: str, what: str, tallies: Sequence[Tally], arguments: list[str]) -> Question:
        return Question(what, [self._reservation(id), *(self._tally(tally.name) for tally in tallies)], arguments, id)

    async def _ask(self, question: Question) -> list[str]:
        self._clients.here().ask(question)
        told = await answered(question.answer, self.timeout_s, _NAME)
        if told[0] == "full":
            raise OverflowError(f"{told[1].removeprefix('FULL ')}: sums are kept in 64 bits")
        if told[0] == "failed":
            raise LedgerUnavailableError(f"the Redis ledger could not be asked: {told[1]}")
        return told

    @asynccontextmanager
    async def _bounded(self, timeout_s: float) -> AsyncIterator[None]:
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError as error:
            raise late(timeout_s, _NAME) from error
        except (RedisError, OSError) as error:
            raise self._clients.here().unavailable(error) from error

    def _tally(self, name: str) -> str:
        check_name(name)
        return self._key("tally", name)

    def _reservation(self, id: str) -> str:
        return self._key("reservation", id)

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else str(max(1, round(seconds * 1000)))


def _limit(tally: Tally) -> str:
    limit = tally.limit_nanos
    if limit is not None and limit > _BIGGEST:
        raise PolicyError(f"${usd(limit):g} does not fit: this ledger keeps up to ${usd(_BIGGEST):g}", key="limit_usd")
    return _text(limit)


def _text(limit: int | None) -> str:
    return _NO_LIMIT if limit is None else str(limit)


def _nanos(text: str) -> int | None:
    return None if text in {"", _NO_LIMIT} else int(text)


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
