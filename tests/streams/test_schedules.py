"""Streams in random worlds, and one that is cancelled at every turn of the loop: nothing is left, sums are exact."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import routeware
from routeware import Attempt, CallRecord, RoutewareError, RoutingPolicy, StreamClosedError, routed
from tests.fakes.clock import EagerLoop, JumpingLoop
from tests.fakes.providers import FatalError, HTTPStatusError, armed_timers, other_tasks, pause
from tests.fakes.tracing import Traces

FROM = int(os.environ.get("STREAM_SEED", "0"))
COUNT = int(os.environ.get("STREAM_WORLDS", "150"))

TIMES = (0, 0, 1, 5, 10, 20, 50, 100, 300)
PRICE = {"input_usd_per_mtok": 1e6, "output_usd_per_mtok": 1e6}
LAST = "last"


class World:
    """One random world: what each link plays, the policy, and how the stream is read.

    Attributes:
        given: by link, the items that its generator has yielded.
        complete: by link, whether its generator came to its own end.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.links = "abc"[: self.dice.randint(1, 3)]
        self.scenes = {one: self._scenes(one) for one in self.links}
        self.stubborn = {one: self.dice.choice((None, None, None, 0, 10, 200, 400, "swallows")) for one in self.links}
        self.given: dict[str, list[str]] = {one: [] for one in self.links}
        self.complete = dict.fromkeys(self.links, False)
        self.records: list[CallRecord] = []
        self.traces = Traces()
        self.ask = self._routed()

    def _scenes(self, label: str) -> list[Any]:
        scenes: list[Any] = []
        for number in range(self.dice.randint(0, 5)):
            scenes += [self.dice.choice(TIMES)] if self.dice.random() < 0.6 else []
            if self.dice.random() < 0.15:
                scenes.append({"usage": {"prompt_tokens": 2, "completion_tokens": number}})
            scenes.append(f"{label}{number}" if self.dice.random() < 0.85 else "")
        if self.dice.random() < 0.5:
            scenes.append(LAST)
        if self.dice.random() < 0.3:
            scenes.append(self.dice.choice(TIMES))
        if self.dice.random() < 0.3:
            scenes.append({"usage": {"prompt_tokens": 2, "completion_tokens": 5}})
        error = self.dice.choice((None, None, None, HTTPStatusError(503), FatalError("x"), asyncio.CancelledError()))
        return scenes if error is None else [*scenes, error]

    def _maybe(self, share: float, *values: Any) -> Any:
        return self.dice.choice(values) if self.dice.random() < share else None

    def _routed(self) -> Any:
        chain = [{"provider": one, "model": "m", "label": one, "price": PRICE} for one in self.links]
        latency = {
            "race_after_ms": self._maybe(0.6, 0, 5, 20, 60),
            "race_width": self.dice.choice((2, 3)),
            "deadline_ms": self._maybe(0.3, 5, 50, 200),
            "first_item_deadline_ms": self._maybe(0.2, 5, 50, 200),
        }
        failover = {"on_timeout_ms": self._maybe(0.3, 5, 50), "idle_timeout_ms": self._maybe(0.3, 5, 50)}
        budget = {"per_call_usd": self._maybe(0.3, 15, 25), "on_exceed": self.dice.choice(("abort", "skip"))}
        policy = {"chain": chain, "latency": latency, "failover": failover, "budget": budget}
        ask = routed(RoutingPolicy.from_dict(policy), on_call=self.records.append, **self.traces.options)(
            self._function()
        )
        ask.estimate(lambda link, *_args: 10.0)
        if self.dice.random() < 0.3:
            ask.first_item(bool)
        if self.dice.random() < 0.3:
            ask.last_item(lambda item: item == LAST)
        if self.dice.random() < 0.2:
            ask.accept(self._check)
        return ask

    async def _check(self, item: str) -> bool:
        await asyncio.sleep(0.001)
        return not item.endswith("1")

    def _function(self) -> Any:
        async def ask(attempt: Attempt) -> AsyncIterator[str]:
            label = attempt.label
            try:
                for scene in self.scenes[label]:
                    match scene:
                        case int():
                            await pause(scene)
                        case dict():
                            attempt.report(scene)
                        case BaseException():
                            raise scene
                        case _:
                            self.given[label].append(scene)
                            yield scene
                self.complete[label] = True
            except asyncio.CancelledError:
                how = self.stubborn[label]
                if how == "swallows":
                    self.given[label].append("swallowed")  # delivered, if the cancellation was its own
                    yield "swallowed"
                elif how is not None:
                    await pause(how)
                raise

        return ask


async def read(world: World, got: list[str]) -> str:
    """Read the stream in one of many ways; how it ended for its reader."""
    way = world.dice.choice((whole, whole, slow, leave, leave_block, elsewhere, drop, wait, unread))
    try:
        return await way(world.ask(), got, world.dice)
    except StopAsyncIteration:
        return "end"
    except StreamClosedError:
        return "closed"
    except (HTTPStatusError, FatalError, RoutewareError, TimeoutError) as error:
        return type(error).__name__


async def whole(stream: Any, got: list[str], dice: random.Random) -> str:
    """Read to the end."""
    while True:
        got.append(await anext(stream))


async def slow(stream: Any, got: list[str], dice: random.Random) -> str:
    """Take one's time."""
    async for item in stream:
        got.append(item)
        await pause(dice.choice(TIMES))
    return "end"


async def drop(stream: Any, got: list[str], dice: random.Random) -> str:
    """Break out of the loop, and forget the stream."""
    most = dice.randint(0, 4)
    async for item in stream:
        got.append(item)
        if len(got) > most:
            return "left"
    return "end"


async def leave(stream: Any, got: list[str], dice: random.Random) -> str:
    """Break out of the loop, and close the stream."""
    how = await drop(stream, got, dice)
    await stream.aclose()
    return how


async def leave_block(stream: Any, got: list[str], dice: random.Random) -> str:
    """Leave the stream's own block, early or at its end."""
    async with stream:
        return await drop(stream, got, dice)


async def unread(stream: Any, got: list[str], dice: random.Random) -> str:
    """Start it, and close it without having read."""
    await stream.start()
    await pause(dice.choice(TIMES))
    await stream.aclose()
    return "left"


async def elsewhere(stream: Any, got: list[str], dice: random.Random) -> str:
    """Read it while another task closes it."""
    closing = asyncio.get_running_loop().call_later(dice.choice(TIMES) / 1000, close, stream)
    try:
        return await whole(stream, got, dice)
    finally:
        closing.cancel()


async def wait(stream: Any, got: list[str], dice: random.Random) -> str:
    """Give up on an item that takes too long."""
    while True:
        got.append(await asyncio.wait_for(anext(stream), dice.choice((0.005, 0.05, 10))))


CLOSING: set[asyncio.Future[Any]] = set()


def close(stream: Any) -> None:
    """Close a stream from a task of its own; it may still be starting."""

    async def run() -> None:
        with contextlib.suppress(RuntimeError, HTTPStatusError, FatalError):
            await stream.aclose()

    task = asyncio.ensure_future(run())
    CLOSING.add(task)
    task.add_done_callback(CLOSING.discard)


async def play(seed: int) -> None:
    """Play one world, and check that every promise holds."""
    world = World(seed)
    got: list[str] = []
    limit = world._maybe(0.6, 15.0, 25.0, 1_000.0)
    async with routeware.session(limit_usd=limit) as spending:
        reading = asyncio.ensure_future(read(world, got))
        if world.dice.random() < 0.3:
            await pause(world.dice.choice(TIMES))
            for _ in range(world.dice.randint(0, 8)):
                await asyncio.sleep(0)
            reading.cancel()
        await asyncio.wait([reading])
        how = "cancelled" if reading.cancelled() else reading.result()
        del reading
        gc.collect(0)
        await pause(2_000)  # stragglers, and what the collector has cut off
    check(world, got, how, spending, limit)


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
        assert record.outcome == "failed"


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
