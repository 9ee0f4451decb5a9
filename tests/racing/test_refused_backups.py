"""A backup that is not started says why, and the call that it would have served goes on."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import routeware
from routeware import Attempt, AttemptTimeoutError, Link, RoutingPolicy, routed
from tests.fakes.ledgers import Remote
from tests.fakes.providers import answers, busy, hangs, pause, script, stopwatch
from tests.fakes.tracing import Traces, fields_of, logged


def reason(traces: Traces) -> object:
    """Why there was no race."""
    skipped = traces.event("llm.routing.race_skipped")
    assert skipped["link"] in ("b", "b:m")
    return skipped["reason"]


async def test_a_backup_that_a_budget_refuses() -> None:
    """There is room for one attempt."""
    traces = Traces()
    providers = script(a=answers(100), b=answers(0))

    ask = providers.ask(usd={"a": 0.25, "b": 0.25}, per_call_usd=0.25, race_after_ms=50, options=traces.options)

    assert await ask() == "a"
    assert reason(traces) == "budget"


@pytest.mark.parametrize("hold_ms", [0, 20])
async def test_a_backup_that_a_ledger_elsewhere_refuses(hold_ms: float) -> None:
    """The same reason, be it said at once or later."""
    traces = Traces()
    providers = script(a=answers(100), b=answers(0))

    async with routeware.session("day", limit_usd=0.25, ledger=Remote(hold_ms=[0, hold_ms])):
        assert await providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=50, options=traces.options)() == "a"

    assert reason(traces) == "budget"


async def test_a_backup_for_which_a_ledger_cannot_be_asked() -> None:
    """It is away, which is no refusal."""
    traces, ledger = Traces(), Remote()

    async def takes_the_ledger_away(attempt: Attempt) -> object:
        ledger.away = {"hold"}
        return await answers(100)(attempt)

    providers = script(a=takes_the_ledger_away, b=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        assert await providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=50, options=traces.options)() == "a"

    assert reason(traces) == "ledger"


async def test_a_backup_whose_estimate_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The hook's failure is told by its class, without its text: that may be anybody's."""
    traces = Traces()

    @routed(
        RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 50}, budget={"per_call_usd": 1}),
        prices={f"{name}:m": routeware.Price(request_usd=0.25) for name in "ab"},
        **traces.options,
    )
    async def ask(attempt: Attempt) -> str:
        await pause(100)
        return attempt.provider

    @ask.estimate
    def estimate(link: Link, *_args: Any) -> float:
        if link.provider == "b":
            raise LookupError("sk-live-1234")
        return 0.25

    assert await ask() == "a"

    assert reason(traces) == "estimate"
    line, unread = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "no usage can be read" in unread.getMessage()
    assert "LookupError" in line.getMessage()
    assert "estimate" in line.getMessage()
    assert "sk-live-1234" not in caplog.text


async def test_a_backup_that_was_refused_is_no_longer_asked_for_until_the_next_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One event, however long the first link takes; its own place in the chain it keeps."""
    took = stopwatch()
    providers = script(a=busy(500), b=answers(0))

    with caplog.at_level(logging.DEBUG, "routeware"):
        ask = providers.ask(usd={"a": 0.5, "b": 0.75}, per_call_usd=1, race_after_ms=50)
        assert await ask() == "b"

    assert took() == 500
    assert [fields_of(line)["reason"] for line in logged(caplog.records)["race_skipped"]] == ["budget"]


async def test_a_time_out_that_ends_the_call_gives_its_backup_up() -> None:
    """No ledger's late answer may start what nothing waits for."""
    providers = script(a=hangs(), b=answers(0))
    options = {"classify": lambda error: "bad_request" if isinstance(error, TimeoutError) else None}
    ask = providers.ask(
        usd={"a": 0.25, "b": 0.25}, race_after_ms=20, on_timeout_ms=80, on_status=[503], options=options
    )

    async with routeware.session("day", limit_usd=1, ledger=Remote(hold_ms=[0, 150])) as spending:
        with pytest.raises(AttemptTimeoutError):
            await ask()
        await pause(500)

    assert list(providers.started) == ["a"]
    assert spending.reserved_usd == 0
