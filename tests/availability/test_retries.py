"""Retries: the next link at once, a pause only when everything has failed, and never past the deadline."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from typing import Any

import pytest

import routeware
from routeware import AttemptTrigger, Health, PolicyError, RoutingPolicy
from tests.availability.providers import RetryAfterError, Service
from tests.fakes.ledgers import Remote
from tests.fakes.providers import FatalError, HTTPStatusError, armed_timers, cancelled_at, other_tasks, stopwatch
from tests.fakes.tracing import Traces


def busy() -> HTTPStatusError:
    """An answered 503."""
    return HTTPStatusError(503)


def service(*links: Any, **failover: Any) -> Service:
    """A service with one further round, unless told otherwise."""
    settings = failover.pop("settings", {})
    return Service(*links, failover={"retries": 1, **failover}, **settings)


def triggers(world: Service) -> list[str]:
    """Why each attempt of the last call was started."""
    return [f"{one.label} {one.trigger}" for one in world.records[-1].attempts]


async def test_one_round_after_everything_has_failed() -> None:
    """Its attempts have the trigger ``retry``, failovers in it, too."""
    world = service("a", "b")
    world.does |= {"a": [busy(), busy()], "b": [busy(), 0]}

    assert await world.call() == "b"

    assert triggers(world) == ["a initial", "b failover", "a retry", "b retry"]
    assert world.records[-1].attempts[2].trigger is AttemptTrigger.RETRY
    assert world.records[-1].selected == 3


async def test_the_pause_is_a_random_half_to_whole_of_the_backoff() -> None:
    """Callers that failed together do not come back together."""
    waits = []
    for _ in range(40):
        world = service("a", backoff_ms=1_000, settings={"options": {"health": Health()}})
        world.does["a"] = [busy(), 0]
        clock = stopwatch()
        assert await world.call() == "a"
        waits.append(clock())

    assert 500 <= min(waits) < 600
    assert 900 < max(waits) <= 1_000
    assert 650 < statistics.mean(waits) < 850


async def test_the_backoff_doubles_up_to_its_maximum() -> None:
    """Ceilings of 1, 2, 3 and 3 seconds."""
    world = service("a", retries=4, backoff_ms=1_000, backoff_max_ms=3_000)
    world.does["a"] = busy()

    await world.call()

    starts = [at for _, at in world.starts]
    waits = [after - before for before, after in itertools.pairwise(starts)]
    assert len(waits) == 4
    for wait, ceiling in zip(waits, (1, 2, 3, 3), strict=True):
        assert ceiling / 2 <= wait <= ceiling


async def test_only_what_waiting_may_cure_is_tried_again() -> None:
    """A spent account is as spent in half a second."""
    world = service("a", "b", on_error_kinds="any")
    world.does |= {"a": [HTTPStatusError(402)], "b": [busy(), 0]}

    assert await world.call() == "b"

    assert triggers(world) == ["a initial", "b failover", "b retry"]


@pytest.mark.parametrize("error", [HTTPStatusError(402), HTTPStatusError(400), FatalError("mine")])
async def test_a_call_that_waiting_cannot_cure_fails_at_once(error: Exception) -> None:
    """No round, no pause."""
    world = service("a", on_status=[400, 402])
    world.does["a"] = error
    clock = stopwatch()

    assert await world.call() is error
    assert clock() == 0


async def test_a_fatal_error_in_a_round_ends_the_call() -> None:
    """What is not failed over on is raised, whichever round it is."""
    fatal = FatalError("mine")
    world = service("a", "b")
    world.does |= {"a": [busy(), fatal], "b": [busy()]}

    assert await world.call() is fatal


async def test_a_retry_after_is_waited_for_if_it_is_longer_than_the_pause() -> None:
    """The least that a link of the round has still to be left alone; that link comes first."""
    world = service("a", "b", backoff_ms=500)
    world.does |= {"a": [RetryAfterError(9), 0], "b": [RetryAfterError(3), 0]}
    clock = stopwatch()

    assert await world.call() == "b"

    assert clock() == 3_000
    assert triggers(world) == ["a initial", "b failover", "b retry"]


@pytest.mark.parametrize(("settings", "seconds"), [({}, 11), ({"latency": {"deadline_ms": 2_000}}, 3)])
async def test_no_round_where_the_pause_would_be_too_long(settings: dict[str, Any], seconds: float) -> None:
    """Past ``backoff_max_ms`` or the deadline: the error is better at once."""
    traces = Traces()
    world = service("a", settings={**settings, "options": traces.options})
    error = RetryAfterError(seconds)
    world.does["a"] = error
    clock = stopwatch()

    assert await world.call() is error

    assert clock() == 0
    assert traces.event("llm.routing.retry_skipped") == {"reason": "too_long"}


async def test_attempts_count_over_all_rounds() -> None:
    """By default the length of the chain times the number of rounds."""
    assert RoutingPolicy(chain=["a:b", "c:d"], failover={"retries": 2}).max_attempts == 6

    world = service("a", "b", retries=5, max_attempts=3)
    world.does |= {"a": busy(), "b": busy()}
    await world.call()

    assert triggers(world) == ["a initial", "b failover", "a retry"]


async def test_a_cancellation_during_the_pause_goes_out_at_once() -> None:
    """Nothing is left behind."""
    world = service("a", backoff_ms=10_000)
    world.does["a"] = busy()

    task, took = await cancelled_at(world.ask(), 100)

    assert task.cancelled()
    assert took == 100
    assert not other_tasks()
    assert not armed_timers()
    assert world.records[-1].outcome == "cancelled"


async def test_rounds_race_too() -> None:
    """A slow link in a round is raced as in the first."""
    world = service("a", "b", settings={"latency": {"race_after_ms": 50}})
    world.does |= {"a": [busy(), 1_000], "b": [busy(), 10]}

    assert await world.call() == "b"

    assert triggers(world) == ["a initial", "b failover", "a retry", "b race"]


async def test_events_say_that_a_call_waits() -> None:
    """With the round and the length."""
    traces = Traces()
    world = service("a", settings={"options": traces.options})
    world.does["a"] = [busy(), 0]

    await world.call()

    told = traces.event("llm.routing.retry_wait")
    assert told["round"] == 1
    assert 250 <= told["wait_ms"] <= 500


async def test_a_hundred_failing_calls_make_about_a_hundred_and_ten_attempts() -> None:
    """In a long outage retries stay a small share of the traffic: ten tokens, and no answer to give one back."""
    traces = Traces()
    world = service("a", settings={"options": traces.options})
    world.does["a"] = busy()

    for _ in range(100):
        await world.call()

    assert len(world.starts) == 110
    skipped = [event for span in traces.spans for event in span.events if event.name.endswith("retry_skipped")]
    assert {event.attributes["reason"] for event in skipped if event.attributes} == {"budget"}
    assert len(skipped) == 90


async def test_ten_answered_calls_give_a_token_back() -> None:
    """So ordinary traffic has its retries."""
    world = service("a")
    world.does["a"] = busy()
    for _ in range(10):
        await world.call()
    world.does["a"] = 0
    for _ in range(10):
        await world.call()
    world.does["a"] = [busy(), 0]

    assert await world.call() == "a"

    world.does["a"] = [busy()]
    assert isinstance(await world.call(), HTTPStatusError)


async def test_a_view_without_health_still_has_the_functions_tokens() -> None:
    """Switching cooldown off for a tenant does not give that tenant endless retries."""
    world = service("a")
    world.does["a"] = busy()
    ask = world.ask.with_health(None)

    for _ in range(20):
        await asyncio.gather(ask(), return_exceptions=True)

    assert len(world.starts) == 30


async def test_what_a_round_passes_over_is_tried_in_it() -> None:
    """Cooldown and rounds together: a cooling link is the last resort of a round, too."""
    world = Service(
        "a",
        "b",
        failover={"retries": 1, "cooldown_ms": 60_000, "cooldown_after": 1},
        options={"health": Health()},
    )
    world.does |= {"a": [busy(), 0], "b": [busy(), busy()]}

    assert await world.call() == "a"

    assert world.records[-1].attempts[-1].trigger is AttemptTrigger.RETRY


async def test_a_link_that_is_tried_again_has_the_default_timeout_before() -> None:
    """A further attempt follows the last link of a round, so a hanging one must not hold the call for ever."""
    world = service("a", backoff_ms=1)
    world.does["a"] = [3_600_000, 0]
    clock = stopwatch()

    assert await world.call() == "a"
    assert 120_000 < clock() <= 120_001


async def test_the_last_attempt_that_is_allowed_has_no_default_timeout() -> None:
    """Nothing follows it, rounds or not, so it is never worse than the bare call."""
    world = service("a", "b", backoff_ms=1, max_attempts=3)
    world.does |= {"a": [busy(), 3_600_000], "b": [busy()]}
    clock = stopwatch()

    assert await world.call() == "a"
    assert 3_600_000 <= clock() <= 3_600_001


async def test_the_time_of_a_failed_attempt_does_not_run_on_in_the_pause() -> None:
    """Its timer would cancel the call while that waits for the next round."""
    world = service("a", backoff_ms=1_000, on_timeout_ms=100)
    world.does["a"] = [busy(), 0]

    assert await world.call() == "a"
    assert triggers(world) == ["a initial", "a retry"]


@pytest.mark.parametrize(
    ("failover", "key"),
    [
        ({"retries": 11}, "failover.retries"),
        ({"retries": -1}, "failover.retries"),
        ({"backoff_ms": 0}, "failover.backoff_ms"),
        ({"backoff_ms": 500, "backoff_max_ms": 499}, "failover.backoff_max_ms"),
    ],
)
def test_what_cannot_be_meant_is_refused(failover: dict[str, object], key: str) -> None:
    """With the setting that is wrong."""
    with pytest.raises(PolicyError) as caught:
        RoutingPolicy.from_dict({"chain": ["a:b"], "failover": failover})

    assert caught.value.key == key


@pytest.mark.parametrize("settings", [{}, {"latency": {"race_after_ms": 50}}])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_round_follows_though_a_budget_refused_the_last_link(settings: dict[str, Any], elsewhere: bool) -> None:
    """What was refused is not in that round: nothing says that it would help."""
    links = [
        {"provider": name, "model": "m", "label": name, "price": {"request_usd": usd}}
        for name, usd in (("a", 0.1), ("b", 0.9))
    ]
    world = service(*links, settings={"budget": {"per_call_usd": 0.5, "on_exceed": "skip"}, **settings})
    world.does["a"] = [busy(), 0]

    async with routeware.session("day", limit_usd=5, ledger=Remote() if elsewhere else None):
        assert await world.call() == "a"

    assert triggers(world) == ["a initial", "b failover", "a retry"]
    world.does["a"] = busy()
    assert isinstance(await world.call(), HTTPStatusError)
