"""Which time-out bounds what: the first item, an item that is waited for, and the whole call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from routeware import Attempt, AttemptTimeoutError, DeadlineExceededError, RoutingPolicy, is_final, routed
from tests.fakes.providers import pause
from tests.streams.films import LAST, Film, Wait, quiet, read


async def test_where_no_link_answers_in_time_the_time_out_says_that_nothing_came() -> None:
    """``items`` is ``None``: the attempt had not answered."""
    film = Film({"a": [Wait(200), 1]}, links={"a": {"timeout_ms": 100}})

    with pytest.raises(AttemptTimeoutError) as caught:
        await film.ask().start()

    assert (caught.value.items, caught.value.timeout_ms, caught.value.label) == (None, 100, "a")
    assert film.ended["a"] == (100, "CancelledError")


async def test_a_link_with_another_after_it_has_two_minutes_to_its_first_item() -> None:
    """As for plain calls; the last link has all the time that the call has."""
    film = Film({"a": [Wait(10_000_000), 1], "b": [Wait(300_000), 2]})

    assert await read(film.ask()) == ([2], None)
    assert film.clock() == 420_000


@pytest.mark.parametrize(
    "settings",
    [
        {"failover": {"on_timeout_ms": 100}},
        {"latency": {"first_item_deadline_ms": 100}},
        {"latency": {"deadline_ms": 100}},
    ],
)
async def test_a_first_item_that_comes_as_the_bound_rings_is_delivered(settings: dict[str, Any]) -> None:
    """What is there counts."""
    film = Film({"a": [Wait(100), 1], "b": [Wait(100), 2]}, **settings)

    stream = await film.ask().start()

    assert stream.link is not None
    assert stream.link.label == "a"
    await stream.aclose()


async def test_an_item_that_comes_as_the_deadline_rings_is_delivered() -> None:
    """The one after it is not."""
    film = Film({"a": [1, Wait(100), 2, Wait(1), 3]}, latency={"deadline_ms": 100})

    items, error = await read(film.ask())

    assert items == [1, 2]
    assert isinstance(error, DeadlineExceededError)
    assert error.deadline_ms == 100


@pytest.mark.parametrize("settings", [{"latency": {"deadline_ms": 100}}, {"failover": {"idle_timeout_ms": 100}}])
async def test_no_bound_makes_an_error_of_an_answer_that_is_complete(settings: dict[str, Any]) -> None:
    """Some providers keep the connection open after they have said that they are done."""
    film = Film({"a": [1, LAST, Wait(60_000)]}, **settings)
    film.ask.last_item(lambda item: item is LAST)

    assert await read(film.ask()) == ([1, LAST], None)
    assert (film.records[-1].ended, film.records[-1].outcome) == ("completed", "succeeded")
    assert film.ended["a"] == (100, "CancelledError")


async def test_an_error_after_the_last_item_still_reaches_the_reader() -> None:
    """Only a stall is none."""
    error = ValueError("late")
    film = Film({"a": [LAST, error]})
    film.ask.last_item(is_final)

    assert await read(film.ask()) == ([LAST], error)


async def test_a_stream_that_nobody_reads_is_ended_by_its_deadline_and_told_at_once() -> None:
    """The reader hears of it at its next question."""
    film = Film({"a": [1, 2]}, latency={"deadline_ms": 100})
    stream = await film.ask().start()

    await pause(150)

    assert film.ended["a"] == (100, "CancelledError")
    assert [one.outcome for one in film.records] == ["deadline_exceeded"]
    assert stream.record is film.records[0]
    assert type((await read(stream))[1]) is DeadlineExceededError


async def test_a_generator_that_ignores_its_deadline_is_concluded_without_it() -> None:
    """250 ms later, though nobody reads."""

    @routed(RoutingPolicy(chain=["a:m"], latency={"deadline_ms": 100}))
    async def ask(attempt: Attempt) -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.shield(asyncio.sleep(2))

    stream = await ask().start()
    await pause(349)
    assert stream.record is None
    await pause(2)
    assert stream.record is not None
    assert (stream.record.outcome, stream.record.selected) == ("deadline_exceeded", 0)
    await pause(3_000)


async def test_an_idle_time_out_of_the_link_goes_before_that_of_the_policy() -> None:
    """As the time-outs do."""
    film = Film({"a": [1, Wait(300), 2]}, links={"a": {"idle_timeout_ms": 500}}, failover={"idle_timeout_ms": 100})
    assert await read(film.ask()) == ([1, 2], None)


async def test_a_reader_that_asks_late_starts_the_wait_for_an_item_anew() -> None:
    """A timer of an earlier wait may still be armed; it finds out."""
    film = Film({"a": [1, Wait(50), 2, Wait(80), 3, Wait(120), 4]}, failover={"idle_timeout_ms": 100})

    items, error = await read(film.ask())

    assert items == [1, 2, 3]
    assert isinstance(error, AttemptTimeoutError)
    assert film.clock() == 230
    quiet()


async def test_plain_calls_know_nothing_of_a_streams_bounds() -> None:
    """One policy may serve both."""
    policy = RoutingPolicy(chain=["a:m"], failover={"idle_timeout_ms": 10}, latency={"first_item_deadline_ms": 10})

    @routed(policy)
    async def ask(attempt: Attempt) -> str:
        await asyncio.sleep(1)
        return "late"

    assert await ask() == "late"
