"""Calls that are thrown away: closed by hand, from another context, by the garbage collector, after their loop is gone.

Whoever does that is not the caller, and gets no errors of ours. What can still be said is said: spans end, the record
goes where it goes, and what was set aside is booked.
"""

from __future__ import annotations

import contextvars
import gc
import logging
from typing import Any

import pytest

import routeware
from routeware import CallRecord, MemoryLedger, current_attempt
from tests.fakes.ledgers import Remote
from tests.fakes.providers import answers, cleans_up, hangs, pause, script, stubborn
from tests.fakes.teardown import started
from tests.fakes.tracing import Traces

WAYS: list[dict[str, Any]] = [
    {},
    {"deadline_ms": 10_000},
    {"race_after_ms": 10},
    {"race_after_ms": 10, "deadline_ms": 10_000},
    {"race_after_ms": 500},
]


@pytest.fixture
def records() -> list[CallRecord]:
    """What `on_call` was told."""
    return []


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("settings", WAYS)
def test_closed_after_its_loop_was_closed(
    settings: dict[str, Any], traced: bool, records: list[CallRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """`close()` raises nothing; spans end, once, and the record says that it was cancelled."""
    traces = Traces()
    options = {"on_call": records.append, **(traces.options if traced else {})}
    providers = script(a=hangs(), b=hangs())

    with caplog.at_level(logging.INFO):
        call, _ = started(providers.ask(**settings, options=options))
        call.close()

    assert [record.outcome for record in records] == ["cancelled"]
    assert {attempt.status for attempt in records[0].attempts} == {"cancelled"}
    assert len(records[0].attempts) == len(providers.started)
    assert len(traces.spans) == (len(providers.started) + 1 if traced else 0)
    assert caplog.records == []


@pytest.mark.parametrize("settings", WAYS)
def test_collected_after_its_loop_was_closed(settings: dict[str, Any], records: list[CallRecord]) -> None:
    """The garbage collector is nobody's caller: what it cannot raise it would print."""
    providers = script(a=hangs(), b=hangs())

    call, task = started(providers.ask(**settings, options={"on_call": records.append}))
    providers.again()
    del call, task
    gc.collect()

    assert [record.outcome for record in records] == ["cancelled"]


@pytest.mark.parametrize("settings", WAYS)
def test_closed_after_its_loop_was_closed_it_is_booked(settings: dict[str, Any], records: list[CallRecord]) -> None:
    """What it may have cost stands in the session's books."""
    sessions: list[routeware.Session] = []
    ask = script(a=hangs(), b=hangs()).ask(
        **settings, usd={"a": 0.25, "b": 0.25}, per_call_usd=1, options={"on_call": records.append}
    )

    async def inside() -> None:
        spending = routeware.session("day", limit_usd=1, ledger=MemoryLedger())
        sessions.append(spending)
        await spending.__aenter__()
        await ask()

    call, _ = started(inside)
    call.close()

    assert records[0].uncertain_usd == 0.25 * len(records[0].attempts)
    assert sessions[0].spent_usd == 0
    assert sessions[0].uncertain_usd + sessions[0].reserved_usd == records[0].uncertain_usd


@pytest.mark.parametrize("racing", [None, 10])
@pytest.mark.parametrize("phase", ["hold", "attempt"])
def test_closed_with_a_ledger_elsewhere(
    phase: str, racing: float | None, records: list[CallRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """There is no loop to tell it on: that is logged, and its lease has to end what was held."""
    ledger = Remote(hold_ms=[1000] if phase == "hold" else [])
    ask = script(a=hangs(), b=hangs()).ask(
        usd={"a": 0.25, "b": 0.25}, race_after_ms=racing, options={"on_call": records.append}
    )

    async def inside() -> None:
        spending = routeware.session("day", limit_usd=1, ledger=ledger)
        await spending.__aenter__()
        await ask()

    call, _ = started(inside)
    call.close()

    assert [record.outcome for record in records] == ["cancelled"]
    assert all("loop is closed" in record.getMessage() for record in caplog.records if record.name == "routeware")
    gc.collect()


def test_closed_while_a_loser_cleans_up(records: list[CallRecord]) -> None:
    """An answer was there, and its caller is not: nobody got it."""
    providers = script(a=stubborn(1000, hangs()), b=answers(10))

    call, _ = started(providers.ask(race_after_ms=10, options={"on_call": records.append}))
    call.close()

    assert [record.outcome for record in records] == ["cancelled"]
    assert records[0].selected is None


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("settings", WAYS)
async def test_closed_from_another_context(
    settings: dict[str, Any], traced: bool, records: list[CallRecord], caplog: pytest.LogCaptureFixture
) -> None:
    """Context variables were set elsewhere, and cannot be taken back here; nothing of it is raised or logged."""
    traces = Traces()
    providers = script(a=hangs(), b=cleans_up(10, hangs()))
    options = {"on_call": records.append, **(traces.options if traced else {})}
    ask = providers.ask(**settings, usd={"a": 0.25, "b": 0.25}, options=options)

    async with routeware.session(limit_usd=1) as spending:
        call = ask()
        future = contextvars.copy_context().run(call.send, None)
        await pause(5)
        with caplog.at_level(logging.INFO):
            call.close()
        future.cancel()
        await pause(1)
        assert spending.reserved_usd == 0

    assert [record.outcome for record in records] == ["cancelled"]
    assert len(traces.spans) == (len(providers.started) + 1 if traced else 0)
    assert current_attempt() is None
    assert caplog.records == []


async def test_closed_from_inside_another_attempt_that_one_is_unharmed(records: list[CallRecord]) -> None:
    """A routed function that closes somebody else's call keeps its own attempt, and its span."""
    traces = Traces()
    abandoned = script(a=hangs()).ask(options={"on_call": records.append, **traces.options})()
    future = contextvars.copy_context().run(abandoned.send, None)

    async def run(attempt: routeware.Attempt) -> bool:
        abandoned.close()
        return current_attempt() is attempt

    assert await script(b=run).ask(options=Traces().options)()

    future.cancel()
    assert [record.outcome for record in records] == ["cancelled"]
