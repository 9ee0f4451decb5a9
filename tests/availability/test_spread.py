"""Spread: neighbours that share a place, in an order that is drawn by weight, or kept by a key."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections import Counter

import pytest

from routeware import Link, PolicyError, RoutingPolicy
from routeware.policy import drawn_order, spread_places
from tests.availability.providers import Service
from tests.fakes.providers import HTTPStatusError


def link(label: str, spread: str | None = None, weight: float = 1) -> dict[str, object]:
    """Give a link's settings."""
    return {"provider": label, "model": "m", "label": label, "weight": weight, **({"spread": spread} if spread else {})}


def chain(*links: dict[str, object]) -> tuple[Link, ...]:
    """Give a valid chain."""
    return RoutingPolicy.from_dict({"chain": list(links)}).chain


def test_places_are_neighbours_with_the_same_spread() -> None:
    """One alone is no place to draw for."""
    links = chain(link("a"), link("b", "x"), link("c", "x"), link("d", "y"), link("e", "z"), link("f", "z"))

    assert spread_places(links) == ((1, 3), (4, 6))


def test_the_order_is_drawn_by_weight() -> None:
    """Three to one: 7,500 of 10,000, within three standard deviations."""
    links = chain(link("a", "x", 3), link("b", "x"), link("c"))
    draws = random.Random(7)

    firsts = Counter(drawn_order(links, ((0, 2),), None, draws.random)[0] for _ in range(10_000))

    assert abs(firsts[0] - 7_500) <= 3 * math.sqrt(10_000 * 0.75 * 0.25)
    assert firsts[2] == 0


async def test_ten_thousand_calls_fall_by_weight() -> None:
    """The engine draws for each call anew."""
    world = Service(link("a", "x", 3), link("b", "x"), link("c"))
    state = random.getstate()
    random.seed(7)

    for _ in range(10_000):
        await world.ask()

    random.setstate(state)
    firsts = Counter(label for label, _ in world.starts)
    assert set(firsts) == {"a", "b"}
    assert abs(firsts["a"] - 7_500) <= 3 * math.sqrt(10_000 * 0.75 * 0.25)


def test_keys_fall_by_weight_too() -> None:
    """And a key keeps its order when another link joins, but where that one takes it."""
    links = chain(link("a", "x", 3), link("b", "x"))
    more = chain(link("a", "x", 3), link("b", "x"), link("c", "x", 2))
    keys = [f"conversation-{number}" for number in range(10_000)]

    firsts = {key: drawn_order(links, ((0, 2),), key)[0] for key in keys}
    then = {key: drawn_order(more, ((0, 3),), key)[0] for key in keys}

    assert abs(Counter(firsts.values())[0] - 7_500) <= 3 * math.sqrt(10_000 * 0.75 * 0.25)
    assert all(then[key] in (2, firsts[key]) for key in keys)


async def test_a_key_goes_to_the_same_link_every_time() -> None:
    """So that a provider's prompt cache stays warm."""
    world = Service(link("a", "x"), link("b", "x"), link("c", "x"))
    ask = world.ask.with_options(spread_key="conversation-7")

    assert len({await ask() for _ in range(20)}) == 1
    assert len({await world.ask.with_options(spread_key=f"key {number}")() for number in range(50)}) == 3
    assert len({await ask.with_options(spread_key=None)() for _ in range(100)}) == 3
    assert {await ask.with_options(deadline_ms=5_000)()} == {await ask()}


def test_a_key_goes_to_the_same_link_in_another_process() -> None:
    """Text is hashed alike everywhere, whatever the process's own hash seed."""
    program = (
        "from routeware import RoutingPolicy\n"
        "from routeware.policy import drawn_order\n"
        "chain = [{'provider': name, 'model': 'm', 'spread': 'x'} for name in 'abcde']\n"
        "links = RoutingPolicy.from_dict({'chain': chain}).chain\n"
        "print([drawn_order(links, ((0, 5),), f'key {n} \\udc80') for n in range(20)])\n"
    )

    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }

    assert len(said) == 1


async def test_failover_sees_plain_links() -> None:
    """The rest of the place, then the rest of the chain."""
    world = Service(link("a", "x"), link("b", "x"), link("c"))
    world.does |= {"a": HTTPStatusError(503), "b": HTTPStatusError(503)}

    firsts = set()
    for _ in range(40):
        assert await world.call() == "c"
        firsts.add(tuple(world.last))

    assert firsts == {
        ("a failed:overloaded", "b failed:overloaded", "c selected"),
        ("b failed:overloaded", "a failed:overloaded", "c selected"),
    }


@pytest.mark.parametrize(
    ("links", "latency", "key"),
    [
        ([link("a", "x"), link("b"), link("c", "x")], {}, "chain[2].spread"),
        ([link("a", "x"), link("a", "x")], {}, "chain[1].spread"),
        ([link("a", "x", 0)], {}, "chain[0].weight"),
        ([link("a", " ")], {}, "chain[0].spread"),
        ([link("a", "x"), link("b", "x")], {"target_p95_ms": 100}, "chain[0].spread"),
        ([link("a"), link("b", "x"), link("c", "x")], {"target_p99_ms": 100}, "chain[1].spread"),
    ],
)
def test_what_cannot_be_meant_is_refused(links: list[dict[str, object]], latency: dict[str, object], key: str) -> None:
    """With the link and the setting that is wrong."""
    with pytest.raises(PolicyError) as caught:
        RoutingPolicy.from_dict({"chain": links, "latency": latency})

    assert caught.value.key == key


def test_a_target_may_stand_before_a_spread() -> None:
    """It learns the first two links only."""
    links = [link("a"), link("b"), link("c", "x"), link("d", "x")]

    assert RoutingPolicy.from_dict({"chain": links, "latency": {"target_p95_ms": 100}})


@pytest.mark.parametrize("key", ["", 5, True])
def test_a_key_is_a_text(key: object) -> None:
    """An empty one is a variable that was never set."""
    with pytest.raises(PolicyError, match="spread_key"):
        Service("a").ask.with_options(spread_key=key)
