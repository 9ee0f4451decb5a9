"""Streams where two things happen at once: hooks, closing, cancelling, loops that end."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import pickle
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

import routeware
from routeware import (
    Attempt,
    CallRecord,
    DeadlineExceededError,
    ResultRejectedError,
    RoutingPolicy,
    StreamClosedError,
    is_final,
    record_of,
    routed,
)
from tests.fakes.providers import HTTPStatusError, armed_timers, other_tasks, pause
from tests.fakes.tracing import Traces
from tests.streams.films import Film, Report, Wait, read

LAST = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
USED = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}


def quiet() -> None:
    """Check that nothing is left on the loop."""
    assert not other_tasks()
    assert not armed_timers()


async def test_items_at_hand_are_delivered_before_the_error_of_a_generator_that_ended_meanwhile() -> None:
    """Its own time-out rings while a slow reader has not taken the first item yet."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        async with asyncio.timeout(0.1):
            yield "one"
            yield "two"

    stream = await ask().start()
    await pause(200)
    items, error = await read(stream)
    assert items == ["one"]
    assert type(error) is TimeoutError
    quiet()


async def test_items_at_hand_are_delivered_before_the_deadlines_error() -> None:
    """The items so far, then the error."""
    film = Film({"a": ["one", "two"]}, latency={"deadline_ms": 100})
    stream = await film.ask().start()
    await pause(200)
    items, error = await read(stream)
    assert items == ["one"]
    assert isinstance(error, DeadlineExceededError)
    quiet()


async def test_a_loser_in_an_async_accept_is_cut_off_by_a_cancelled_error() -> None:
    """Its generator stands at a yield, and gets no GeneratorExit."""
    seen: list[str] = []

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 10}))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        try:
            yield attempt.provider
        except BaseException as error:
            seen.append(f"{attempt.provider} {type(error).__name__}")
            raise

    @ask.accept
    async def good(item: str) -> bool:
        await asyncio.sleep(1 if item == "a" else 0)
        return True

    async with ask() as stream:
        assert await anext(stream) == "b"
    assert seen == ["a CancelledError", "b CancelledError"]
    quiet()


@pytest.mark.parametrize("hook", ["accept", "first_item", "last_item"])
async def test_a_group_around_the_yields_of_an_attempt_that_a_hook_fails_ends_well(hook: str) -> None:
    """What a hook raises is the attempt's error, and its generator is cut off as always."""
    seen: list[str] = []

    class HookError(Exception):
        status_code = 503

    @routed(RoutingPolicy(chain=["a:m", "b:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(10 if attempt.provider == "a" else 0))
                yield attempt.provider
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    def check(item: str) -> bool:
        if item == "a":
            raise HookError
        return True

    getattr(ask, hook)(check)
    items, error = await read(ask())
    assert (items, error) == (["b"], None)
    assert seen == ["CancelledError"]
    quiet()


async def test_a_group_around_the_yields_of_an_attempt_that_was_turned_down_ends_well() -> None:
    """And its clean-up's errors are nobody's."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(10))
            try:
                yield "no"
            finally:
                raise KeyError("clean-up")

    ask.accept(lambda _item: False)
    with pytest.raises(ResultRejectedError):
        await ask().start()
    quiet()


async def test_a_reader_that_waits_while_another_task_closes_after_the_last_item_is_told() -> None:
    """Closing lets the generator end; what it gives is not the waiting reader's."""
    film = Film({"a": [LAST, Wait(100), USED, Wait(100)]})
    film.ask.last_item(is_final)
    stream = film.ask()
    await anext(stream)
    reading = asyncio.ensure_future(anext(stream))
    await pause(10)
    await stream.aclose()
    assert film.clock() == 200
    with pytest.raises(StreamClosedError):
        await asyncio.wait_for(reading, 1)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    quiet()


async def test_two_tasks_that_close_at_once_both_wait() -> None:
    """The first one closed it, and gets the end."""
    film = Film({"a": [1, 2]})
    stream = await film.ask().start()

    async def close() -> str:
        await stream.aclose()
        try:
            await anext(stream)
        except Exception as error:  # noqa: BLE001 - its name is looked at
            return type(error).__name__
        return "item"

    ends = await asyncio.gather(close(), close())
    assert ends[0] == "StopAsyncIteration"
    quiet()


async def test_a_second_cancellation_of_a_reader_waits_for_the_same_250_ms_and_carries_the_record() -> None:
    """Settling isn't lost to it."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(10)
            yield 2
        finally:
            await asyncio.sleep(0.2)

    stream = await ask().start()
    await anext(stream)
    clock = asyncio.get_running_loop().time
    reading = asyncio.ensure_future(anext(stream))
    await pause(10)
    began = clock()
    reading.cancel()
    await pause(50)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await reading
    assert clock() - began == pytest.approx(0.2)
    record = record_of(caught.value)
    assert record is not None
    assert record.ended == "cancelled"
    quiet()


async def test_a_second_cancellation_of_a_start() -> None:
    """As for plain calls."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            await asyncio.sleep(10)
            yield 2
        finally:
            await asyncio.sleep(0.2)

    stream = ask()
    starting = asyncio.ensure_future(stream.start())
    await pause(10)
    starting.cancel()
    await pause(50)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await starting
    record = record_of(caught.value)
    assert record is not None
    assert record.ended == "cancelled"
    assert stream.record is record or stream.record == record
    quiet()


async def test_cancelled_while_it_closes() -> None:
    """The cancellation goes on when the generator has ended."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0.2)

    stream = await ask().start()
    closing = asyncio.ensure_future(stream.aclose())
    await pause(10)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    assert stream.record is not None
    assert stream.record.ended == "closed"
    quiet()


def test_a_loop_that_ends_with_an_open_stream_settles_and_tells_it() -> None:
    """As cancelled: by ``asyncio.run``, whose clean-up cancels every task."""
    records: list[CallRecord] = []
    seen: list[str] = []
    kept = []

    @routed(RoutingPolicy(chain=["a:m"]), on_call=records.append)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        except BaseException as error:
            seen.append(type(error).__name__)
            raise

    async def main() -> None:
        stream = ask()
        kept.append(stream)
        assert await anext(stream) == 1

    asyncio.run(main())
    assert seen == ["CancelledError"]
    assert [(one.outcome, one.ended) for one in records] == [("cancelled", "cancelled")]
    kept.clear()
    gc.collect()


@pytest.mark.parametrize("turns", range(6))
def test_a_loop_that_ends_as_a_stream_is_dropped_settles_and_tells_it(turns: int) -> None:
    """However few turns of the loop lie between."""
    records: list[CallRecord] = []

    @routed(RoutingPolicy(chain=["a:m"]), on_call=records.append)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> None:
        stream = ask()
        assert await anext(stream) == 1
        del stream
        gc.collect()
        for _ in range(turns):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert len(records) == 1
    assert records[0].ended in {"closed", "cancelled"}


def test_a_stream_that_is_collected_in_another_thread_or_after_its_loop() -> None:
    """The collector runs anywhere."""
    records: list[CallRecord] = []

    @routed(RoutingPolicy(chain=["a:m"]), on_call=records.append)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        yield 1
        yield 2

    held: list[Any] = []

    async def main() -> None:
        held.append(await ask().start())
        thread = threading.Thread(target=held.clear)
        thread.start()
        await asyncio.to_thread(thread.join)
        await asyncio.sleep(0.01)
        assert [one.ended for one in records] == ["closed"]
        held.append(await ask().start())

    asyncio.run(main())
    held.clear()
    gc.collect()


async def test_after_its_end_nothing_refers_to_items_error_or_generator() -> None:
    """Though the stream itself is kept."""

    class Item:
        pass

    class OwnError(Exception):
        pass

    gone: list[weakref.ref[Any]] = []

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> AsyncIterator[Item]:
        for _ in range(3):
            item = Item()
            gone.append(weakref.ref(item))
            yield item
            del item
        error = OwnError()
        gone.append(weakref.ref(error))
        raise error

    stream = ask()
    try:
        async for _ in stream:
            pass
    except OwnError:
        pass
    del _
    gc.collect()
    assert [one() for one in gone] == [None] * 4
    assert stream.record is not None


async def test_nothing_is_called_reserved_or_timed_before_it_is_started() -> None:
    """Wrong arguments included."""
    film = Film({"a": [1]})
    async with routeware.session(limit_usd=1) as spending:
        stream = film.ask(1, 2, 3, nonsense=4)
        await pause(1)
    assert spending.reserved_usd == 0
    assert film.made == []
    assert repr(stream) == "<routed stream>"
    assert not hasattr(stream, "asend")
    assert not hasattr(stream, "athrow")
    assert not inspect.isawaitable(stream)


@routed(RoutingPolicy(chain=["a:m"]))
async def at_module(attempt: Attempt, prompt: str) -> AsyncIterator[str]:
    """Say it back."""
    yield prompt


class Service:
    """Generators as methods."""

    def __init__(self, word: str) -> None:
        self.word = word

    @routed(RoutingPolicy(chain=["a:m", "b:m"]))
    async def ask(self, attempt: Attempt, prompt: str) -> AsyncIterator[str]:
        yield self.word
        yield prompt

    @staticmethod
    @routed(RoutingPolicy(chain=["a:m"]))
    async def static(attempt: Attempt, prompt: str) -> AsyncIterator[str]:
        yield prompt

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Service) and other.word == self.word

    def __hash__(self) -> int:
        return hash(self.word)


async def test_it_stands_in_for_the_function_it_was_made_from() -> None:
    """Marks, signature, binding, pickling, equality."""
    assert inspect.isasyncgenfunction(at_module)
    assert not inspect.iscoroutinefunction(at_module)
    assert not asyncio.iscoroutinefunction(at_module) if sys.version_info < (3, 14) else True
    assert str(inspect.signature(at_module)) == "(prompt: 'str') -> 'AsyncIterator[str]'"
    assert (at_module.__name__, at_module.__doc__) == ("at_module", "Say it back.")
    assert pickle.loads(pickle.dumps(at_module)) is at_module
    service = Service("w")
    assert service.ask == service.ask
    assert service.ask != Service("v").ask
    assert [item async for item in service.ask("p")] == ["w", "p"]
    assert [item async for item in Service.static("p")] == ["p"]
    assert str(inspect.signature(service.ask)) == "(prompt: 'str') -> 'AsyncIterator[str]'"
    again = pickle.loads(pickle.dumps(service.ask))
    assert [item async for item in again("p")] == ["w", "p"]
    assert [item async for item in service.ask.with_options(deadline_ms=1_000)("p")] == ["w", "p"]
    other = service.ask.with_policy(RoutingPolicy(chain=["z:m"]))
    async with other("p") as stream:
        assert stream.link is not None
        assert stream.link.label == "z:m"
        assert repr(stream) == "<routed stream from z:m>"


async def test_race_events_are_told_at_the_win() -> None:
    """Not at the end of a long stream; each once."""
    traces = Traces()
    film = Film(
        {"a": [Wait(500), "a1"], "b": [Wait(10), "b1", Wait(1_000), "b2"]},
        latency={"race_after_ms": 50},
        options=traces.options,
    )
    stream = await film.ask().start()
    await pause(10)
    assert traces.attempts["a"].end_time is not None
    await read(stream)
    assert [name.rpartition(".")[2] for name in traces.events].count("race_won") == 1
    assert traces.call.attributes["routeware.stream.ended"] == "completed"


async def test_the_attempt_span_is_current_inside_the_generator_only() -> None:
    """In the reader's body it is the reader's own."""
    traces = Traces()
    seen: list[Any] = []
    from opentelemetry import trace

    @routed(RoutingPolicy(chain=["a:m"]), **traces.options)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        seen.append(trace.get_current_span() is attempt.span)
        yield 1
        seen.append(trace.get_current_span() is attempt.span)

    before = trace.get_current_span()
    async for _ in ask():
        assert trace.get_current_span() is before
    assert seen == [True, True]


async def test_a_learner_is_told_at_the_win() -> None:
    """Not at the end of a long stream, and once."""
    film = Film({"a": [Wait(5), 1, Wait(1_000), 2], "b": [1]}, latency={"target_p95_ms": 1_000})

    def seen() -> int:
        report = film.ask.latency_report()
        assert report is not None
        return sum(link.as_primary.attempts + link.as_backup.attempts for link in report.links)

    stream = await film.ask().start()
    assert seen() == 1
    await read(stream)
    assert seen() == 1


async def test_hooks_that_raise_while_the_stream_runs_are_its_error() -> None:
    """``last_item`` is asked for each item until one ends it."""
    film = Film({"a": ["1", "2"], "b": ["b"]})

    @film.ask.last_item
    def last(item: str) -> bool:
        if item == "2":
            raise ValueError("hook")
        return False

    items, error = await read(film.ask())
    assert items == ["1"]
    assert isinstance(error, ValueError)
    assert film.records[-1].ended == "failed"


async def test_hooks_are_asked_in_order_and_no_longer_than_needed() -> None:
    """``last_item`` before ``first_item`` before ``accept``."""
    asked: list[str] = []
    film = Film({"a": ["", "x", "end", "after"]})
    film.ask.last_item(lambda item: asked.append(f"last {item}") or item == "end")
    film.ask.first_item(lambda item: asked.append(f"first {item}") or bool(item))
    film.ask.accept(lambda item: asked.append(f"accept {item}") or True)
    assert await read(film.ask()) == (["", "x", "end", "after"], None)
    assert asked == ["last ", "first ", "last x", "first x", "accept x", "last end"]


async def test_a_report_by_hand_is_a_sign_of_life() -> None:
    """Every report is."""

    @routed(RoutingPolicy(chain=["a:m"], failover={"idle_timeout_ms": 100}))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0.08)
        attempt.report_usage(input_tokens=1)
        await asyncio.sleep(0.08)
        attempt.report_cost(0.5)
        await asyncio.sleep(0.08)
        yield 2

    assert await read(ask()) == ([1, 2], None)


async def test_bad_use_has_its_own_errors() -> None:
    """Each clear."""
    film = Film({"a": [1]})

    async def coroutine(attempt: Attempt, prompt: str = "") -> int:
        return 1

    with pytest.raises(TypeError, match="yield"):
        film.ask.provider("a")(coroutine)

    async def hook(item: object) -> bool:
        return True

    with pytest.raises(TypeError):
        film.ask.first_item(hook)
    with pytest.raises(TypeError):
        film.ask.last_item(hook)

    @routed(RoutingPolicy(chain=["a:m"]))
    async def plain(attempt: Attempt) -> int:
        return 1

    async def generator(attempt: Attempt) -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        plain.provider("a")(generator)


async def test_another_generator_may_serve_a_provider() -> None:
    """As for plain functions."""
    film = Film({"a": [1]})

    @film.ask.provider("a")
    async def other(attempt: Attempt, prompt: str = "") -> AsyncIterator[str]:
        yield "other"

    assert await read(film.ask()) == (["other"], None)


async def test_a_plain_function_that_returns_a_stream_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    """The remedy is named; a result with usage, or one that is no stream, is none."""

    class Chunks:
        def __aiter__(self) -> Any:
            return self

    class Counted(Chunks):
        def __init__(self) -> None:
            self.usage = {"prompt_tokens": 1, "completion_tokens": 2}

    results: list[Any] = ["text", Counted(), Chunks(), Chunks()]

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> Any:
        return results.pop(0)

    for expected in (0, 0, 1, 1):
        await ask()
        warned = [one for one in caplog.records if "async generator function" in one.getMessage()]
        assert len(warned) == expected
    assert "ask" in warned[0].getMessage()
    assert warned[0].levelno == logging.WARNING


async def test_finish_reasons_are_on_the_attempts_span() -> None:
    """Where an item or a report told them."""
    for scenes in ([{"choices": [{"delta": {"content": "x"}}]}, LAST, USED], ["x", Report(LAST), Report(USED), "y"]):
        traces = Traces()
        film = Film({"a": scenes}, options=traces.options)
        await read(film.ask())
        assert traces.attempts["a"].attributes["gen_ai.response.finish_reasons"] == ("stop",)


async def test_under_gc_at_every_allocation_a_capped_stream_is_dropped_and_settled() -> None:
    """No deadlock on the money lock."""
    film = Film({"a": [1, 2]}, links={"a": {"price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}})
    old = gc.get_threshold()
    gc.set_threshold(1)
    try:
        async with routeware.session(limit_usd=100) as spending:
            for _ in range(10):
                stream = await film.ask().start()
                circle = [stream]
                circle.append(circle)  # type: ignore[arg-type]
                del stream, circle
            await pause(1)
    finally:
        gc.set_threshold(*old)
    gc.collect()
    await pause(1)
    assert spending.reserved_usd == 0
    assert len(film.records) == 10


async def test_a_started_race_of_eager_tasks() -> None:
    """An eager task's first step is taken inside the start."""
    if sys.version_info < (3, 12):
        return
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    film = Film({"a": [Wait(500), "a1"], "b": ["b1", "b2"]}, latency={"race_after_ms": 50})
    assert await read(film.ask()) == (["b1", "b2"], None)
    film = Film({"a": ["a1"], "b": ["b1"]}, latency={"race_after_ms": 50})
    async with film.ask() as stream:
        assert await anext(stream) == "a1"
    film = Film({"a": []})
    assert await read(film.ask()) == ([], None)
    quiet()


async def test_a_dropped_stream_is_cut_off_though_its_first_link_failed_at_once_in_an_eager_task() -> None:
    """The traceback of that error must not hold the reader's frames, and with them the stream."""
    if sys.version_info < (3, 12):
        return
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    film = Film({"a": [HTTPStatusError(503)], "b": [Wait(5), 1, Wait(5), 2]})

    async def reader() -> None:
        async for _ in film.ask():
            return

    await reader()
    await pause(1)
    assert film.records[-1].ended == "closed"
    quiet()
