"""Sessions three deep, over different ledgers: each adds up, whatever becomes of the calls inside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import routeware
from routeware import Attempt, BudgetExceededError, CallRecord, Ledger, MemoryLedger, RoutingPolicy, Session, routed
from tests.fakes.clock import run_jumping
from tests.fakes.ledgers import Remote
from tests.fakes.providers import HTTPStatusError, pause

NAMES = ("month", "day", "request")


@attrs.frozen
class Task:
    """A call: when it begins, how long its attempts take, how the first ends, and when it is cancelled, how often."""

    begins_ms: int
    takes_ms: int
    fails: bool
    cost_usd: float | None
    cancelled_ms: tuple[int, ...]


@attrs.frozen
class World:
    """Three sessions: where each is kept, how long each ledger takes, their limit, how the body ends, and the calls."""

    kept: tuple[int | None, ...]
    slow_ms: tuple[int, int]
    limit_usd: float | None
    raises: bool
    tasks: Sequence[Task]


TASKS = st.builds(
    Task,
    st.integers(0, 50),
    st.integers(0, 80),
    st.booleans(),
    st.sampled_from([None, 0.0, 0.125, 0.25]),
    st.lists(st.integers(0, 120), max_size=2).map(sorted).map(tuple),
)
WORLDS = st.builds(
    World,
    st.tuples(*[st.sampled_from([None, 0, 1, 2])] * 3),
    st.tuples(st.integers(0, 30), st.integers(0, 30)),
    st.sampled_from([None, 1.0, 0.5]),
    st.booleans(),
    st.lists(TASKS, min_size=1, max_size=4),
)


class Slow(Remote):
    """Every question takes the same time."""

    def __init__(self, takes_ms: float) -> None:
        super().__init__(settle_ms=takes_ms)
        self._takes_ms = takes_ms

    async def hold(self, id: str, tallies: Any, nanos: int, /) -> Any:
        self.hold_ms = [self._takes_ms]
        return await super().hold(id, tallies, nanos)


async def play(world: World) -> tuple[list[CallRecord], list[Session], Sequence[Ledger]]:
    """Run it to its end: the records of all calls, the sessions, and the ledgers."""
    records: list[CallRecord] = []
    ledgers: Sequence[Ledger] = (MemoryLedger(), Slow(world.slow_ms[0]), Slow(world.slow_ms[1]))
    policy = RoutingPolicy.from_dict(
        {"chain": ["a:m", "b:m"], "latency": {"race_after_ms": 30}, "budget": {"allow_unpriced": True}}
    )

    @routed(policy, on_call=records.append)
    async def ask(attempt: Attempt, task: Task) -> str:
        await pause(task.takes_ms)
        if task.fails and attempt.provider == "a":
            raise HTTPStatusError(503)
        if task.cost_usd is not None:
            attempt.report_cost(task.cost_usd)
        return attempt.provider

    ask.estimate(lambda _link, _task: 0.25)

    async def call(task: Task) -> None:
        await pause(task.begins_ms)
        await ask(task)

    sessions = [
        routeware.session(name, limit_usd=world.limit_usd, ledger=None if kept is None else ledgers[kept])
        for name, kept in zip(NAMES, world.kept, strict=True)
    ]
    calls: list[asyncio.Task[None]] = []
    try:
        async with AsyncExitStack() as stack:
            for one in sessions:
                await stack.enter_async_context(one)
            for task in world.tasks:
                calls.append(asyncio.create_task(call(task)))
                for moment in task.cancelled_ms:
                    asyncio.get_running_loop().call_later(moment / 1000, calls[-1].cancel)
            await pause(40)
            _ = 1 / (not world.raises)
            await asyncio.wait(calls)
    except ZeroDivisionError:
        assert world.raises
    ended = await asyncio.gather(*calls, return_exceptions=True)
    known = (BudgetExceededError, routeware.SessionClosedError, asyncio.CancelledError, HTTPStatusError)
    assert all(one is None or isinstance(one, known) for one in ended)
    await pause(1_000)
    return records, sessions, ledgers


@given(WORLDS)
def test_every_session_adds_up(world: World) -> None:
    """What the calls say they cost is what each of the three says was spent; nothing stays reserved."""
    records, sessions, _ = run_jumping(play(world))

    cost = sum(record.cost_usd or 0 for record in records)
    uncertain = sum(record.uncertain_usd or 0 for record in records)
    for one in sessions:
        assert (one.spent_usd, one.uncertain_usd, one.reserved_usd) == (cost, uncertain, 0)
        assert world.limit_usd is None or one.spent_usd + one.uncertain_usd <= world.limit_usd


async def test_the_refusal_of_the_third_is_taken_back_in_the_first_two() -> None:
    """Outermost first, and rolled back when one refuses."""
    outer, inner = Remote(), Remote()
    policy = RoutingPolicy.from_dict({"chain": ["a:m"], "budget": {"allow_unpriced": True}})

    @routed(policy)
    async def ask(attempt: Attempt) -> None:
        raise AssertionError("not reached")

    ask.estimate(lambda _link: 0.25)
    async with (
        routeware.session("month", limit_usd=10, ledger=outer) as month,
        routeware.session("day", limit_usd=5) as day,
        routeware.session("request", limit_usd=0.1, ledger=inner) as request,
    ):
        with pytest.raises(BudgetExceededError) as raised:
            await ask()

    assert raised.value.session_name == "request"
    assert [one.reserved_usd for one in (month, day, request)] == [0, 0, 0]
