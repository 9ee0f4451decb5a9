"""Caps count all that was committed before, and say nothing where it just fits."""

from __future__ import annotations

import pytest

import routeware
from routeware import BudgetExceededError
from tests.fakes.providers import answers, hangs, pays, script
from tests.fakes.tracing import Traces


@pytest.mark.parametrize("racing", [None, 5])
async def test_a_third_attempt_is_counted_beside_the_two_before(racing: float | None) -> None:
    """Both have run out of time, or run still, and may be billed: there is room for two, and not for three."""
    providers = script(a=hangs(), b=hangs(), c=answers(0))
    prices = {"a": 0.25, "b": 0.25, "c": 0.25}
    timeouts = {"a": 20, "b": 20, "c": 20}

    with pytest.raises(BudgetExceededError) as raised:
        await providers.ask(usd=prices, timeouts=timeouts, per_call_usd=0.6, race_after_ms=racing, race_width=3)()

    assert list(providers.started) == ["a", "b"]
    assert (raised.value.kind, raised.value.committed_usd, raised.value.label) == ("per_call", 0.5, "c")


@pytest.mark.parametrize(("cap", "warned"), [(0.5, False), (0.375, True)])
async def test_a_warning_names_the_link_that_would_pass_the_sessions_cap(cap: float, warned: bool) -> None:
    """What fits it exactly does not pass it."""
    traces = Traces()

    async with routeware.session("day") as spending:
        await pays(0.25)()
        ask = script(a=answers(0)).ask(usd={"a": 0.25}, session_usd=cap, on_exceed="warn", options=traces.options)
        assert await ask() == "a"

    assert traces.events == (["llm.routing.budget_exceeded"] if warned else [])
    if warned:
        told = traces.event("llm.routing.budget_exceeded")
        assert (told["kind"], told["link"], told["session"], told["on_exceed"]) == ("session", "a", "day", "warn")
        assert (told["limit_usd"], told["projected_usd"], told["committed_usd"]) == (cap, 0.25, 0.25)
    assert spending.uncertain_usd == 0.25
