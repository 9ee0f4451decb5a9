"""Streams in random worlds, and one that is cancelled at every turn of the loop: nothing is left, sums are exact."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import routeware
from routeware import Attempt, CallRecord, RoutingPolicy, routed
from tests.fakes.clock import EagerLoop, JumpingLoop
from tests.fakes.providers import armed_timers, other_tasks, pause
from tests.streams.worlds import PRICE, TIMES, World, call, read

FROM = int(os.environ.get("STREAM_SEED", "0"))
COUNT = int(os.environ.get("STREAM_WORLDS", "150"))


async def play(seed: int) -> None:
    """Play one world, and check that every promise holds."""
    world = World(seed)
    got: list[str] = []
    limit = world._maybe(0.6, 15.0, 25.0, 1_000.0)
    name = None if world.ledger is None else "team"
    async with routeware.session(name, limit_usd=limit, ledger=world.ledger) as spending:
        world.spending = spending
        beside = [asyncio.ensure_future(call(world, one)) for one in world.plain_calls]
        reading = asyncio.ensure_future(read(world, got))
        if world.dice.random() < 0.3:
            await pause(world.dice.choice(TIMES))
            for _ in range(world.dice.randint(0, 8)):
                await asyncio.sleep(0)
            reading.cancel()
        await asyncio.wait([reading])
        how = "cancelled" if reading.cancelled() else reading.result()
        del reading
        if beside:
            await asyncio.wait(beside)
        ends = [one.result() for one in beside]
        gc.collect(0)
        await pause(2_000)  # stragglers, and what the collector has cut off
    check(world, got, how, spending, limit)
    check_plain(world, ends, spending)


def check(world: World, got: list[str], how: str, spending: Any, limit: float | None) -> None:
    """Nothing left, sums exact, spans ended once, items of one attempt in order, no clean end that is not one."""
    assert not other_tasks()
    assert not armed_timers()
    assert len(world.records) <= 1
    spans = [span.context.span_id for span in world.traces.spans]
    assert len(spans) == len(set(spans))
    assert spending.reserved_usd == 0
    if limit is not None:
        assert spending.spent_usd + spending.uncertain_usd <= limit + 1e-6
        assert world.most <= limit + 1e-6
    if not world.records:
        assert got == []
        assert how == "cancelled"
        return
    record = world.records[0]
    started = [one for one in record.attempts if str(one.status) != "skipped"]
    assert len(spans) == len(started) + 1
    costs = sum(one.cost_usd or 0 for one in record.attempts)
    assert record.cost_usd is not None
    assert record.uncertain_usd is not None
    assert record.cost_usd + record.uncertain_usd == pytest.approx(costs)
    selected = None if record.selected is None else record.attempts[record.selected]
    assert got == ([] if selected is None else world.given[selected.label][: len(got)])
    assert sum(one.items or 0 for one in record.attempts) <= len(got)
    if how == "end":
        assert record.ended in {"completed", "closed"}
        assert selected is not None
        if record.ended == "completed" and world.complete[selected.label]:
            assert got == world.given[selected.label]
    if record.ended == "completed":
        assert record.outcome == "succeeded"
    if how in {"HTTPStatusError", "FatalError"}:
        # What a generator raises that its reader lets end, after its last item, comes out of closing it.
        assert record.outcome == ("succeeded" if record.ended == "closed" else "failed")


def check_plain(world: World, ends: list[str], spending: Any) -> None:
    """One end per plain call; and what all records say was spent is what the session says."""
    assert len(world.plain_records) <= len(ends)
    assert len(world.plain_records) >= sum(end != "cancelled" for end in ends)
    records = [*world.records, *world.plain_records]
    costs = sum((one.cost_usd or 0) + (one.uncertain_usd or 0) for one in records)
    assert spending.spent_usd + spending.uncertain_usd == pytest.approx(costs)


@pytest.mark.parametrize("tens", range(10))
def test_random_worlds(tens: int) -> None:
    """Whatever the schedule."""
    for seed in range(FROM + tens * COUNT // 10, FROM + (tens + 1) * COUNT // 10):
        eager = sys.version_info >= (3, 12) and seed % 3 == 0
        with asyncio.Runner(loop_factory=EagerLoop if eager else JumpingLoop) as runner:
            try:
                runner.run(play(seed))
            except BaseException as error:
                error.add_note(f"world {seed}")
                raise


def raced() -> tuple[Any, list[CallRecord]]:
    """A raced, capped stream: a at 100 ms, b joins at 20 and wins at 30; then three items, 10 ms apart."""
    records: list[CallRecord] = []
    chain = [{"provider": one, "model": "m", "label": one, "price": PRICE} for one in "ab"]
    policy = RoutingPolicy.from_dict(
        {"chain": chain, "latency": {"race_after_ms": 20, "deadline_ms": 500}, "failover": {"idle_timeout_ms": 200}}
    )

    @routed(policy, on_call=records.append)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            await pause(100 if attempt.label == "a" else 10)
            for item in range(3):
                yield item
                await pause(10)
            attempt.report({"usage": {"prompt_tokens": 3, "completion_tokens": 4}})
        finally:
            await asyncio.sleep(0)

    ask.estimate(lambda link: 10.0)
    return ask, records


@pytest.mark.parametrize("moment", [0, 10, 20, 25, 30, 35, 40, 50, 60, 70])
async def test_a_raced_capped_stream_is_cancelled_at_every_turn_of_the_loop(moment: int) -> None:
    """Ten moments of the call, fourteen turns each."""
    for turn in range(14):
        ask, records = raced()
        async with routeware.session(limit_usd=20) as spending:

            async def reader(ask: Any = ask) -> None:
                async with ask() as stream:
                    async for _ in stream:
                        pass

            task = asyncio.ensure_future(reader())
            await pause(moment)
            for _ in range(turn):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert spending.reserved_usd == 0
            if not records:
                assert (moment, turn) == (0, 0)
                continue
            (record,) = records
            # One that had ended by itself, and was waiting for its loser, is whole.
            assert record.ended in ({"cancelled", "completed"} if task.cancelled() else {"completed"})
            assert record.cost_usd is not None
            assert record.uncertain_usd is not None
            assert spending.spent_usd + spending.uncertain_usd == record.cost_usd + record.uncertain_usd
            assert not [one for one in other_tasks() if not one.done()]
