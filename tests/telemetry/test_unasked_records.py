"""No record is made for an observer: spans, metrics, the log, sessions and the learner read the call itself."""

from __future__ import annotations

import logging
from typing import Any

import attrs
import pytest

import routeware
from routeware import CallRecord, record_of, records
from routeware.engine import record
from tests.fakes.measuring import Measured
from tests.fakes.providers import HTTPStatusError, answers, busy, fails, hangs, script
from tests.fakes.tracing import Traces


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the records that are made, as they are made."""
    found: list[str] = []

    def filled(kind: type[Any], values: dict[str, Any]) -> Any:
        found.append(kind.__name__)
        return records.filled(kind, values)

    monkeypatch.setattr(record, "filled", filled)
    return found


async def test_observers_get_none(made: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Everything that can listen listens, and the call succeeds: nobody has asked for a record."""
    caplog.set_level(logging.DEBUG)
    options: dict[str, Any] = {**Traces().options, **Measured().options, "on_call": None}

    async with routeware.session("day", limit_usd=10) as spending:
        priced = {"a": 0.25, "b": 0.25}
        assert await script(a=answers(10), b=answers(10)).ask(options=options, usd=priced)() == "a"
        assert await script(a=busy(10), b=answers(10)).ask(options=options, usd=priced)() == "b"
        assert await script(a=hangs(), b=answers(10)).ask(options=options, usd=priced, race_after_ms=10)() == "b"
        spending.report()

    assert caplog.records
    assert made == []


async def test_whoever_asks_gets_one(made: list[str]) -> None:
    """`outcome()`, `on_call` and an error: one record of the call, and one of each attempt."""
    told: list[CallRecord] = []

    await script(a=answers(0)).ask(options={"on_call": None}).outcome()
    assert made == ["AttemptRecord", "CallRecord"]
    await script(a=answers(0)).ask(options={"on_call": told.append})()
    assert made == 2 * ["AttemptRecord", "CallRecord"]
    with pytest.raises(HTTPStatusError) as raised:
        await script(a=fails(0, HTTPStatusError(400))).ask(options={"on_call": None})()

    assert made == 3 * ["AttemptRecord", "CallRecord"]
    of_the_error = record_of(raised.value)
    assert of_the_error is not None
    assert attrs.asdict(of_the_error, recurse=False)["outcome"] == "failed"


async def test_a_record_is_filled_completely() -> None:
    """It is equal to one that its class has made of the same values, with every attribute that the class has."""
    made = (await script(a=busy(0), b=answers(0)).ask().outcome()).record

    for one in (made, *made.attempts):
        assert list(vars(one)) == [field.name for field in attrs.fields(type(one))]
        assert type(one)(**vars(one)) == one
        assert hash(type(one)(**vars(one))) == hash(one)
