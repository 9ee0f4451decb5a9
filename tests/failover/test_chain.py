"""Failover without races: which link is next, whose error comes out, and how long anything may take."""

from __future__ import annotations

import pytest

from routeware import (
    Attempt,
    ErrorCategory,
    RoutingPolicy,
    routed,
)
from tests.fakes.providers import (
    FatalError,
    HTTPStatusError,
    answers,
    busy,
    fails,
    hangs,
    script,
    statuses,
    stopwatch,
)


async def test_the_first_link_answers() -> None:
    """The bare result comes out, and nothing else is started."""
    providers = script(a=answers(10), b=answers(0))

    assert await providers.ask()() == "a"
    assert list(providers.started) == ["a"]


async def test_a_failure_moves_on_at_once() -> None:
    """The next link starts at the moment at which the one before failed."""
    providers = script(a=busy(20), b=busy(30), c=answers(40))
    took = stopwatch()

    outcome = await providers.ask().outcome()

    assert (outcome.value, took()) == ("c", 90)
    assert providers.started == {"a": 0, "b": 20, "c": 50}
    assert statuses(outcome.record) == {"a": "failed", "b": "failed", "c": "succeeded"}
    assert [str(attempt.trigger) for attempt in outcome.record.attempts] == ["initial", "failover", "failover"]
    assert [attempt.number for attempt in outcome.record.attempts] == [1, 2, 3]


async def test_attempts_are_bounded() -> None:
    """`max_attempts` counts what was started; the rest of the chain is not tried."""
    providers = script(a=busy(), b=busy(), c=answers(0))

    with pytest.raises(HTTPStatusError):
        await providers.ask(max_attempts=2)()

    assert list(providers.started) == ["a", "b"]


async def test_the_same_link_may_stand_twice() -> None:
    """It is then tried twice: each place in the chain at most once."""
    calls: list[int] = []

    @routed(RoutingPolicy(chain=["same:m", "same:m"]))
    async def ask(attempt: Attempt) -> str:
        calls.append(attempt.number)
        if len(calls) == 1:
            raise HTTPStatusError(503)
        return "at last"

    assert await ask() == "at last"
    assert calls == [1, 2]


# What is eligible, in this order: status, time-out, kind, default.

DEFAULT_STATUSES = (408, 429, 500, 502, 503, 504, 529)


@pytest.mark.parametrize("status", DEFAULT_STATUSES)
async def test_by_default_outages_fail_over(status: int) -> None:
    """Without rules of its own a policy fails over on what waiting or another provider may cure."""
    assert await script(a=fails(0, HTTPStatusError(status)), b=answers(0)).ask()() == "b"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 418, 422])
async def test_by_default_the_callers_own_mistakes_do_not_fail_over(status: int) -> None:
    """After any other error nothing more is started, and that error is raised unchanged."""
    error = HTTPStatusError(status)
    providers = script(a=fails(0, error), b=answers(0))

    with pytest.raises(HTTPStatusError) as raised:
        await providers.ask()()

    assert raised.value is error
    assert list(providers.started) == ["a"]


@pytest.mark.parametrize(
    "error", [ConnectionResetError("gone"), ConnectionRefusedError("nobody"), TimeoutError("late")]
)
async def test_by_default_lost_connections_and_time_outs_fail_over(error: Exception) -> None:
    """They are nobody's mistake."""
    assert await script(a=fails(0, error), b=answers(0)).ask()() == "b"


async def test_an_error_that_nobody_knows_does_not_fail_over_by_default() -> None:
    """A bug in the provider function is not an outage."""
    with pytest.raises(FatalError):
        await script(a=fails(0, FatalError()), b=answers(0)).ask()()


async def test_a_status_of_ones_own_comes_first() -> None:
    """`on_status` makes eligible what the defaults would not."""
    assert await script(a=fails(0, HTTPStatusError(404)), b=answers(0)).ask(on_status=[404])() == "b"


async def test_rules_of_ones_own_switch_the_default_off() -> None:
    """With `on_status` or `on_error_kinds` given, only what they name fails over."""
    for rules in ({"on_status": [404]}, {"on_error_kinds": ["auth"]}):
        with pytest.raises(HTTPStatusError):
            await script(a=busy(), b=answers(0)).ask(**rules)()


async def test_default_is_a_kind_that_adds_to_others() -> None:
    """`["default", "auth"]` is what the defaults take, and 401."""
    rules = {"on_error_kinds": ["default", "auth"]}

    assert await script(a=busy(), b=answers(0)).ask(**rules)() == "b"
    assert await script(a=fails(0, HTTPStatusError(401)), b=answers(0)).ask(**rules)() == "b"
    with pytest.raises(HTTPStatusError):
        await script(a=fails(0, HTTPStatusError(404)), b=answers(0)).ask(**rules)()


async def test_any_takes_everything() -> None:
    """Every category."""
    assert await script(a=fails(0, FatalError()), b=answers(0)).ask(on_error_kinds="any")() == "b"


async def test_a_time_out_is_eligible_under_every_rule() -> None:
    """Also where the rules name something else."""
    rules = {"on_error_kinds": ["auth"], "timeouts": {"a": 100}}

    assert await script(a=hangs(), b=answers(0)).ask(**rules)() == "b"
    assert await script(a=fails(0, TimeoutError()), b=answers(0)).ask(**rules)() == "b"
    assert await script(a=fails(0, HTTPStatusError(408)), b=answers(0)).ask(**rules)() == "b"


async def test_a_rejected_result_fails_over_under_every_rule() -> None:
    """`rejected` always."""
    ask = script(a=answers(0, "bad"), b=answers(0, "good")).ask(on_error_kinds=["auth"])
    ask.accept(lambda result: result == "good")

    assert await ask() == "good"


async def test_a_time_out_of_ones_own_is_no_rule() -> None:
    """`on_timeout_ms` does not switch the default rules off."""
    assert await script(a=busy(), b=answers(0)).ask(on_timeout_ms=1000)() == "b"


async def test_the_hooks_category_decides_by_itself() -> None:
    """Where the caller's hook gave the category, the status does not make it eligible."""
    providers = script(a=busy(), b=answers(0))

    with pytest.raises(HTTPStatusError):
        await providers.ask(options={"classify": lambda error: ErrorCategory.CONTENT_POLICY})()

    assert list(providers.started) == ["a"]


async def test_the_hook_makes_eligible() -> None:
    """And it may say the opposite."""
    ask = script(a=fails(0, FatalError()), b=answers(0)).ask(
        options={"classify": lambda error: ErrorCategory.OVERLOADED}
    )

    outcome = await ask.outcome()

    assert outcome.value == "b"
    assert outcome.record.attempts[0].error.category == "overloaded"


async def test_the_hook_may_decline() -> None:
    """`None` is: you do it."""
    assert await script(a=busy(), b=answers(0)).ask(options={"classify": lambda error: None})() == "b"
