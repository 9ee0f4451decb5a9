"""Secrets sent through every path are in nothing that leaves: spans, events, logs, notes, records."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

import routeware
from routeware import Attempt, CallRecord, record_of
from tests.fakes.providers import (
    HTTPStatusError,
    answers,
    cancelled_at,
    converts,
    fails,
    hangs,
    in_a_group,
    reports,
    script,
    stubborn,
)
from tests.fakes.tracing import Traces

PROMPT = "prompt-3f9a"
ANSWER = "answer-77c1"
KEY = "sk-live-51d0"
HEADER = "header-b4e2"
BODY = "body-e90d"
SECRETS = (PROMPT, ANSWER, KEY, HEADER, BODY)
URL = f"https://api.example.invalid/v1/chat?key={KEY}"


class Response:
    """What an SDK's error carries."""

    status_code = 429
    url = URL
    text = BODY
    content = BODY.encode()

    def __init__(self) -> None:
        self.headers = {"authorization": HEADER, "retry-after": "1", "x-request-id": HEADER}

    def json(self) -> object:
        return {"error": {"message": BODY}}

    def __repr__(self) -> str:
        return f"<Response {URL} {BODY}>"


class LeakyError(Exception):
    """An error that quotes everything, as those of SDKs do."""

    def __init__(self, status: int | None = 429, code: object = None) -> None:
        super().__init__(f"{status} for {URL}: you sent {PROMPT}, header {HEADER}, got {BODY}")
        self.url = URL
        self.request = {"url": URL, "json": PROMPT}
        self.body = {"error": {"message": f"{BODY} {PROMPT}"}}
        self.response = Response() if status == 429 else None
        self.message = str(self)
        if status is not None:
            self.status_code = status
        if code is not None:
            self.code = code


def chained() -> Exception:
    """Secrets in the cause and in the context, too."""
    error = LeakyError()
    error.__cause__ = ConnectionError(f"{URL} {PROMPT}")
    error.__context__ = OSError(f"{KEY}")
    return error


PATHS: dict[str, Callable[[], dict[str, Any]]] = {
    "an answer": lambda: {"a": answers(0, {"text": ANSWER, "usage": {"prompt_tokens": 1, "completion_tokens": 1}})},
    "a failure": lambda: {"a": fails(0, LeakyError()), "b": answers(0, ANSWER)},
    "an exhausted chain": lambda: {"a": fails(0, LeakyError()), "b": fails(0, chained())},
    "an error without a status": lambda: {"a": fails(0, LeakyError(None))},
    "a code that is a sentence": lambda: {"a": fails(0, LeakyError(code=f"bad key {KEY} in {URL}"))},
    "a status in a text": lambda: {"a": fails(0, RuntimeError(f"HTTP 429 for {URL}: {BODY}"))},
    "a group": lambda: {"a": in_a_group(fails(0, LeakyError()), fails(0, chained()))},
    "a lost race": lambda: {"a": stubborn(10, hangs(), then=fails(0, LeakyError())), "b": answers(0, ANSWER)},
    "a straggler": lambda: {"a": stubborn(1000, hangs(), then=answers(0, ANSWER)), "b": answers(0, ANSWER)},
    "a time-out": lambda: {"a": converts(hangs(), LeakyError()), "b": converts(hangs(), LeakyError())},
    "a dear attempt": lambda: {"a": reports(100, answers(0, ANSWER))},
    "a lookup": lambda: {"a": fails(0, KeyError(KEY)), "b": answers(0, ANSWER)},
    "json": lambda: {"a": _parse},
}


async def _parse(attempt: Attempt) -> object:
    return json.loads(f"<html>{BODY} {KEY}")


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
