"""Races to the first item: who wins a tie, what losers are given, and how long they are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from routeware import Attempt, ProviderCancelledError, RoutingPolicy, routed
from tests.fakes.providers import HTTPStatusError, pause
from tests.streams.films import Film, Wait, quiet, read


async def test_of_two_first_items_at_one_moment_the_earlier_links_wins() -> None:
    """A tie is fair, and the same every time."""
    film = Film({"a": [Wait(100), "a1"], "b": [Wait(50), "b1"]}, latency={"race_after_ms": 50})

    assert await read(film.ask()) == (["a1"], None)
    assert [str(one.status) for one in film.records[-1].attempts] == ["succeeded", "race_lost"]


async def test_the_threshold_runs_from_the_latest_start() -> None:
    """A third link joins as late after the second as that after the first."""
    film = Film(
        {"a": [Wait(900), "a1"], "b": [Wait(900), "b1"], "c": [Wait(10), "c1"]},
        latency={"race_after_ms": 50, "race_width": 3},
    )

    assert await read(film.ask()) == (["c1"], None)
    assert [one.started_ms for one in film.records[-1].attempts] == [0, 50, 100]
    assert film.clock() == 110


async def test_a_link_that_fails_makes_room_for_the_next_at_once() -> None:
    """As for plain functions."""
    film = Film({"a": [Wait(20), HTTPStatusError(503)], "b": [Wait(10), "b1"]}, latency={"race_after_ms": 5_000})

    assert await read(film.ask()) == (["b1"], None)
    assert film.clock() == 30


async def test_after_the_first_item_no_backup_starts() -> None:
    """However slow the answer becomes."""
    film = Film({"a": [1, Wait(5_000), 2], "b": [3]}, latency={"race_after_ms": 50})

    assert await read(film.ask()) == ([1, 2], None)
    assert [one.label for one in film.records[-1].attempts] == ["a"]


async def test_items_are_handed_over_as_they_are() -> None:
    """The same objects; nothing of them is copied or closed."""

    class Item:
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    held, first, second = Item(), Item(), Item()
    film = Film({"a": [held, first, second]})
    film.ask.first_item(lambda item: item is first)

    items, _ = await read(film.ask())

    assert [id(item) for item in items] == [id(held), id(first), id(second)]
    assert not any(item.closed for item in items)


async def test_the_end_waits_250_ms_for_a_loser_and_no_longer() -> None:
    """Then it is a straggler."""

    @routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 50}))
    async def ask(attempt: Attempt) -> AsyncIterator[str]:
        try:
            await asyncio.sleep(10 if attempt.provider == "a" else 0)
            yield attempt.provider
        finally:
            if attempt.provider == "a":
                await asyncio.shield(asyncio.sleep(2))

    clock = asyncio.get_running_loop().time
    began = clock()
    assert await read(ask()) == (["b"], None)
    assert clock() - began == pytest.approx(0.3)
    await pause(3_000)
    quiet()


async def test_a_provider_that_cancels_itself_before_its_first_item_fails_over() -> None:
    """And is no cancellation of the caller's."""
    film = Film({"a": [asyncio.CancelledError()], "b": ["b1"]})
    assert await read(film.ask()) == (["b1"], None)

    film = Film({"a": [asyncio.CancelledError()]})
    with pytest.raises(ProviderCancelledError):
        await film.ask().start()
    assert film.records[-1].outcome == "failed"


async def test_attempts_are_counted_as_for_plain_calls() -> None:
    """``max_attempts`` ends the chain."""
    error = HTTPStatusError(503)
    film = Film({"a": [HTTPStatusError(503)], "b": [error], "c": ["c1"]}, failover={"max_attempts": 2})

    assert await read(film.ask()) == ([], error)
    assert [one.label for one in film.records[-1].attempts] == ["a", "b"]


async def test_an_attempt_that_was_selected_is_selected_in_the_decision_whatever_became_of_it() -> None:
    """Its items are what the reader got."""
    film = Film({"a": ["a1", HTTPStatusError(503)], "b": ["b1"]})
    await read(film.ask())

    (only,) = film.records[-1].decision().alternatives
    assert (only.label, only.reason) == ("a", "selected")
