"""Random worlds of one stream beside plain calls: what each link does, the policy, the ledger, and how it is read."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import attrs

import routeware
from routeware import (
    Attempt,
    CallRecord,
    Ledger,
    MemoryLedger,
    RoutewareError,
    RoutingPolicy,
    StreamClosedError,
    routed,
)
from tests.fakes.ledgers import Remote
from tests.fakes.providers import FatalError, HTTPStatusError, pause
from tests.fakes.tracing import Traces

__all__ = ["PRICE", "TIMES", "Plain", "World", "call", "read"]

TIMES = (0, 0, 1, 5, 10, 20, 50, 100, 300)
PRICE = {"input_usd_per_mtok": 1e6, "output_usd_per_mtok": 1e6}
LAST = "last"


@attrs.frozen
class Plain:
    """A plain call: when it begins, what each link does, and when its caller is cancelled, if at all."""

    at_ms: float
    does: dict[str, tuple[float, BaseException | None, int | None]]
    cancelled_ms: float | None


class World:
    """One random world: what each link plays, the policy, and how the stream is read.

    Attributes:
        given: by link, the items that its generator has yielded.
        complete: by link, whether its generator came to its own end.
        most: the most that was committed, of all moments that were looked at.
    """

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.links = "abc"[: self.dice.randint(1, 3)]
        self.scenes = {one: self._scenes(one) for one in self.links}
        self.stubborn = {one: self.dice.choice((None, None, None, 0, 10, 200, 400, "swallows")) for one in self.links}
        self.given: dict[str, list[str]] = {one: [] for one in self.links}
        self.complete = dict.fromkeys(self.links, False)
        self.records: list[CallRecord] = []
        self.plain_records: list[CallRecord] = []
        self.traces = Traces()
        self.ask = self._routed()
        self.plain = self.ask_plainly()
        self.plain_calls = [self._plain_call() for _ in range(self.dice.choice((0, 0, 1, 2, 3)))]
        self.ledger = self._ledger()
        self.spending: routeware.Session | None = None
        self.most = 0.0

    def sample(self) -> None:
        """Note how much is committed now."""
        if self.spending is not None:
            spending = self.spending
            committed = spending.spent_usd + spending.uncertain_usd + spending.reserved_usd
            self.most = max(self.most, committed)

    def _ledger(self) -> Ledger | None:
        """A ledger that suspends in every second world."""
        if self.dice.random() < 0.5:
            return None
        if self.dice.random() < 0.3:
            return MemoryLedger()
        return Remote(hold_ms=[self.dice.choice(TIMES) for _ in range(20)], settle_ms=self.dice.choice(TIMES))

    def _plain_call(self) -> Plain:
        deeds = {}
        for one in self.links:
            error = self.dice.choice((None, None, HTTPStatusError(503), FatalError("x")))
            deeds[one] = (self.dice.choice(TIMES), error, self._maybe(0.5, 0, 3, 10))
        return Plain(self.dice.choice(TIMES), deeds, self._maybe(0.2, *TIMES))

    def ask_plainly(self) -> Any:
        """A plain function along the same chain, under the same policy."""

        async def plain(attempt: Attempt, call: Plain) -> str:
            self.sample()
            after_ms, error, cost_usd = call.does[attempt.label]
            try:
                await pause(after_ms)
            finally:
                if cost_usd is not None:
                    attempt.report_cost(cost_usd)
                self.sample()
            if error is not None:
                raise error
            return attempt.label

        ask = routed(self.ask.policy, on_call=self.plain_records.append)(plain)
        ask.estimate(lambda link, *_args: 10.0)
        return ask

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
                    self.sample()
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


async def call(world: World, plain: Plain) -> str:
    """Make a plain call beside the stream; how it ended."""
    await pause(plain.at_ms)
    task = asyncio.ensure_future(world.plain(plain))
    if plain.cancelled_ms is not None:
        asyncio.get_running_loop().call_later(plain.cancelled_ms / 1000, task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        return "cancelled"
    error = task.exception()
    return "answer" if error is None else type(error).__name__


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
