"""What is deliberately different from the system that this one descends from, each by its name."""

from __future__ import annotations

import asyncio

import pytest

import routeware
from routeware import BudgetExceededError, PolicyError, ResultRejectedError, RoutingPolicy, record_of
from tests.fakes.providers import HTTPStatusError, answers, busy, fails, hangs, reports, script, statuses, stopwatch


async def test_first_success_wins_a_race_not_first_completion() -> None:
    """The backup's failure comes first; the primary's answer wins."""
    outcome = await script(a=answers(100), b=busy(10)).ask(race_after_ms=50).outcome()

    assert outcome.value == "a"
    assert statuses(outcome.record) == {"a": "succeeded", "b": "failed"}


async def test_a_backup_passes_the_budget_before_it_starts() -> None:
    """There is room for one of them."""
    providers = script(a=answers(100), b=answers(0))

    assert await providers.ask(race_after_ms=50, usd={"a": 0.25, "b": 0.25}, per_call_usd=0.25)() == "a"
    assert list(providers.started) == ["a"]


async def test_reservations_instead_of_check_then_spend() -> None:
    """Two at once with room for one: the second is refused while the first still runs."""
    async with routeware.session(limit_usd=0.25):

        async def second(attempt: object) -> object:
            with pytest.raises(BudgetExceededError):
                await routeware_call()
            return "first"

        other = script(x=answers(0)).ask(usd={"x": 0.25})
        # Not inside the first attempt, which would be its container: as a task that was made before.
        gate = asyncio.Event()

        async def wait_for_it() -> object:
            await gate.wait()
            return await other()

        task = asyncio.create_task(wait_for_it())

        async def routeware_call() -> object:
            gate.set()
            return await task

        assert await script(a=second).ask(usd={"a": 0.25})() == "first"


async def test_a_losers_cost_is_booked() -> None:
    """At its projection, as uncertain."""
    async with routeware.session() as spending:
        await script(a=hangs(), b=reports(0.5, answers(0))).ask(race_after_ms=50, usd={"a": 0.25, "b": 0.5})()

    assert (spending.spent_usd, spending.uncertain_usd) == (0.5, 0.25)


async def test_per_call_usd_bounds_the_call_and_not_each_attempt() -> None:
    """Two attempts of which each would fit."""
    providers = script(a=fails(0, ConnectionResetError()), b=answers(0))

    with pytest.raises(BudgetExceededError):
        await providers.ask(usd={"a": 0.25, "b": 0.25}, per_call_usd=0.25)()


async def test_time_outs_are_honoured_to_the_millisecond() -> None:
    """Not to the second."""
    took = stopwatch()

    await script(a=hangs(), b=answers(0)).ask(timeouts={"a": 7})()

    assert took() == 7


async def test_a_time_out_is_an_eligible_error() -> None:
    """Whatever the rules name."""
    assert await script(a=hangs(), b=answers(0)).ask(timeouts={"a": 7}, on_status=[404])() == "b"


async def test_warn_goes_on() -> None:
    """It does not end the call."""
    assert await script(a=answers(0)).ask(usd={"a": 1}, per_call_usd=0.5, on_exceed="warn")() == "a"


async def test_skipped_links_use_up_no_attempt() -> None:
    """One attempt is allowed, and the second link has it."""
    providers = script(a=answers(0), b=answers(0))

    assert await providers.ask(usd={"a": 1, "b": 0}, per_call_usd=0.5, on_exceed="skip", max_attempts=1)() == "b"


async def test_all_skipped_raises_the_budget_error() -> None:
    """And not an error about an empty chain."""
    with pytest.raises(BudgetExceededError):
        await script(a=answers(0), b=answers(0)).ask(usd={"a": 1, "b": 1}, per_call_usd=0.5, on_exceed="skip")()


async def test_errors_carry_the_record() -> None:
    """Whoever catches one can see what was tried."""
    with pytest.raises(HTTPStatusError) as raised:
        await script(a=busy(), b=busy()).ask()()

    assert statuses(record_of(raised.value)) == {"a": "failed", "b": "failed"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"failover": {"max_attempt": 2}},
        {"fail_over": {}},
        {"failover": {"max_attempts": True}},
        {"latency": {"race_after_ms": False}},
        {"budget": {"per_call_usd": True}},
        {"failover": {"max_attempts": 0}},
    ],
)
def test_unknown_keys_booleans_as_numbers_and_no_attempts_are_refused(wrong: dict[str, object]) -> None:
    """When the policy is built."""
    with pytest.raises(PolicyError):
        RoutingPolicy.from_dict({"chain": ["a:m"], **wrong})


async def test_a_status_comes_from_attributes_before_text() -> None:
    """The text speaks of a 404; the error itself is a 503."""
    error = HTTPStatusError(503, "HTTP 404 Not Found")

    outcome = await script(a=fails(0, error), b=answers(0)).ask().outcome()

    assert outcome.value == "b"
    assert outcome.record.attempts[0].error.status == 503


async def test_rejected_results_raise() -> None:
    """The last of them is not returned as if it were good."""
    ask = script(a=answers(0), b=answers(0)).ask()
    ask.accept(lambda result: False)

    with pytest.raises(ResultRejectedError):
        await ask()


async def test_a_target_does_something() -> None:
    """It is not silently ignored: a slow primary is raced without a threshold in the policy."""
    outcome = await script(a=answers(900), b=answers(10)).ask(latency={"target_p95_ms": 500, "explore": 0}).outcome()

    assert (outcome.value, outcome.record.race_source, outcome.record.race_after_ms) == ("b", "prior", 250)


async def test_ties_go_to_the_primary() -> None:
    """Kept, as the order of matching, the strict caps and the event names are."""
    assert await script(a=answers(100), b=answers(50)).ask(race_after_ms=50)() == "a"
