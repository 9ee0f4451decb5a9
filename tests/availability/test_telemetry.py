"""What cooldown leaves in metrics and spans, and what health is told of streams: their first item is the answer."""

from __future__ import annotations

import asyncio
from typing import Any

from routeware import AttemptTrigger, Health
from tests.availability.providers import RetryAfterError, Service
from tests.fakes.measuring import Measured
from tests.fakes.providers import HTTPStatusError, pause
from tests.fakes.tracing import Traces
from tests.streams.films import Film, Wait, read


def busy() -> HTTPStatusError:
    """An answered 503."""
    return HTTPStatusError(503)


async def test_pauses_are_counted_and_a_cooling_link_shows_until_it_answers() -> None:
    """By function, link and category; a gauge of 1 from a pause's start until an answer ends it."""
    measured = Measured()
    world = Service("a", "b", failover={"cooldown_ms": 10_000, "cooldown_after": 2}, options=measured.options)
    world.does["a"] = busy()

    for _ in range(3):
        await world.call()
    counted = measured.values("routeware.cooldowns", "routeware.function", "routeware.link.label", "error.category")
    assert list(counted.values()) == [1]
    assert measured.values("routeware.link.cooling", "routeware.link.label") == {"a": 1}
    skipped = measured.values("routeware.attempts", "routeware.link.label", "routeware.skip.reason")
    assert skipped == {("a", None): 2, ("a", "cooldown"): 1, ("b", None): 3}

    world.does["a"] = 0
    await pause(12_000)
    await world.call()
    assert measured.values("routeware.link.cooling", "routeware.link.label") == {"a": 0}


async def test_what_is_passed_over_has_no_span_and_uses_up_no_attempt() -> None:
    """It was not called."""
    traces = Traces()
    world = Service(
        "a", "b", failover={"cooldown_ms": 10_000, "max_attempts": 1}, options={**traces.options, "health": Health()}
    )
    world.ask.health.trip("a", for_ms=60_000)

    assert await world.call() == "b"
    assert list(traces.attempts) == ["b"]
    assert traces.event("llm.routing.cooldown_skipped")["link"] == "a"


async def test_pauses_that_end_together_keep_the_chains_order() -> None:
    """A tie is no reason to change it."""
    world = Service("a", "b", "c", failover={"cooldown_ms": 10_000}, options={"health": Health(draw=lambda: 0.0)})
    for label in "cba":
        world.ask.health.trip(label, for_ms=5_000)
    world.does |= {"a": busy(), "b": busy()}

    assert await world.call() == "c"
    assert [label for label, _ in world.starts] == ["a", "b", "c"]


async def test_a_round_asks_what_a_budget_passed_over_only_where_it_has_failed_before() -> None:
    """A link that was never asked has no failure that waiting may cure."""
    price = {"price": {"request_usd": 1}}
    world = Service(
        {"provider": "a", "model": "m", "label": "a", "price": {"request_usd": 5}},
        {"provider": "b", "model": "m", "label": "b", **price},
        failover={"retries": 1},
        budget={"per_call_usd": 3, "on_exceed": "skip"},
    )
    world.does["b"] = [busy(), 0]

    assert await world.call() == "b"
    assert [label for label, _ in world.starts] == ["b", "b"]


def cooling_film(films: dict[str, list[Any]], **failover: Any) -> Film:
    """A stream whose first link cools after two failures in a row."""
    settings = {"cooldown_ms": 10_000, "cooldown_after": 2, **failover}
    return Film(films, failover=settings, options={"health": Health(draw=lambda: 0.0)})


async def test_streams_that_do_not_open_begin_a_pause() -> None:
    """Then the link is passed over, and one stream probes it when the pause is over."""
    film = cooling_film({"a": [busy()], "b": ["b1"]})
    for _ in range(3):
        await read(film.ask())
    assert [str(one.status) for one in film.records[-1].attempts] == ["skipped", "succeeded"]

    film.films["a"] = ["a1"]
    await pause(10_000)
    assert await read(film.ask()) == (["a1"], None)
    assert film.ask.health.report()[0].state == "ready"


async def test_an_error_after_the_first_item_is_none_of_a_link_that_does_not_answer() -> None:
    """The first item ended the row; what follows says nothing."""
    film = cooling_film({"a": [busy()], "b": ["b1"]})
    await read(film.ask())
    film.films["a"] = ["a1", busy()]
    for _ in range(5):
        await read(film.ask())

    assert [one.attempts[0].label for one in film.records] == ["a"] * 6
    assert not [one for one in film.ask.health.report() if one.state != "ready"]


async def test_the_first_item_ends_a_pause_though_the_stream_goes_on() -> None:
    """Others need not wait for the end of a long answer."""
    film = cooling_film({"a": [busy()], "b": ["b1"]})
    for _ in range(2):
        await read(film.ask())
    film.films["a"] = ["a1", Wait(60_000), "a2"]
    await pause(10_000)

    probe = await film.ask().start()
    second = await film.ask().start()

    assert [one.link.label for one in (probe, second) if one.link] == ["a", "a"]
    await asyncio.gather(probe.aclose(), second.aclose())


async def test_a_retry_after_of_a_stream_is_kept() -> None:
    """As that of a plain call."""
    film = cooling_film({"a": [RetryAfterError(7)], "b": ["b1"]})
    await read(film.ask())
    await pause(6_900)
    await read(film.ask())
    assert film.records[-1].attempts[0].skip_reason == "cooldown"


async def test_when_no_stream_opens_a_round_follows() -> None:
    """After a pause; one that broke after its first item is not begun anew."""
    film = Film({"a": [busy()], "b": [busy()]}, failover={"retries": 1, "backoff_ms": 1_000})
    stream = film.ask()
    starting = asyncio.ensure_future(stream.start())
    await pause(400)
    film.films["a"] = ["a1", busy()]

    assert await starting is stream
    assert 500 <= film.clock() <= 1_000
    items, error = await read(stream)
    assert items == ["a1"]
    assert error is not None
    assert [one.trigger for one in film.records[-1].attempts][-1] is AttemptTrigger.RETRY
