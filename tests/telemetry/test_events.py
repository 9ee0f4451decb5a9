"""Events: on the call's span where they say something new, and in the log under `routeware`."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import routeware
from tests.fakes.providers import (
    HTTPStatusError,
    answers,
    busy,
    hangs,
    script,
)
from tests.fakes.tracing import Traces, fields_of, logged


@pytest.fixture
def traces() -> Traces:
    """A tracer provider of the test's own."""
    return Traces()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of `routeware`, all of it."""
    caplog.set_level(logging.DEBUG, "routeware")
    return caplog


def events_of(log: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """What was logged of one kind of event."""
    return [fields_of(record) for record in logged(log.records).get(name, [])]


async def test_a_race_leaves_its_events(traces: Traces, log: pytest.LogCaptureFixture) -> None:
    """Started, won, lost: on the span and in the log, at DEBUG."""
    await script(a=hangs(), b=answers(0)).ask(race_after_ms=50, options=traces.options)()

    assert sorted(traces.events) == ["llm.routing.race_lost", "llm.routing.race_started", "llm.routing.race_won"]
    for name in ("race_started", "race_won", "race_lost"):
        (record,) = logged(log.records)[name]
        assert record.levelno == logging.DEBUG


async def test_a_refused_backup_leaves_an_event(traces: Traces, log: pytest.LogCaptureFixture) -> None:
    """And nothing else."""
    ask = script(a=answers(100), b=answers(0)).ask(
        usd={"a": 1, "b": 1}, per_call_usd=1, race_after_ms=50, options=traces.options
    )

    outcome = await ask.outcome()

    assert traces.events == ["llm.routing.race_skipped"]
    assert len(logged(log.records)["race_skipped"]) == 1
    assert "budget_exceeded" not in logged(log.records)
    assert len(outcome.record.attempts) == 1


@pytest.mark.parametrize("on_exceed", ["abort", "skip", "warn"])
async def test_a_cap_that_would_be_passed_leaves_an_event(
    traces: Traces, log: pytest.LogCaptureFixture, on_exceed: str
) -> None:
    """Kind, limit, projection, what was committed, what was done about it, and the link; at WARNING."""
    ask = script(a=answers(0), b=answers(0)).ask(
        usd={"a": 0.5, "b": 0.25}, per_call_usd=0.25, on_exceed=on_exceed, options=traces.options
    )

    try:
        await ask()
    except routeware.BudgetExceededError:
        assert on_exceed == "abort"

    found = traces.event("llm.routing.budget_exceeded")
    assert found == {
        "kind": "per_call",
        "limit_usd": 0.25,
        "projected_usd": 0.5,
        "committed_usd": 0,
        "on_exceed": on_exceed,
        "link": "a",
    }
    (record,) = logged(log.records)["budget_exceeded"]
    assert record.levelno == logging.WARNING
    assert {key: fields_of(record)[key] for key in found} == found


async def test_a_sessions_refusal_names_the_session(traces: Traces) -> None:
    """Kind `session`."""
    ask = script(a=answers(0)).ask(usd={"a": 0.5}, options=traces.options)

    async with routeware.session("tenant-7", limit_usd=0.25):
        with pytest.raises(routeware.BudgetExceededError):
            await ask()

    found = traces.event("llm.routing.budget_exceeded")
    assert (found["kind"], found["session"], found["limit_usd"]) == ("session", "tenant-7", 0.25)


async def test_an_exhausted_chain_leaves_an_event(traces: Traces, log: pytest.LogCaptureFixture) -> None:
    """At WARNING."""
    with pytest.raises(HTTPStatusError):
        await script(a=busy(), b=busy()).ask(options=traces.options)()

    assert traces.events == ["llm.routing.exhausted"]
    (record,) = logged(log.records)["exhausted"]
    assert record.levelno == logging.WARNING


async def test_decision_and_attempts_are_in_the_log_only(traces: Traces, log: pytest.LogCaptureFixture) -> None:
    """On spans they would say twice what the spans' attributes say."""
    await script(a=busy(), b=answers(0)).ask(options=traces.options, label="careful", max_attempts=2)()

    assert traces.events == []
    (decision,) = events_of(log, "decision")
    assert (decision["policy"], decision["chain_length"], decision["max_attempts"]) == ("careful", 2, 2)
    assert list(decision["chain"]) == ["a", "b"]
    assert len(events_of(log, "attempt")) == 2
    assert {record.levelno for record in log.records if record.name == "routeware"} == {logging.DEBUG}


async def test_events_have_the_prefix_that_the_policy_gives(traces: Traces, log: pytest.LogCaptureFixture) -> None:
    """`observe.emit_event`."""
    await script(a=hangs(), b=answers(0)).ask(race_after_ms=50, emit_event="my.router", options=traces.options)()

    assert sorted(traces.events) == ["my.router.race_lost", "my.router.race_started", "my.router.race_won"]
    assert any("my.router.race_won" in record.getMessage() for record in log.records)


async def test_without_a_tracer_events_are_logged_all_the_same(log: pytest.LogCaptureFixture) -> None:
    """The standard library's logging needs no SDK."""
    await script(a=hangs(), b=answers(0)).ask(race_after_ms=50)()

    assert set(logged(log.records)) >= {"decision", "attempt", "race_started", "race_won", "race_lost"}


async def test_nothing_is_logged_for_a_logger_that_does_not_listen(caplog: pytest.LogCaptureFixture) -> None:
    """At the default level a call that answers is silent."""
    await script(a=busy(), b=answers(0)).ask()()

    assert [record for record in caplog.records if record.name == "routeware"] == []
