"""One process of several that spend from one budget: it makes its calls at once, and says what became of them.

With ``seconds``, each of them is followed by others until that time is over.

Run as ``python -m tests.real.ledgers.worker '{"kind": "redis", ...}'``. It writes ``started`` when its first attempt
runs, and at the end one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections import Counter
from functools import partial
from typing import Any

import routeware
from routeware import Attempt, BudgetExceededError, Ledger, RoutingPolicy, routed
from routeware.budget.offline import outage_of
from routeware.contrib import redis
from routeware.contrib.redis import RedisLedger
from routeware.contrib.sqlite import SqliteLedger

COST_USD = 0.001234567
"""An amount that no double has: sums of it drift where they are not whole numbers."""


def ledger_of(told: dict[str, Any]) -> RedisLedger | SqliteLedger:
    """The ledger that all processes share."""
    kinds = {"redis": RedisLedger, "sqlite": SqliteLedger}
    ledger: RedisLedger | SqliteLedger = kinds[told["kind"]](told["where"], **told["settings"])
    return ledger


async def spend(told: dict[str, Any], ledger: Ledger) -> Counter[str]:
    """Make the calls, all at once; how they ended."""
    ended: Counter[str] = Counter()

    @routed(RoutingPolicy.from_dict({"chain": [{"provider": "a", "model": "m"}], "budget": {"allow_unpriced": True}}))
    async def ask(attempt: Attempt) -> str:
        if not ended["started"]:
            sys.stdout.write("started\n")
            sys.stdout.flush()
        ended["started"] += 1
        await asyncio.sleep(told["takes_s"])
        attempt.report_cost(COST_USD)
        return "done"

    ask.estimate(lambda _link: COST_USD)

    until = time.monotonic() + told.get("seconds", 0)

    async def call() -> None:
        await once()
        while time.monotonic() < until:
            await asyncio.sleep(told["takes_s"])
            await once()

    async def once() -> None:
        try:
            await ask()
        except BudgetExceededError:
            ended["refused"] += 1
        except Exception as error:  # noqa: BLE001 - the test says what it expected
            ended[type(error).__name__] += 1
        else:
            ended["ran"] += 1

    meanwhile = told.get("on_unavailable", "refuse")
    team = partial(routeware.session, "team", limit_usd=told["limit_usd"], ledger=ledger, on_unavailable=meanwhile)
    async with team():
        await asyncio.gather(*(call() for _ in range(told["calls"])))
    while outage_of(ledger).untold:
        # As in a service: what one session could not tell, the next that reaches the ledger does.
        async with team():
            await once()
    return ended


async def main() -> None:
    """What the command line says."""
    logging.getLogger("routeware").setLevel(logging.ERROR)
    told = json.loads(sys.argv[1])
    redis.ACKNOWLEDGED_S = told.get("acknowledged_s", redis.ACKNOWLEDGED_S)
    async with ledger_of(told) as ledger:
        ended = await spend(told, ledger)
    sys.stdout.write(json.dumps(ended) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
