"""Random schedules for cooldown: a call to which any link of its chain would have answered gets an answer.

``python -m tests.availability.schedules [HOW_MANY] [FIRST_SEED]`` plays many; the suite plays a share of them. There
are no deadlines and no time-outs: what each link does in a call is drawn beforehand, whenever it is asked. In every
third schedule the function is a generator function, and its first item is the answer.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import Any

from routeware import Attempt, Health, RoutingPolicy, routed
from routeware.testing import fails
from tests.fakes.clock import run_jumping

__all__ = ["play", "play_all"]

_FAILURES: tuple[Callable[[Random], BaseException], ...] = (
    lambda _chance: fails(503).make(),
    lambda _chance: fails(500).make(),
    lambda _chance: fails("transient_network").make(),
    lambda _chance: fails("timeout").make(),
    lambda _chance: fails("auth").make(),
    lambda _chance: fails("quota").make(),
    lambda chance: fails(429, retry_after_ms=chance.choice((1, 500, 7_000, 90_000))).make(),
)

Deed = tuple[float, BaseException | None]
"""What a link does in a call: after how many seconds, and with which error, if any."""


def _policy(chance: Random) -> RoutingPolicy:
    failover = {
        "on_error_kinds": ["default", "auth", "quota"],
        "cooldown_ms": chance.choice((1, 100, 5_000, 60_000)),
        "cooldown_after": chance.randint(1, 4),
        "cooldown_max_ms": chance.choice((60_000, 120_000)),
        "retries": chance.choice((0, 0, 1)),
    }
    latency = {"race_after_ms": chance.choice((0, 50, 1_000)), "race_width": chance.randint(2, 3)}
    chain = [f"{name}:m" for name in "abcd"[: chance.randint(2, 4)]]
    races = {"latency": latency} if chance.random() < 0.5 else {}
    return RoutingPolicy.from_dict({"chain": chain, "failover": failover, **races})


def _deed(chance: Random, ill: float) -> Deed:
    after_s = chance.choice((0, 0.01, 0.05, 3.0))
    return after_s, chance.choice(_FAILURES)(chance) if chance.random() < ill else None


async def _plain(attempt: Attempt, does: dict[str, Deed]) -> str:
    after_s, error = does[attempt.label]
    await asyncio.sleep(after_s)
    if error is not None:
        raise error
    return attempt.label


async def _stream(attempt: Attempt, does: dict[str, Deed]) -> AsyncIterator[str]:
    yield await _plain(attempt, does)


async def play(seed: int) -> int:
    """Play one schedule; give how many of its calls some link would have answered.

    Raises:
        AssertionError: one of these calls got no answer.
    """
    chance = Random(seed)
    policy = _policy(chance)
    health = Health(draw=chance.random)
    ask: Any = routed(policy, health=health)(_stream if seed % 3 == 0 else _plain)

    async def call(start_s: float, does: dict[str, Deed]) -> bool:
        await asyncio.sleep(start_s)
        answerable = any(error is None for _, error in does.values())
        try:
            await ask.outcome(does)
        except Exception as error:
            if answerable:
                raise AssertionError(f"seed {seed}: no answer, though a link of {does} would have answered") from error
        return answerable

    calls: list[Coroutine[Any, Any, bool]] = []
    for _ in range(chance.randint(1, 12)):
        does = {link.label: _deed(chance, chance.random()) for link in policy.chain}
        if chance.random() < 0.1:
            health.trip(chance.choice(policy.chain).label, for_ms=chance.choice((10, 10_000)))
        calls.append(call(chance.choice((0, 0, 0.02, 1.0, 30.0, 200.0)), does))
    return sum(await asyncio.gather(*calls))


def play_all(seeds: range) -> int:
    """Play the schedules of these seeds; give how many calls had to be answered, and were."""

    async def all_of_them() -> int:
        return sum([await play(seed) for seed in seeds])

    return run_jumping(all_of_them)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    told = play_all(range(first, first + many))
    print(f"{many:,} schedules: {told:,} calls had a link that answers, and all got an answer")  # noqa: T201 - a script
