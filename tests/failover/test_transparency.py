"""Never worse than the bare call: a decorated function gives, raises and takes what the function itself would."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from routeware import Attempt, RoutingPolicy, routed
from tests.fakes.providers import (
    FatalError,
    HTTPStatusError,
    answers,
    block,
    cancelled_at,
    cleans_up,
    converts,
    fails,
    hangs,
    pause,
    script,
    stopwatch,
)

ONE = RoutingPolicy(chain=["a:m"])


class Unhelpful:
    """A result that does not want to be looked at."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous, as arrays are")

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        raise ValueError("no")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"deprecated: {name}")


@pytest.mark.parametrize(
    "make",
    [lambda: None, lambda: 0, lambda: "", lambda: False, Unhelpful, lambda: ValueError("as a value"), lambda: [None]],
)
@pytest.mark.parametrize("racing", [None, 50])
async def test_whatever_it_returns_is_returned(make: Callable[[], Any], racing: float | None) -> None:
    """The very object, whatever it is: falsy, an exception as a value, or something that refuses to be looked at."""
    result = make()

    async def run(attempt: Attempt) -> Any:
        return result

    assert await script(a=run, b=hangs()).ask(race_after_ms=racing, usd={"a": 1, "b": 1})() is result


class OddError(Exception):
    """An error whose attributes bite."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    def __str__(self) -> str:
        raise ValueError("cannot be printed")

    __repr__ = __str__

    @property
    def status_code(self) -> int:
        raise RuntimeError("closed")

    @property
    def response(self) -> object:
        raise RuntimeError("deprecated")


class SlottedError(Exception):
    __slots__ = ("status",)

    def __init__(self) -> None:
        self.status = "open"


class UnhashableError(Exception):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnhashableError)

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("error", [OddError(), SlottedError(), UnhashableError(), StopIteration(1), GeneratorExit()])
@pytest.mark.parametrize("racing", [None, 50])
async def test_whatever_it_raises_is_raised(error: BaseException, racing: float | None) -> None:
    """The very object, however odd; Python itself turns a StopIteration into a RuntimeError."""
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)

    with pytest.raises(expected) as raised:
        await script(a=fails(0, error), b=hangs()).ask(race_after_ms=racing)()

    if not isinstance(error, StopIteration):
        assert raised.value is error


async def test_an_error_class_may_be_one_that_cannot_be_raised_twice() -> None:
    """Built with arguments that no generic code knows."""

    class NeedsTwoError(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one, two)

    error = NeedsTwoError(1, 2)

    with pytest.raises(NeedsTwoError) as raised:
        await script(a=fails(0, error)).ask()()

    assert raised.value is error


async def test_the_traceback_leads_to_the_providers_line() -> None:
    """Whoever debugs it sees where it was raised."""

    async def run(attempt: Attempt) -> None:
        raise FatalError

    with pytest.raises(FatalError) as raised:
        await script(a=run).ask()()

    assert raised.traceback[-1].name == "run"


async def test_an_error_of_an_enclosing_except_block_is_no_cause() -> None:
    """A call inside an `except` block behaves as any call there."""
    ask = script(a=answers(0)).ask()

    try:
        int("before")
    except ValueError:
        assert await ask() == "a"


async def test_a_hanging_last_link_hangs_as_the_bare_call_would() -> None:
    """No time-out that nobody set."""
    assert await script(a=answers(3_000_000)).ask()() == "a"


async def test_time_outs_around_a_call_work() -> None:
    """`asyncio.timeout` and `asyncio.wait_for`, with and without racing, to the millisecond."""
    for racing in (None, 10):
        providers = script(a=hangs(), b=hangs())
        took = stopwatch()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await providers.ask(race_after_ms=racing)()
        assert took() == 50

        providers = script(a=hangs(), b=hangs())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(providers.ask(race_after_ms=racing)(), 0.05)
        assert set(providers.ended) == set(providers.started)


async def test_a_time_out_around_a_call_and_one_inside_it() -> None:
    """Whichever rings first is the one that is seen; both at once are the caller's."""
    for outer, expected in ((0.05, "outer"), (0.1, "outer"), (0.15, "inner")):
        providers = script(a=hangs(), b=answers(0))
        try:
            async with asyncio.timeout(outer):
                await providers.ask(timeouts={"a": 100})()
        except TimeoutError:
            assert expected == "outer"
        else:
            assert expected == "inner"


async def test_calls_in_a_task_group_behave() -> None:
    """One fails: the others are cancelled, and the group says why."""
    failing = script(a=fails(10, FatalError()))
    waiting = script(a=hangs(), b=cleans_up(5, hangs()))

    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012  # the group is what raises
        async with asyncio.TaskGroup() as group:
            group.create_task(failing.ask()())
            group.create_task(waiting.ask(race_after_ms=1)())

    assert raised.group_contains(FatalError)
    assert waiting.records[0].outcome == "cancelled"


async def test_a_provider_may_cancel_and_uncancel_by_itself() -> None:
    """Time-outs inside a provider function are its own."""

    async def run(attempt: Attempt) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await pause(1000)
        return attempt.provider

    providers = script(a=run)
    assert await providers.ask(timeouts={"a": 100}, deadline_ms=100)() == "a"


async def test_an_inner_time_out_at_the_moment_of_the_attempts_own() -> None:
    """Both ring at once: the next link starts, or the attempt's value counts; nothing hangs or leaks."""

    async def run(attempt: Attempt) -> str:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await pause(1000)
        return "a"

    assert await script(a=run, b=answers(0)).ask(timeouts={"a": 100})() in ("a", "b")


async def test_values_and_contexts_of_the_caller_are_untouched() -> None:
    """Context variables that the caller set are as they were."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)
    variable.set(1)

    assert await script(a=converts(hangs(), "x"), b=answers(0)).ask(race_after_ms=1)() == "b"

    assert variable.get() == 1
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_call_costs_no_turn_of_the_loop_by_itself() -> None:
    """A provider function that does not suspend does not suspend its caller either."""

    @routed(ONE)
    async def ask(attempt: Attempt) -> int:
        return 1

    with pytest.raises(StopIteration) as done:
        ask().send(None)

    assert done.value.value == 1


async def test_it_may_be_called_before_it_is_awaited() -> None:
    """A coroutine like any other: it starts when it is awaited, and warns if it never is."""
    providers = script(a=answers(0))

    coroutine = providers.ask()()

    assert inspect.iscoroutine(coroutine)
    assert providers.started == {}
    assert await coroutine == "a"


async def test_many_calls_at_once_end_when_the_bare_ones_would() -> None:
    """A thousand of them, 100 ms each."""

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 150}))
    async def ask(attempt: Attempt, number: int) -> int:
        await pause(100)
        return number

    took = stopwatch()
    assert await asyncio.gather(*(ask(number) for number in range(1000))) == list(range(1000))
    assert took() == 100


async def test_a_busy_loop_makes_nobody_fail_over() -> None:
    """The loop stood still past every timer; the answer was there."""

    async def run(attempt: Attempt) -> str:
        await pause(10)
        block(10_000)
        return attempt.provider

    providers = script(a=run, b=answers(0))

    assert await providers.ask(race_after_ms=50, timeouts={"a": 100}, deadline_ms=200)() == "a"
    assert list(providers.started) == ["a"]


async def test_arguments_arrive_as_they_were_given() -> None:
    """Names such as `policy`, `name`, `link`, `self` and `attempt`-like ones are the caller's own."""

    @routed(ONE)
    async def ask(attempt: Attempt, /, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    given = {"policy": 1, "name": 2, "link": 3, "self": 4, "attempt": 5, "fn": 6, "args": 7, "kwargs": 8, "call": 9}

    assert await ask(1, 2, **given) == ((1, 2), given)
    assert (await ask.outcome(1, 2, **given)).value == ((1, 2), given)


async def test_a_call_that_is_closed_before_it_starts_is_nothing() -> None:
    """A task that is cancelled before its first step calls nobody."""
    providers = script(a=answers(0))

    task = asyncio.create_task(providers.ask()())
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert providers.started == {}


async def test_a_provider_may_hold_resources_across_its_attempt() -> None:
    """Context managers inside it are left in its own task, when it is cut off, too."""
    entered: list[object] = []
    left: list[object] = []

    @contextlib.asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        entered.append(asyncio.current_task())
        try:
            yield
        finally:
            await pause(1)
            left.append(asyncio.current_task())

    async def run(attempt: Attempt) -> object:
        async with resource():
            return await (hangs() if attempt.provider == "a" else answers(0))(attempt)

    assert await script(a=run, b=run).ask(race_after_ms=10)() == "b"
    await cancelled_at(script(a=run, b=run).ask()(), 10)

    assert sorted(map(id, left)) == sorted(map(id, entered))
    assert len(left) == 3


async def test_the_same_decorated_function_serves_several_loops() -> None:
    """One after another: nothing of a loop is kept."""
    ask = script(a=fails(0, HTTPStatusError(503)), b=answers(0))
    decorated = ask.ask(race_after_ms=10)

    def on_a_loop_of_its_own() -> object:
        ask.again()
        return asyncio.run(decorated())

    assert await asyncio.get_running_loop().run_in_executor(None, on_a_loop_of_its_own) == "b"
    ask.again()
    assert await decorated() == "b"
