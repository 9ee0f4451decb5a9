"""Cooldown in calls: a link that keeps failing goes to the end of the chain, and is never taken out of it."""

from __future__ import annotations

import asyncio
import logging

import pytest

import routeware
from routeware import (
    BudgetExceededError,
    DeadlineExceededError,
    Health,
    PolicyError,
    RoutingPolicy,
    routed,
)
from tests.availability.providers import RetryAfterError, Service
from tests.fakes.ledgers import Remote
from tests.fakes.providers import FatalError, HTTPStatusError, answers, cancelled_at, pause, stubborn
from tests.fakes.tracing import Traces

COOL = {"cooldown_ms": 10_000, "cooldown_after": 3}


def busy() -> HTTPStatusError:
    """An answered 503."""
    return HTTPStatusError(503)


async def fall(service: Service, times: int = 3) -> None:
    """Let the first link fail so often that it cools."""
    service.does["a"] = busy()
    for _ in range(times):
        await service.call()


def calm(health: Health | None) -> Health:
    """Take the random tenth away."""
    assert health is not None
    return health


def service(*links: object, **settings: object) -> Service:
    """A service whose pauses are exact."""
    options = {"health": Health(draw=lambda: 0.0), **settings.pop("options", {})}  # type: ignore[dict-item]
    failover = {**COOL, **settings.pop("failover", {})}  # type: ignore[dict-item]
    return Service(*links, failover=failover, options=options, **settings)  # type: ignore[arg-type]


async def test_a_link_that_keeps_failing_is_passed_over_then_probed_once() -> None:
    """Five seconds of a dead provider in every call become none; when its pause is over, one call looks."""
    world = service("a", "b")
    await fall(world)

    assert await world.call() == "b"
    assert world.last == ["a skipped:cooldown", "b selected"]
    await pause(10_000)
    world.does["a"] = 50
    answers = await asyncio.gather(*[world.call() for _ in range(5)])

    assert answers == ["a", "b", "b", "b", "b"]
    assert world.ask.health is not None
    (link,) = world.ask.health.report()
    assert (link.state, link.failures) == ("ready", 0)
    assert await world.call() == "a"


async def test_time_outs_in_a_row_begin_a_pause() -> None:
    """A provider that hangs is the outage that costs most."""
    world = service("a", "b", failover={"on_timeout_ms": 1_000, "cooldown_after": 5, "cooldown_ms": 60_000})
    world.does["a"] = 3_600_000

    for _ in range(5):
        assert await world.call() == "b"
    assert world.last == ["a failed:timeout", "b selected"]
    await world.call()
    assert world.last == ["a skipped:cooldown", "b selected"]

    await pause(60_000)
    await world.call()
    assert world.last == ["a failed:timeout", "b selected"]
    await pause(59_999)
    await world.call()
    assert world.last == ["a skipped:cooldown", "b selected"]


async def test_a_retry_after_is_kept() -> None:
    """Seven seconds are asked for, and a later two do not shorten that."""
    world = service("a", "b")
    world.does["a"] = RetryAfterError(7)

    await world.call()
    await pause(6_900)
    await world.call()
    assert world.last[0] == "a skipped:cooldown"
    await pause(101)
    world.does["a"] = 0
    assert await world.call() == "a"


async def test_a_link_passed_over_is_tried_when_all_else_has_failed() -> None:
    """Cooldown never fails a call. The link then stands twice in the record, and only attempts count."""
    world = service("a", "b", failover={"max_attempts": 2})
    await fall(world)
    world.does |= {"a": 0, "b": busy()}

    assert await world.call() == "a"

    assert world.last == ["a skipped:cooldown", "b failed:overloaded", "a selected"]
    record = world.records[-1]
    assert [one.number for one in record.attempts] == [1, 2, 3]
    assert [one.skip_reason for one in record.attempts] == ["cooldown", None, None]
    assert record.selected == 2
    assert await world.call() == "a"
    assert world.last == ["a selected"]


async def test_where_everything_cools_the_order_is_that_in_which_pauses_end() -> None:
    """And nothing is recorded as skipped for that."""
    world = service("a", "b", "c")
    for label, seconds in (("a", 30), ("b", 20), ("c", 20)):
        calm(world.ask.health).trip(label, for_ms=seconds * 1000)

    world.does |= {"b": busy(), "c": busy()}
    assert await world.call() == "a"

    assert world.last == ["b failed:overloaded", "c failed:overloaded", "a selected"]


async def test_a_link_that_cools_in_the_middle_of_a_call_is_passed_over_when_its_turn_comes() -> None:
    """What other calls have found out meanwhile counts."""
    world = service("a", "b", "c")
    world.does["a"] = [busy()]

    async def trip() -> None:
        await pause(50)
        calm(world.ask.health).trip("b", for_ms=10_000)

    world.does["a"] = 100
    slow = asyncio.create_task(trip())
    view = world.ask.with_options(deadline_ms=None)
    world.does["a"] = [busy()]
    await slow
    assert await view() == "c"
    assert world.last == ["a failed:overloaded", "b skipped:cooldown", "c selected"]


async def test_a_passed_over_link_is_recorded_once() -> None:
    """However often its turn comes while it cools."""
    world = service("a", "b", "c")
    health = calm(world.ask.health)
    health.trip("a", for_ms=60_000)
    health.trip("b", for_ms=10)

    async def provide(attempt: routeware.Attempt) -> str:
        if attempt.label == "c":
            await pause(20)
            raise busy()
        return attempt.label

    ask = routed(world.ask.policy, health=health, on_call=world.records.append)(provide)

    assert await ask() == "b"
    assert world.last == ["a skipped:cooldown", "b skipped:cooldown", "c failed:overloaded", "b selected"]


async def test_a_cooling_link_is_not_raced() -> None:
    """The next one that does not cool is; where none is left, the event says why."""
    world = service("a", "b", "c", latency={"race_after_ms": 50})
    world.does |= {"a": 1_000, "c": 10}
    calm(world.ask.health).trip("b", for_ms=60_000)

    assert await world.call() == "c"
    assert world.last == ["a race_lost", "b skipped:cooldown", "c selected"]

    traces = Traces()
    alone = service("a", "b", latency={"race_after_ms": 50}, options=traces.options)
    alone.does["a"] = 1_000
    calm(alone.ask.health).trip("b", for_ms=60_000)

    assert await alone.call() == "a"
    assert alone.last == ["a selected"]
    assert traces.event("llm.routing.race_skipped") == {"link": "b", "reason": "cooldown"}


async def test_the_last_link_that_does_not_cool_has_no_default_timeout() -> None:
    """As the last of a chain: an answer after three minutes is better than a link that is known to fail."""
    world = service("a", "b")
    await fall(world)
    world.does["b"] = 180_000
    calm(world.ask.health).trip("a", for_ms=600_000)

    assert await world.call() == "b"

    calm(world.ask.health).trip("b", for_ms=700_000)
    world.does["a"] = 180_000
    assert await world.call() == "b"
    assert world.last == ["a failed:timeout", "b selected"]


@pytest.mark.parametrize("error", [FatalError("mine"), HTTPStatusError(400), HTTPStatusError(404)])
async def test_failures_that_say_nothing_about_the_link_do_not_count(error: Exception) -> None:
    """A caller's mistake must not take a provider out of everybody's service."""
    world = service("a", "b", failover={"on_error_kinds": "default, bad_request"})
    world.does["a"] = error

    for _ in range(10):
        await world.call()
    world.does["a"] = 0

    assert await world.call() == "a"


async def test_a_probe_that_is_cancelled_leaves_the_next_call_to_probe() -> None:
    """A caller that goes away says nothing about the link."""
    world = service("a", "b")
    await fall(world)
    await pause(10_000)
    world.does["a"] = 1_000

    await cancelled_at(world.ask(), 100)

    assert await world.call() == "a"


async def test_a_probe_that_loses_a_race_says_nothing() -> None:
    """It was slow, which is no failure; the next call probes."""
    world = service("a", "b", latency={"race_after_ms": 50})
    await fall(world)
    await pause(10_000)
    world.does["a"] = 1_000

    assert await world.call() == "b"
    assert world.last == ["a race_lost", "b selected"]
    world.does["a"] = 0
    assert await world.call() == "a"


async def test_a_probe_that_ignores_its_cancellation_leaves_the_next_call_to_probe() -> None:
    """It lost its race, and its call went on without it."""
    world = service("a", "b", latency={"race_after_ms": 50})
    await fall(world)
    await pause(10_000)
    world.does["a"] = stubborn(1_000, answers(5_000))

    assert await world.call() == "b"
    world.does["a"] = 0
    assert await world.call() == "a"
    await pause(1_000)


async def test_a_probe_that_a_budget_refuses_leaves_the_next_call_to_probe() -> None:
    """It was never started."""
    price = {"price": {"request_usd": 1.0}}
    world = service(
        {"provider": "a", "model": "m", "label": "a", **price},
        {"provider": "b", "model": "m", "label": "b", "price": {"request_usd": 0.1}},
        budget={"per_call_usd": 0.5, "on_exceed": "skip"},
    )
    calm(world.ask.health).trip("a", for_ms=10)
    await pause(10)

    assert await world.call() == "b"
    assert await world.ask.with_options(per_call_usd=2)() == "a"


async def test_under_abort_a_refusal_asks_a_passed_over_link_first() -> None:
    """It may be the cheaper one."""
    cheap = {"provider": "a", "model": "m", "label": "a", "price": {"request_usd": 0.1}}
    dear = {"provider": "b", "model": "m", "label": "b", "price": {"request_usd": 1.0}}
    world = service(cheap, dear, budget={"per_call_usd": 0.5})
    calm(world.ask.health).trip("a", for_ms=60_000)

    assert await world.call() == "a"
    assert world.last == ["a skipped:cooldown", "b skipped:budget", "a selected"]

    world = service(dear, {**dear, "label": "c"}, budget={"per_call_usd": 0.5})
    calm(world.ask.health).trip("b", for_ms=60_000)
    assert isinstance(await world.call(), BudgetExceededError)


async def test_a_backup_that_a_remote_ledger_refuses_gives_its_probe_back() -> None:
    """Asked for and not granted, it was never started."""
    price = {"price": {"request_usd": 0.5}}
    world = service(
        {"provider": "a", "model": "m", "label": "a", **price},
        {"provider": "b", "model": "m", "label": "b", **price},
        latency={"race_after_ms": 50},
    )
    world.does["a"] = 1_000
    health = calm(world.ask.health)
    health.trip("b", for_ms=1)
    await pause(1)

    async with routeware.session("day", limit_usd=0.6, ledger=Remote()):
        assert await world.call() == "a"

    assert health.states(asyncio.get_running_loop()).claim("b", 10.0).probe


async def test_a_backup_whose_ledger_is_not_waited_for_gives_its_probe_back() -> None:
    """The primary answers while the ledger thinks."""
    price = {"price": {"request_usd": 0.5}}
    world = service(
        {"provider": "a", "model": "m", "label": "a", **price},
        {"provider": "b", "model": "m", "label": "b", **price},
        latency={"race_after_ms": 50},
    )
    world.does["a"] = 100
    health = calm(world.ask.health)
    health.trip("b", for_ms=1)
    await pause(1)

    async with routeware.session("day", limit_usd=5, ledger=Remote(hold_ms=[0, 500])):
        assert await world.call() == "a"

    assert health.states(asyncio.get_running_loop()).claim("b", 10.0).probe


async def test_an_attempt_that_a_remote_ledger_refuses_gives_its_probe_back() -> None:
    """In the chain as in a race."""
    price = {"price": {"request_usd": 0.5}}
    world = service({"provider": "a", "model": "m", "label": "a", **price}, "b")
    health = calm(world.ask.health)
    health.trip("a", for_ms=1)
    await pause(1)

    async with routeware.session("day", limit_usd=0.1, ledger=Remote()):
        await world.call()

    assert health.states(asyncio.get_running_loop()).claim("a", 10.0).probe


async def test_tenants_with_a_memory_of_their_own_do_not_disturb_each_other() -> None:
    """A tenant's spent account says nothing about another tenant's."""
    world = service("a", "b")
    one, two = world.ask.with_health(Health()), world.ask.with_health(Health())
    world.does["a"] = HTTPStatusError(401)
    policy = RoutingPolicy.from_dict(
        {
            "chain": [{"provider": label, "model": "m", "label": label} for label in "ab"],
            "failover": {"cooldown_ms": 1_000, "on_error_kinds": "default, auth"},
        }
    )

    await one.with_policy(policy)()
    await one.with_policy(policy)()
    assert world.records[-1].attempts[0].skip_reason == "cooldown"
    await two.with_policy(policy)()
    assert world.records[-1].attempts[0].skip_reason is None

    never = world.ask.with_health(None)
    assert never.health is None
    for _ in range(5):
        await never.with_policy(policy)()
    assert world.records[-1].attempts[0].skip_reason is None


async def test_functions_may_share_their_health() -> None:
    """Two functions that call the same providers learn from each other."""
    health = Health()
    one = service("a", "b", options={"health": health})
    two = service("a", "b", options={"health": health})
    await fall(one)

    assert await two.call() == "b"
    assert one.ask.with_options(max_attempts=1).health is health


def test_health_is_a_health() -> None:
    """A mistake shows where it is made."""
    with pytest.raises(TypeError, match="health has to be a Health or None, not 5"):
        routed(RoutingPolicy(chain=["a:b"]), health=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="health has to be a Health or None, not 'x'"):
        Service("a").ask.with_health("x")


@pytest.mark.parametrize(
    ("failover", "key"),
    [
        ({"cooldown_ms": 0}, "failover.cooldown_ms"),
        ({"cooldown_ms": 70_000}, "failover.cooldown_max_ms"),
        ({"cooldown_ms": 10, "cooldown_max_ms": 5}, "failover.cooldown_max_ms"),
        ({"cooldown_after": 0}, "failover.cooldown_after"),
    ],
)
def test_what_cannot_be_meant_is_refused(failover: dict[str, object], key: str) -> None:
    """With the setting that is wrong."""
    with pytest.raises(PolicyError) as caught:
        RoutingPolicy.from_dict({"chain": ["a:b"], "failover": failover})

    assert caught.value.key == key


def told(traces: Traces, event: str) -> dict[str, object]:
    """Give the fields of the only event of this name on all calls' spans."""
    (found,) = [one for span in traces.spans for one in span.events if one.name == f"llm.routing.{event}"]
    return dict(found.attributes or {})


async def test_events_and_log_lines_say_what_happened(caplog: pytest.LogCaptureFixture) -> None:
    """On the span of the call where it happens; the beginning at WARNING, the end at INFO."""
    caplog.set_level(logging.DEBUG, "routeware")
    traces = Traces()
    world = service("a", "b", options=traces.options)
    await fall(world)
    assert told(traces, "cooldown_started") == {
        "link": "a",
        "category": "overloaded",
        "failures": 3,
        "pause_ms": 10_000.0,
    }
    await pause(1_000)
    await world.call()
    assert told(traces, "cooldown_skipped") == {"link": "a", "left_ms": 9_000.0}
    await pause(10_000)
    world.does["a"] = 0
    await world.call()
    assert told(traces, "cooldown_ended") == {"link": "a"}

    levels = {record.getMessage().split()[0]: record.levelno for record in caplog.records}
    assert levels["llm.routing.cooldown_started"] == logging.WARNING
    assert levels["llm.routing.cooldown_ended"] == logging.INFO
    assert levels["llm.routing.cooldown_skipped"] == logging.DEBUG


async def test_a_deadline_holds_for_what_was_passed_over_too() -> None:
    """The call's bound is the caller's."""
    world = service("a", "b", latency={"deadline_ms": 1_000})
    calm(world.ask.health).trip("a", for_ms=60_000)
    world.does |= {"a": 5_000, "b": busy()}

    assert isinstance(await world.call(), DeadlineExceededError)
    assert world.last == ["a skipped:cooldown", "b failed:overloaded", "a cancelled"]


async def test_a_target_does_not_learn_from_calls_that_find_a_link_cooling() -> None:
    """What it knows is of the usual order; a fixed threshold holds where there is one."""
    world = service("a", "b", "c", latency={"target_p95_ms": 1_000, "race_after_ms": 700})
    calm(world.ask.health).trip("a", for_ms=60_000)

    await world.call()

    assert world.records[-1].race_source == "fixed"
    report = world.ask.latency_report()
    assert report is not None
    assert [link.as_primary.attempts for link in report.links] == [0, 0, 0]
    calm(world.ask.health).reset()
    await world.call()
    report = world.ask.latency_report()
    assert report is not None
    assert [link.as_primary.attempts for link in report.links] == [1, 0, 0]


async def test_a_link_that_has_recovered_cools_again() -> None:
    """Its earlier pause is no reason to take new failures for old ones."""
    world = service("a", "b")
    await fall(world)
    await pause(10_000)
    world.does["a"] = 0
    assert await world.call() == "a"
    assert world.ask.health is not None
    assert [one.state for one in world.ask.health.report()] == ["ready"]

    await fall(world)

    assert await world.call() == "b"
    assert world.last == ["a skipped:cooldown", "b selected"]


async def test_failures_that_are_forgotten_by_hand_count_anew() -> None:
    """After a reset a whole row is needed again."""
    world = service("a", "b")
    await fall(world)
    calm(world.ask.health).reset()
    await fall(world, 2)
    assert world.last == ["a failed:overloaded", "b selected"]
    await fall(world, 1)
    await world.call()
    assert world.last == ["a skipped:cooldown", "b selected"]
