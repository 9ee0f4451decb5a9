"""What a provider function sees of its attempt, and where it runs."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

from routeware import (
    Attempt,
    current_attempt,
)
from tests.providers import (
    answers,
    busy,
    hangs,
    script,
    statuses,
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
