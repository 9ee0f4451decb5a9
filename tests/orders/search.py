"""The search through orders: depth first over what may run next, bounded by how often an order departs from asyncio's.

Most faults of ordering need one or two callbacks that run too early, so all orders with few departures find more than
as many random ones do. ``python -m tests.orders.search --help`` runs it for long.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Callable, Iterator
from functools import partial

import attrs

from tests.orders.loop import Choices, ChoosingLoop, Drawn, Following
from tests.orders.worlds import WORLDS, drawn_world
from tests.schedules.promises import check
from tests.schedules.stage import perform
from tests.schedules.worlds import World

__all__ = ["explore", "random_orders", "run_in_order"]


@attrs.frozen
class Explored:
    """How far a search came: how many orders were run, and whether there was no other one within its bounds."""

    orders: int
    exhausted: bool


def run_in_order(world: World, choices: Choices) -> None:
    """Run a world in one order, and check all that has to hold.

    Raises:
        AssertionError: something does not hold; a note has the world and the choices, to run it again.
    """
    try:
        check(world, perform(world, partial(ChoosingLoop, choices)))
    except BaseException as error:
        error.add_note(f"run_in_order(\n    {world!r},\n    Following({choices.places}),\n)")
        raise


def explore(run: Callable[[Choices], None], *, departures: int, most: int, depth: int = 1_000) -> Explored:
    """Run in every order that departs from asyncio's at most so often, depth first.

    Args:
        run: runs a world under choices.
        departures: how many callbacks may run earlier than asyncio would run them.
        most: how many orders to run at most.
        depth: how many choices from the start are varied.
    """
    places: list[int] = []
    for number in range(1, most + 1):
        choices = Following(places)
        run(choices)
        following = _next(choices.taken[:depth], departures)
        if following is None:
            return Explored(number, exhausted=True)
        places = following
    return Explored(most, exhausted=False)


def _next(taken: list[tuple[int, int]], departures: int) -> list[int] | None:
    """The choices after these: the last one that may be another is raised by one; ``None`` where none may."""
    before = list(itertools.accumulate((place > 0 for place, _ in taken), initial=0))
    for at in reversed(range(len(taken))):
        place, ready = taken[at]
        if place + 1 < ready and before[at] < departures:
            return [*(place for place, _ in taken[:at]), place + 1]
    return None


def random_orders(world: World, seeds: Iterator[int]) -> None:
    """Run a world in one random order for each seed."""
    for seed in seeds:
        run_in_order(world, Drawn(seed))


def main() -> None:
    """Search for long: every small world in more and more orders, then random worlds in random orders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--departures", type=int, default=3, help="how often an order may depart (default: 3)")
    parser.add_argument("--most", type=int, default=20_000, help="how many orders of each small world (default: 20000)")
    parser.add_argument("--random", type=int, default=20_000, help="how many random orders (default: 20000)")
    parser.add_argument("--seed", type=int, help="of the random ones; drawn if there is none")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    for name, world in WORLDS.items():
        began = time.monotonic()
        explored = explore(partial(run_in_order, world), departures=options.departures, most=options.most)
        end = "all there are" if explored.exhausted else "and there are more"
        print(f"{name:40} {explored.orders:>7,} orders, {end}, {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201
    print(f"random worlds in random orders, seed {seed}", flush=True)  # noqa: T201
    for number in range(options.random):
        random_orders(drawn_world(seed + number), iter([seed + number]))
    print(f"{options.random:,} random orders")  # noqa: T201


if __name__ == "__main__":
    main()
