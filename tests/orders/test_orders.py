"""In whatever order the callbacks of one turn run: one result or error, nothing reserved, spans ended, sums exact."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.orders.loop import Choices, ChoosingLoop, Drawn, Following
from tests.orders.search import explore, random_orders, run_in_order
from tests.orders.worlds import WORLDS, drawn_world
from tests.schedules.worlds import World


@pytest.mark.parametrize("name", WORLDS)
def test_every_order_with_few_departures(name: str) -> None:
    """All orders of a small world in which up to two callbacks run earlier than on an ordinary loop."""
    explored = explore(partial(run_in_order, WORLDS[name]), departures=2, most=400)

    assert explored.exhausted


@pytest.mark.parametrize("name", WORLDS)
def test_random_orders_of_small_worlds(name: str) -> None:
    """The same orders every time."""
    random_orders(WORLDS[name], iter(range(20)))


@pytest.mark.parametrize("tens", range(20))
def test_random_orders_of_larger_worlds(tens: int) -> None:
    """Each world in one order; the same ones every time."""
    for seed in range(10 * tens, 10 * tens + 10):
        run_in_order(drawn_world(seed), Drawn(seed))


def orders_of(*names: str, departures: int = 100) -> list[str]:
    """All orders in which callbacks of one turn were run."""
    found: list[str] = []

    def run(choices: Choices) -> None:
        seen: list[str] = []
        with asyncio.Runner(loop_factory=partial(ChoosingLoop, choices)) as runner:
            loop = runner.get_loop()
            loop.call_later(1, lambda: [loop.call_soon(seen.append, name) for name in names])
            runner.run(asyncio.sleep(2))
        found.append("".join(seen))

    assert explore(run, departures=departures, most=1000).exhausted
    return found


def test_the_search_finds_every_order_once() -> None:
    """Four callbacks have 24 orders."""
    found = orders_of("a", "b", "c", "d")

    assert len(found) == len(set(found)) == 24


def test_the_search_is_bounded_by_departures() -> None:
    """With none there is asyncio's order; with one, each callback may run first, or second, and so on."""
    assert orders_of("a", "b", "c", departures=0) == ["abc"]
    assert sorted(orders_of("a", "b", "c", departures=1)) == ["abc", "acb", "bac", "cab"]


def test_choices_can_be_followed_again() -> None:
    """What a failure prints runs the same order."""
    first = Drawn(7)
    run_in_order(WORLDS["two calls under one cap"], first)
    again = Following(first.places)

    run_in_order(WORLDS["two calls under one cap"], again)

    assert again.places == first.places


def test_a_failure_says_how_to_run_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world and the choices, as code."""

    def fail(world: World, seen: object) -> None:
        raise AssertionError("wrong")

    monkeypatch.setattr("tests.orders.search.check", fail)

    with pytest.raises(AssertionError) as raised:
        run_in_order(drawn_world(1), Following([1]))

    assert "World(links=" in raised.value.__notes__[0]
    assert "Following([" in raised.value.__notes__[0]
