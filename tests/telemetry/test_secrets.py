"""Secrets sent through every path are in nothing that leaves: spans, events, logs, notes, records."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

import routeware
from routeware import CallRecord, record_of
from tests.fakes.providers import (
    HTTPStatusError,
    answers,
    cancelled_at,
    converts,
    fails,
    hangs,
    script,
)
from tests.fakes.secrets import ANSWER, HEADER, KEY, PATHS, PROMPT, SECRETS, LeakyError
from tests.fakes.tracing import Traces


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("racing", [None, 20])
@pytest.mark.parametrize("capped", [False, True])
async def test_no_secret_leaves(
    path: str, racing: float | None, capped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the provider, the caller's hooks or the checks do with them."""
    caplog.set_level(logging.DEBUG)
    traces = Traces()
    providers = script(**PATHS[path]())
    ask = providers.ask(
        race_after_ms=racing,
        on_timeout_ms=100,
        on_error_kinds="any",
        usd={"a": 0.25, "b": 0.25},
        per_call_usd=0.25 if capped else None,
        on_exceed="skip",
        options=traces.options,
    )

    errors = [await _error_of(ask(PROMPT, api_key=KEY, headers={"authorization": HEADER}))]
    await asyncio.sleep(2)

    assert_nothing_left(traces, caplog, providers.records, errors)


@pytest.mark.parametrize("hook", ["classify", "on_call", "accept", "estimate", "close"])
async def test_no_secret_leaves_by_a_hook(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    """What the caller's own functions raise is logged by hook and class only."""
    caplog.set_level(logging.DEBUG)
    traces = Traces()

    def leak(*args: object, **kwargs: object) -> Any:
        raise LeakyError(None)

    class Leaky:
        async def aclose(self) -> None:
            leak()

        def __repr__(self) -> str:
            return ANSWER

    options = {**traces.options, **({hook: leak} if hook in ("classify", "on_call") else {})}
    providers = script(a=fails(60, LeakyError()), b=answers(100, Leaky()), c=answers(0, Leaky()))
    ask = providers.ask(race_after_ms=50, usd={"a": 1, "b": 1, "c": 1}, race_width=3, options=options)
    if hook in ("accept", "estimate"):
        getattr(ask, hook)(leak)

    errors = [await _error_of(ask(PROMPT))]

    assert_nothing_left(traces, caplog, providers.records, errors)


async def test_no_secret_leaves_by_a_cancellation(caplog: pytest.LogCaptureFixture) -> None:
    """Nor by what is raised while everything is cut off."""
    caplog.set_level(logging.DEBUG)
    traces = Traces()
    providers = script(a=converts(hangs(), LeakyError()), b=converts(hangs(), LeakyError()))

    task, _ = await cancelled_at(providers.ask(race_after_ms=10, options=traces.options)(PROMPT), 50)

    assert task.cancelled()
    assert_nothing_left(traces, caplog, providers.records, [])


async def test_no_secret_leaves_by_a_rejected_result(caplog: pytest.LogCaptureFixture) -> None:
    """The result is on the error, and not in its text."""
    caplog.set_level(logging.DEBUG)
    traces = Traces()
    providers = script(a=answers(0, ANSWER), b=answers(0, ANSWER))
    ask = providers.ask(options=traces.options)
    ask.accept(lambda result: False)

    error = await _error_of(ask(PROMPT))

    assert isinstance(error, routeware.ResultRejectedError)
    assert ANSWER not in str(error)
    assert ANSWER not in repr(error)
    assert_nothing_left(traces, caplog, providers.records, [error])


async def test_texts_are_there_when_they_are_asked_for_and_only_there(caplog: pytest.LogCaptureFixture) -> None:
    """`observe.error_messages` opens the errors' texts; prompts and answers it does not."""
    caplog.set_level(logging.DEBUG)
    traces = Traces()
    providers = script(a=fails(0, HTTPStatusError(503, "overloaded, sorry")), b=answers(0, ANSWER))

    await providers.ask(error_messages=True, options=traces.options)(PROMPT)

    assert "overloaded, sorry" in traces.text()
    everything = traces.text() + _log(caplog) + json.dumps([record.to_dict() for record in providers.records])
    assert PROMPT not in everything
    assert ANSWER not in everything


async def _error_of(call: Any) -> BaseException | None:
    try:
        await call
    except Exception as error:  # noqa: BLE001  # whatever comes out is looked at
        return error
    return None


def assert_nothing_left(
    traces: Traces,
    caplog: pytest.LogCaptureFixture,
    records: list[CallRecord],
    errors: list[BaseException | None],
) -> None:
    """Look for every secret in everything that leaves."""
    assert len(traces.spans) > 1
    left = {
        "spans": traces.text(),
        "log": _log(caplog),
        "records": json.dumps([record.to_dict() for record in records]) + repr(records),
        "decisions": repr([record.decision() for record in records]),
        "notes": repr([getattr(error, "__notes__", []) for error in errors]),
        "record on the error": repr([record_of(error) for error in errors if error is not None]),
    }
    found = [(where, secret) for where, text in left.items() for secret in SECRETS if secret in text]
    assert found == []


def _log(caplog: pytest.LogCaptureFixture) -> str:
    return "".join(caplog.handler.format(record) + repr(vars(record)) for record in caplog.records)
