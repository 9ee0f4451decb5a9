"""What a provider function sees of its attempt, and where it runs."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

import routeware
from routeware import (
    Attempt,
    Usage,
    current_attempt,
)
from tests.fakes.providers import (
    Behaviour,
    answers,
    busy,
    hangs,
    script,
    statuses,
    uses,
)


async def test_an_attempt_says_what_it_is_for() -> None:
    """Provider, model, label, number and output limit are the link's."""
    providers = script(a=busy(), b=answers(0))

    await providers.ask(links={"b": {"model": "large", "max_output_tokens": 99}})()

    second = providers.attempts["b"]
    assert (second.provider, second.model, second.label, second.number) == ("b", "large", "b", 2)
    assert second.max_output_tokens == 99
    assert second.link.model == "large"


async def test_code_deeper_down_may_ask_for_the_attempt() -> None:
    """`current_attempt()` gives the same object, and `None` outside."""
    seen: list[tuple[Attempt, Attempt | None]] = []

    async def look(attempt: Attempt) -> str:
        seen.append((attempt, current_attempt()))
        return "done"

    await script(a=look).ask()()
    await script(a=hangs(), b=look).ask(race_after_ms=10)()

    assert all(given is current for given, current in seen)
    assert len(seen) == 2
    assert current_attempt() is None


async def test_a_provider_function_sees_the_callers_context() -> None:
    """In a race, too."""
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")
    tenant.set("seven")

    async def look(attempt: Attempt) -> str:
        return tenant.get()

    assert await script(a=look).ask()() == "seven"
    assert await script(a=hangs(), b=look).ask(race_after_ms=10)() == "seven"


async def test_accept_runs_where_its_attempt_runs() -> None:
    """Same task and context, so that `current_attempt()` is known there."""
    seen: list[Any] = []

    async def run(attempt: Attempt) -> str:
        seen.append((asyncio.current_task(), attempt))
        return "done"

    def check(result: str) -> bool:
        seen.append((asyncio.current_task(), current_attempt()))
        return True

    ask = script(a=run, b=hangs()).ask(race_after_ms=10)
    ask.accept(check)
    await ask()

    assert seen[0] == seen[1]


async def test_what_accept_raises_is_the_attempts_error() -> None:
    """It fails over, or not, as any other error of the attempt."""

    def check(result: str) -> bool:
        if result == "a":
            raise ConnectionResetError("while checking")
        return True

    ask = script(a=answers(0), b=answers(0)).ask()
    ask.accept(check)

    outcome = await ask.outcome()

    assert outcome.value == "b"
    assert statuses(outcome.record) == {"a": "failed", "b": "succeeded"}
    assert outcome.record.attempts[0].error.category == "transient_network"


async def test_a_reply_is_read_as_far_as_it_says_something() -> None:
    """Usage, model, both or neither; what an earlier report said stays where a later one is silent."""
    openai = {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}

    def reporting(*replies: object) -> Behaviour:
        async def run(attempt: Attempt) -> object:
            attempt.report_usage(input_tokens=1, output_tokens=1)
            return [attempt.report(reply) for reply in replies][-1]

        return run

    usages = []
    for replies in (("a text",), ("a text", {"model": "m-2"}), ("a text", {"model": "m-2"}, openai)):
        outcome = await script(a=reporting(*replies)).ask().outcome()
        assert outcome.value is replies[-1]
        usages.append(outcome.record.attempts[0].usage)

    said = Usage(input_tokens=1, output_tokens=1)
    assert usages == [said, said, Usage(input_tokens=3, output_tokens=4)]


@pytest.mark.parametrize(
    "count",
    ["input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens"],
)
@pytest.mark.parametrize("value", [-1, 1.5, True, "3"])
async def test_a_count_that_is_none_is_refused_where_it_is_reported(count: str, value: Any) -> None:
    """The attempt fails by the provider function's own mistake; nothing is made of it."""
    with pytest.raises(ValueError, match="tokens are a whole number of at least 0"):
        await script(a=uses(answers(0), **{count: value})).ask()()


async def test_usage_that_comes_late_and_cannot_be_priced_corrects_nothing() -> None:
    """The attempt stays booked as it was: half of the usage is no better than the projection."""
    providers = script(a=answers(0))
    links = {"a": {"price": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 1.0}, "max_output_tokens": 10}}

    async with routeware.session(limit_usd=1) as spending:
        await providers.ask(links=links)()
        booked = spending.uncertain_usd
        providers.attempts["a"].report_usage(input_tokens=3)

    assert booked > 0
    assert (spending.spent_usd, spending.uncertain_usd) == (0, booked)
