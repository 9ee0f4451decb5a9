"""Answers that nobody gets: closed once, whatever they are, and never in the way of the one that is wanted."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest

import routeware
from tests.fakes.providers import (
    Closable,
    answers,
    busy,
    converts,
    hangs,
    pause,
    script,
    statuses,
    stopwatch,
    stubborn,
)


class Attributed(dict[str, object]):
    """A mapping whose keys are attributes, and that raises KeyError for those it does not have."""

    __getattr__ = dict.__getitem__


async def test_a_losers_result_that_dislikes_getattr_is_only_a_losers() -> None:
    """Whether it can be closed is asked in vain; the winner's answer is there all the same."""
    providers = script(a=converts(hangs(), Attributed(x=1)), b=answers(10, won := Attributed(x=2)))

    assert await providers.ask(race_after_ms=50)() is won


async def test_a_rejected_result_that_dislikes_getattr_is_only_a_rejected_one() -> None:
    """The next link answers."""
    ask = script(a=answers(0, Attributed(x=1)), b=answers(0, Attributed(x=2))).ask()
    ask.accept(lambda result: result["x"] == 2)

    assert (await ask())["x"] == 2


class Refusing:
    """Cannot even be asked how it is closed, or fails when it is."""

    def __init__(self, where: str) -> None:
        self.where = where

    @property
    def aclose(self) -> object:
        if self.where == "property":
            raise RuntimeError("detached")
        return self._later if self.where == "await" else self._now

    def _now(self) -> None:
        raise RuntimeError("closed already")

    async def _later(self) -> None:
        raise RuntimeError("closed already")


@pytest.mark.parametrize("where", ["property", "call", "await"])
async def test_a_result_that_cannot_be_closed_is_logged_by_class(where: str, caplog: pytest.LogCaptureFixture) -> None:
    """And the answer is there."""
    providers = script(a=converts(hangs(), Refusing(where)), b=answers(10))

    assert await providers.ask(race_after_ms=50)() == "b"

    (record,) = [record for record in caplog.records if record.name == "routeware"]
    assert "RuntimeError" in record.getMessage()
    assert record.exc_info is None


async def test_a_straggler_that_gives_what_the_caller_got_does_not_close_it() -> None:
    """Two links may share a client, a cache, or a stream."""
    shared = Closable()
    providers = script(a=stubborn(500, hangs(), then=answers(0, shared)), b=answers(10, shared))

    assert await providers.ask(race_after_ms=10)() is shared
    await pause(1000)

    assert shared.closed == 0


async def test_a_straggler_that_gives_what_the_error_has_does_not_close_it() -> None:
    """`ResultRejectedError.result` is the caller's to look at."""
    shared = Closable()
    providers = script(a=stubborn(500, hangs(), then=answers(0, shared)), b=answers(10, shared))
    ask = providers.ask(race_after_ms=10, timeouts={"a": 15})
    ask.accept(lambda _result: False)

    with pytest.raises(routeware.ResultRejectedError) as raised:
        await ask()
    await pause(1000)

    assert raised.value.result is shared
    assert shared.closed == 0


async def test_an_object_that_is_turned_down_twice_is_closed_once() -> None:
    """Closing is not everywhere idempotent."""
    shared = Closable()
    ask = script(a=answers(0, shared), b=answers(0, shared), c=answers(0)).ask()
    ask.accept(lambda result: result == "c")

    assert await ask() == "c"
    assert shared.closed == 1


async def test_an_object_that_wins_after_it_lost_is_not_closed() -> None:
    """Turned down at first, accepted from the next link: it is what the caller gets."""
    shared = Closable()
    verdicts = [False, True]
    ask = script(a=answers(0, shared), b=answers(0, shared)).ask()
    ask.accept(lambda _result: verdicts.pop(0))

    assert await ask() is shared
    assert shared.closed == 0


@pytest.mark.parametrize("other", [converts, stubborn])
async def test_an_object_that_a_straggler_gives_again_is_closed_once(other: Any) -> None:
    """A loser closed it when the call ended, or another straggler did."""
    shared = Closable()
    loser = converts(hangs(), shared) if other is converts else stubborn(600, hangs(), then=answers(0, shared))
    providers = script(a=stubborn(500, hangs(), then=answers(0, shared)), b=loser, c=answers(0))

    assert await providers.ask(race_after_ms=10, race_width=3)() == "c"
    await pause(2000)

    assert shared.closed == 1


class Lingering:
    """Takes for ever to be closed, and nobody else remembers that it is being closed."""

    def __init__(self) -> None:
        self.closed = False
        self.gate: weakref.ref[asyncio.Future[None]] | None = None

    async def aclose(self) -> None:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gate = weakref.ref(gate)
        await gate
        self.closed = True


@pytest.mark.parametrize("stubbornness", [0, 400])
async def test_a_slow_closing_is_not_waited_for_and_not_lost(stubbornness: float) -> None:
    """250 ms, with whatever else is cleaned up; then it goes on by itself, and is kept alive until it ends."""
    lingering = Lingering()
    loser = converts(hangs(), lingering)
    stubborn_one = stubborn(stubbornness, hangs()) if stubbornness else busy(5)
    providers = script(a=stubborn_one, b=loser, c=answers(10))
    took = stopwatch()

    assert await providers.ask(race_after_ms=10, race_width=3)() == "c"
    assert took() <= 10 + 10 + 10 + 250

    await pause(1)
    gc.collect()
    assert lingering.gate is not None
    gate = lingering.gate()
    assert gate is not None, "what closes it was collected"
    gate.set_result(None)
    await pause(1000)
    assert lingering.closed


async def test_a_slow_closing_of_a_rejected_result_is_not_waited_for() -> None:
    """Without any race, too."""

    class Slow(Closable):
        async def aclose(self) -> None:
            await pause(3000)
            self.closed += 1

    slow = Slow()
    ask = script(a=answers(0, slow), b=answers(0)).ask()
    ask.accept(lambda result: result == "b")
    took = stopwatch()

    outcome = await ask.outcome()

    assert took() == 250
    assert statuses(outcome.record) == {"a": "rejected", "b": "succeeded"}
    await pause(5000)
    assert slow.closed == 1
