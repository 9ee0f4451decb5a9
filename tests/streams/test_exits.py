"""Programs that exit, loops that end, and coroutines that are closed, in the middle of a stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

import routeware
from routeware import Attempt, RoutedStream, RoutingPolicy, StreamClosedError, record_of, routed
from tests.fakes.clock import JumpingLoop
from tests.fakes.ledgers import Remote, stands_at, usd
from tests.fakes.providers import pause
from tests.fakes.tracing import Traces
from tests.streams.films import LAST, Cost, Film, Wait, quiet, read


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it as a program does: its loop's end cancels every task."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("before", [[], ["1"]], ids=["before its first item", "after it"])
def test_a_program_that_exits_ends_the_call_with_a_record_and_spans(error: BaseException, before: list[str]) -> None:
    """No provider's failure: nothing else is tried."""
    traces = Traces()
    film: list[Film] = []

    async def main() -> None:
        film.append(Film({"a": [*before, Wait(10), error], "b": ["b1"]}, options=traces.options))
        await read(film[0].ask())

    with pytest.raises(type(error)):
        run(main)

    (record,) = film[0].records
    assert [one.label for one in record.attempts] == ["a"]
    assert record.outcome != "succeeded"
    assert len(traces.spans) == 2


class Exits(BaseException):
    """What ends a program, such as ``SystemExit``."""


async def test_a_first_item_that_cannot_be_told_leaves_nothing_running(caplog: pytest.LogCaptureFixture) -> None:
    """A program that exits in a filter of its own log exits; the generator is cut off and settled."""

    def refuse(record: logging.LogRecord) -> bool:
        if "first_item" in record.getMessage():
            raise Exits("filter")
        return True

    film = Film({"a": ["1", "2"]}, links={"a": {"price": {"request_usd": 1}}})
    caplog.set_level(logging.DEBUG, logger="routeware")
    logger = logging.getLogger("routeware")
    logger.addFilter(refuse)
    try:
        async with routeware.session(limit_usd=10) as spending:
            with pytest.raises(Exits, match="filter"):
                await film.ask().start()
            await pause(1)
    finally:
        logger.removeFilter(refuse)

    assert film.ended["a"] == (0, "CancelledError")
    assert [(one.outcome, str(one.attempts[0].status)) for one in film.records] == [("failed", "cancelled")]
    assert (spending.reserved_usd, spending.spent_usd + spending.uncertain_usd) == (0, 1)
    quiet()


async def test_a_start_whose_coroutine_is_closed_ends_the_call() -> None:
    """Nothing can be awaited there; its attempts are cancelled, and the call is told."""
    film = Film({"a": [Wait(1_000), 1]})
    stream = film.ask()
    starting = stream.start()
    future = starting.send(None)
    await pause(10)

    starting.close()
    future.cancel()
    await pause(1)

    assert [one.outcome for one in film.records] == ["cancelled"]
    assert film.ended["a"] == (10, "CancelledError")
    assert stream.record is film.records[0]
    assert isinstance((await read(stream))[1], StreamClosedError)


async def test_a_policy_that_cannot_be_had_is_the_readers_error() -> None:
    """Nothing was begun, so there is no record; asked again, the stream is at its end."""

    def policy() -> RoutingPolicy:
        raise LookupError("no policy today")

    @routed(policy)
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        yield 1

    stream = ask()
    with pytest.raises(LookupError):
        await anext(stream)
    assert stream.record is None
    assert await read(stream) == ([], None)


def raced() -> Film:
    """A stream whose loser takes 200 ms to clean up; it has all its items at 50 ms."""
    film = Film({"a": [Wait(500), "a1"], "b": ["b1"]}, latency={"race_after_ms": 50})
    play = film._play

    async def slow_to_leave(attempt: Any) -> AsyncIterator[Any]:
        try:
            async for item in play(attempt):
                yield item
        except asyncio.CancelledError:
            await asyncio.sleep(0.2)
            raise

    film._play = slow_to_leave  # type: ignore[method-assign]
    return film


async def test_a_reader_that_is_cancelled_while_it_waits_for_the_end_keeps_a_whole_record() -> None:
    """The generator had ended by itself; only a loser was still waited for."""
    film = raced()
    reading = asyncio.ensure_future(read(film.ask()))
    await pause(100)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await reading

    record = record_of(caught.value)
    assert record is not None
    assert (record.ended, record.items) == ("completed", 1)
    assert film.clock() == 250
    quiet()


def test_a_loop_that_ends_while_a_loser_is_waited_for_tells_the_call() -> None:
    """The winner's own task concludes it, and is cancelled there."""
    films: list[Film] = []
    readers = []

    async def main() -> None:
        films.append(raced())
        readers.append(asyncio.ensure_future(read(films[0].ask())))
        await pause(100)

    run(main)

    assert [one.outcome for one in films[0].records] == ["succeeded"]
    assert readers[0].cancelled()


async def test_a_reader_that_is_cancelled_while_it_lets_the_generator_end_waits_for_the_same_250_ms() -> None:
    """Then the generator is cut off, and the cancellation goes on."""
    film = Film({"a": [LAST, Wait(60_000)]})
    film.ask.last_item(lambda item: item is LAST)
    stream = film.ask()
    await anext(stream)
    closing = asyncio.ensure_future(stream.aclose())
    await pause(100)

    closing.cancel()
    await asyncio.wait([closing])

    assert closing.cancelled()
    assert film.ended["a"] == (250, "CancelledError")
    assert stream.record is not None
    assert stream.record.ended == "closed"
    quiet()


async def test_a_call_that_its_ledger_takes_long_to_settle_is_concluded_once() -> None:
    """The generator has ended when its 250 ms are over, and its money is still on its way."""
    film = Film({"a": [1, 2]}, links={"a": {"price": {"request_usd": 0.25}}})
    async with routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=400)) as spending:
        stream: RoutedStream[Any] = await film.ask().start()
        await stream.aclose()
        assert film.clock() <= 1_000
        assert len(film.records) == 1
    assert spending.uncertain_usd == 0.25
    quiet()


@pytest.mark.parametrize("bound", [{}, {"latency": {"first_item_deadline_ms": 100}}])
async def test_a_long_stream_waits_for_its_ledger_at_its_end(bound: dict[str, Any]) -> None:
    """It has 250 ms for that from its end, as a plain call has; a bound on its first item is over by then."""
    film = Film({"a": [1, Wait(1_000), 2, Cost(0.25)]}, links={"a": {"price": {"request_usd": 0.25}}}, **bound)
    ledger = Remote(settle_ms=200)
    async with routeware.session("day", limit_usd=1, ledger=ledger):
        assert await read(film.ask()) == ([1, 2], None)
        assert film.clock() == 1_200
        assert usd(await stands_at(ledger)) == (0.25, 0, 0)
    quiet()


async def test_a_long_stream_waits_for_its_ledger_for_250_ms_and_no_longer() -> None:
    """A ledger that does not answer keeps no reader."""
    film = Film({"a": [1, Wait(1_000), 2, Cost(0.25)]}, links={"a": {"price": {"request_usd": 0.25}}})
    async with routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=400)):
        assert await read(film.ask()) == ([1, 2], None)
        assert film.clock() == 1_250
    quiet()
