"""Errors live as long as somebody wants them: no frame of ours keeps one, so none waits for the garbage collector.

An error has its traceback, that has the frames, and those have the caller's arguments: a prompt, a connection, a body.
A frame that names the error closes the circle, and all of it stays until the collector comes by.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

import routeware
from routeware import BudgetExceededError, DeadlineExceededError, LedgerUnavailableError, MemoryLedger
from tests.fakes.providers import (
    Closable,
    HTTPStatusError,
    answers,
    busy,
    cleans_up,
    converts,
    fails,
    hangs,
    pause,
    reports,
    script,
)
from tests.fakes.tracing import Traces


@pytest.fixture(autouse=True)
def _nobody_collects() -> Iterator[None]:
    """What is gone is gone because nobody held it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Prompt:
    """An argument, whose life can be watched."""


async def outlived(call: Coroutine[Any, Any, Any], expected: type[BaseException]) -> bool:
    """Whether an error is still there when the one who asked for it has let it go."""
    error: BaseException
    (error,) = await asyncio.gather(call, return_exceptions=True)
    assert type(error) is expected, error
    seen = weakref.ref(error)
    del error, call
    await pause(1000)
    return seen() is not None


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, HTTPStatusError),
        ({"race_after_ms": 5}, HTTPStatusError),
        ({"race_after_ms": 500}, HTTPStatusError),
        ({"on_error_kinds": ["auth"]}, HTTPStatusError),
        ({"on_error_kinds": ["auth"], "race_after_ms": 5}, HTTPStatusError),
        ({"deadline_ms": 10}, DeadlineExceededError),
        ({"deadline_ms": 10, "race_after_ms": 5}, DeadlineExceededError),
        ({"on_timeout_ms": 10}, routeware.AttemptTimeoutError),
        ({"on_timeout_ms": 10, "race_after_ms": 5}, routeware.AttemptTimeoutError),
    ],
)
async def test_an_error_goes_with_the_last_who_wants_it(
    settings: dict[str, Any], expected: type[BaseException], traced: bool
) -> None:
    """Whatever became of the call; and the caller's arguments go with it."""
    prompt = Prompt()
    seen = weakref.ref(prompt)
    providers = script(a=busy(20), b=busy(20))
    call = providers.ask(**settings, options=Traces().options if traced else {})(prompt)
    del prompt

    assert not await outlived(call, expected)
    del call
    providers.again()
    assert seen() is None


async def test_a_wrapped_error_goes_too() -> None:
    """And the one that it was raised from."""
    assert not await outlived(script(a=busy(), b=busy()).ask(options={"wrap_errors": True})(), routeware.ExhaustedError)


async def test_the_error_of_a_failover_goes_while_the_next_attempt_answers() -> None:
    """Nobody raises it, and nobody holds it."""
    seen: list[weakref.ref[BaseException]] = []

    def fresh() -> BaseException:
        error = HTTPStatusError(503)
        seen.append(weakref.ref(error))
        return error

    async def run(attempt: routeware.Attempt) -> object:
        raise fresh()

    for racing in (None, 500):
        assert await script(a=run, b=answers(10)).ask(race_after_ms=racing)() == "b"

    assert [ref() for ref in seen] == [None, None]


async def test_the_error_of_a_loser_goes_with_its_race() -> None:
    """What it raised when it was cut off is read, and dropped."""
    seen: list[weakref.ref[BaseException]] = []

    async def run(attempt: routeware.Attempt) -> object:
        try:
            return await hangs()(attempt)
        except asyncio.CancelledError:
            error = HTTPStatusError(500)
            seen.append(weakref.ref(error))
            try:
                raise error from None
            finally:
                del error

    assert await script(a=run, b=answers(10)).ask(race_after_ms=5)() == "b"
    await pause(1)

    assert [ref() for ref in seen] == [None]


async def test_a_rejected_result_goes_with_its_error() -> None:
    """It is the error's, and the error is the caller's."""
    seen: list[weakref.ref[Closable]] = []

    async def run(attempt: routeware.Attempt) -> object:
        result = Closable()
        seen.append(weakref.ref(result))
        return result

    ask = script(a=run).ask()
    ask.accept(lambda _result: False)

    assert not await outlived(ask(), routeware.ResultRejectedError)
    assert [ref() for ref in seen] == [None]


@pytest.mark.parametrize("on_exceed", ["abort", "skip"])
@pytest.mark.parametrize("racing", [None, 5])
async def test_a_refusal_goes_per_call(on_exceed: str, racing: float | None) -> None:
    """A cap that refuses all day must not fill the memory."""
    ask = script(a=answers(0), b=answers(0)).ask(
        usd={"a": 0.5, "b": 0.5}, per_call_usd=0.1, on_exceed=on_exceed, race_after_ms=racing
    )

    assert not await outlived(ask(), BudgetExceededError)


async def test_a_refusal_that_was_raised_from_a_providers_error_goes() -> None:
    """Both do."""
    ask = script(a=reports(0.5, busy()), b=answers(0)).ask(usd={"a": 0.5, "b": 0.5}, per_call_usd=0.6)

    assert not await outlived(ask(), BudgetExceededError)


@pytest.mark.parametrize("on_exceed", ["abort", "skip"])
@pytest.mark.parametrize("ledger", [None, MemoryLedger()])
async def test_a_refusal_goes_per_session(on_exceed: str, ledger: MemoryLedger | None) -> None:
    """The session's own limit."""
    async with routeware.session("day", limit_usd=0.1, ledger=ledger):
        ask = script(a=answers(0)).ask(usd={"a": 0.5}, on_exceed=on_exceed)

        assert not await outlived(ask(), BudgetExceededError)


async def test_a_refusal_by_the_policys_cap_on_a_session_goes() -> None:
    """The other one."""
    async with routeware.session("day"):
        ask = script(a=answers(0)).ask(usd={"a": 0.5}, session_usd=0.1)

        assert not await outlived(ask(), BudgetExceededError)


class Away:
    """A ledger that answers nobody, or refuses everybody."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    async def tally(self, tally: Any, /) -> Any:
        return await MemoryLedger().tally(tally)

    async def hold(self, id: str, tallies: Any, nanos: int, /) -> Any:
        await pause(1)
        if self.error is LedgerUnavailableError:
            raise LedgerUnavailableError("away") from ConnectionRefusedError("6379")
        raise BudgetExceededError(
            kind="session", limit_usd=1, projected_usd=1, committed_usd=1, session_name="day", label=None
        )

    async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
        return [await self.tally(tally) for tally in tallies]


@pytest.mark.parametrize("deadline", [None, 1000])
@pytest.mark.parametrize("error", [LedgerUnavailableError, BudgetExceededError])
async def test_what_a_ledger_raised_goes(error: type[Exception], deadline: float | None) -> None:
    """It came out of a task of its own, and that is over, too."""
    async with routeware.session("day", limit_usd=1, ledger=Away(error)):
        ask = script(a=answers(0)).ask(usd={"a": 0.5}, deadline_ms=deadline)

        assert not await outlived(ask(), error)


async def test_what_refused_a_backup_goes() -> None:
    """It left an event only."""
    seen: list[weakref.ref[BaseException]] = []
    ask = script(a=answers(50), b=answers(0)).ask(race_after_ms=5, usd={"a": 0.25, "b": 0.25})

    def estimate(link: routeware.Link) -> float:
        if link.provider == "a":
            return 0.25
        error = HTTPStatusError(500)
        seen.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    ask.estimate(estimate)
    async with routeware.session(limit_usd=1):
        assert await ask() == "a"

    assert [ref() for ref in seen] == [None]


@pytest.mark.parametrize("moments", [(10,), (10, 20), (60,), (60, 70)])
async def test_a_cancellation_goes_whenever_it_came(moments: tuple[float, ...]) -> None:
    """In a race at 10 ms, while the loser cleans up at 60 ms, and twice."""
    seen: list[weakref.ref[BaseException]] = []
    prompt = Prompt()
    argument = weakref.ref(prompt)
    providers = script(a=cleans_up(50, hangs()), b=answers(50))
    ask = providers.ask(race_after_ms=5)

    async def caller(prompt: Prompt) -> None:
        try:
            await ask(prompt)
        except asyncio.CancelledError as error:
            seen.append(weakref.ref(error))

    task = asyncio.get_running_loop().create_task(caller(prompt))
    del prompt
    for moment in moments:
        asyncio.get_running_loop().call_later(moment / 1000, task.cancel)
    await asyncio.wait([task])
    del task
    await pause(1000)
    providers.again()

    assert [ref() for ref in seen] == [None]
    assert argument() is None


async def test_an_error_that_a_provider_made_of_its_cancellation_goes() -> None:
    """The one of a deadline, from the provider's own."""
    for racing in (None, 5):
        ask = script(a=converts(hangs(), HTTPStatusError(500)), b=hangs()).ask(deadline_ms=20, race_after_ms=racing)

        assert not await outlived(ask(), DeadlineExceededError)


async def test_the_same_error_object_may_be_raised_again_and_again() -> None:
    """A client that keeps one instance: each call's record replaces the last, and no call stays behind it."""
    error = HTTPStatusError(503)
    providers = script(a=fails(0, error))
    ask = providers.ask(options={"on_call": None})
    prompt = Prompt()
    seen = weakref.ref(prompt)

    for _ in range(2):
        providers.again()
        with pytest.raises(HTTPStatusError):
            await ask(prompt)
    del prompt
    providers.again()
    error.__traceback__ = None

    assert seen() is None


async def test_a_job_that_starts_its_own_next_run_keeps_no_call_of_an_earlier_one() -> None:
    """Each call is made by a task that the provider function of the one before has started, in its context."""
    done = asyncio.Event()
    held: list[int] = []
    tasks: set[asyncio.Task[None]] = set()

    @routeware.routed(routeware.RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: routeware.Attempt) -> str:
        held.append(sum(type(one).__module__.startswith("routeware.") for one in gc.get_objects()))
        if len(held) == 50:
            done.set()
        else:
            tasks.add(asyncio.create_task(renew()))
        return "a"

    async def renew() -> None:
        await pause(1)
        tasks.clear()
        await ask()

    await renew()
    await done.wait()
    await pause(1)

    assert held[-1] == held[10]
