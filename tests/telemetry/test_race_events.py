"""What is told of a race, and what its backup is told."""

from __future__ import annotations

import pytest

from routeware import Attempt, Link, Price, RoutingPolicy, routed
from tests.fakes.providers import answers, busy, hangs, script
from tests.fakes.tracing import Traces, attributes


async def test_a_backup_has_its_place_among_the_attempts() -> None:
    """From 1, skipped links included: for the provider function, in the record and on its span."""
    traces = Traces()
    providers = script(a=busy(10), b=hangs(), c=hangs(), d=answers(0))
    ask = providers.ask(race_after_ms=50, race_width=3, options=traces.options)

    record = (await ask.outcome()).record

    places = {"a": 1, "b": 2, "c": 3, "d": 4}
    assert {label: attempt.number for label, attempt in providers.attempts.items()} == places
    assert {attempt.label: attempt.number for attempt in record.attempts} == places
    spans = traces.attempts.items()
    assert {label: attributes(span)["routeware.attempt.number"] for label, span in spans} == places


async def test_a_race_tells_whom_it_is_run_against_and_since_when() -> None:
    """The newest attempt in flight, and how long that one has run: not the call."""
    traces = Traces()

    await script(a=busy(30), b=hangs(), c=answers(0)).ask(race_after_ms=50, options=traces.options)()

    told = traces.event("llm.routing.race_started")
    assert (told["link"], told["against"]) == ("c", "b")
    assert told["after_ms"] == pytest.approx(50)


async def test_an_estimate_is_given_all_that_the_caller_gave() -> None:
    """By place and by name, as the function itself."""
    seen: list[tuple[str, str, int]] = []

    @routed(
        RoutingPolicy(chain=["a:m"], budget={"per_call_usd": 1}), prices={"a:m": Price(output_usd_per_mtok=1_000_000)}
    )
    async def ask(attempt: Attempt, prompt: str, *, length: int) -> str:
        return prompt

    @ask.estimate
    def estimate(link: Link, prompt: str, *, length: int) -> float:
        seen.append((link.label, prompt, length))
        return 0.25

    assert await ask("why?", length=7) == "why?"

    assert seen == [("a:m", "why?", 7)]
