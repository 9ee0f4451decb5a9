"""Processes that spend from one Redis over a network that loses replies, is away, and delivers late what it kept.

The test runs it with short windows. ``python -m tests.real.ledgers.outage --away 90`` runs it in full.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import attrs

from routeware.budget import Balance, Tally
from routeware.contrib.redis import RedisLedger
from tests.real.ledgers.proxy import Proxy
from tests.real.ledgers.servers import RedisServer
from tests.real.ledgers.workers import Workers

__all__ = ["Outcome", "live_through"]

LIMIT_USD = 1000.0


@attrs.frozen
class Outcome:
    """What became of it: the ends of the calls, what the ledger says, and what the network did."""

    ended: Counter[str]
    balance: Balance
    lost: int
    late: int


async def live_through(server: RedisServer, away_s: float, settings: dict[str, Any], told: dict[str, Any]) -> Outcome:
    """Let two processes call before, during and after an outage of ``away_s`` seconds; every seventh reply is lost.

    In its first half the network hangs up, in its second it is silent. What it kept then arrives when all is over.
    """
    around_s = max(1.0, away_s / 10)
    async with Proxy(server.port) as proxy:
        proxy.loses = lambda number: number % 7 == 6
        work = {"calls": 10, "takes_s": 0.02, "limit_usd": LIMIT_USD, "seconds": away_s + 2 * around_s, **told}
        workers = Workers({"kind": "redis", "where": proxy.url, "settings": settings, **work})
        try:
            await workers.start(2)
            await asyncio.gather(*(worker.line() for worker in workers.all))
            await asyncio.sleep(around_s)
            proxy.away = True
            await asyncio.sleep(away_s / 2)
            proxy.away, proxy.silent = False, True
            await asyncio.sleep(away_s / 2)
            proxy.silent = False
            ended = await workers.ended()
        finally:
            for worker in workers.all:
                await worker.kill()
        late = len(proxy.kept)
        await proxy.deliver()
        lost = proxy.lost
    async with RedisLedger(server.url) as ledger:
        balance = await ledger.tally(Tally("team", round(LIMIT_USD * 1e9)))
    return Outcome(ended, balance, lost, late)


def main() -> None:
    """Run it as the command line says, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--away", type=float, default=90.0, help="seconds that the network is away")
    parser.add_argument("--spare", type=float, help="dollars that each process may spend meanwhile")
    options = parser.parse_args()
    told = {} if options.spare is None else {"on_unavailable": options.spare}
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            outcome = asyncio.run(live_through(server, options.away, {}, told))
        finally:
            server.stop()
    sys.stdout.write(f"{outcome}\n")


if __name__ == "__main__":
    main()
