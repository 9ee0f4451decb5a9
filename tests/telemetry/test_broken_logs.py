"""A filter or a record factory of the program's log that raises is told of once, and fails no call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.availability.providers import Service
from tests.fakes.providers import HTTPStatusError, answers, busy, pause, script
from tests.fakes.tracing import Traces
from tests.streams.films import Film

LOGGER = logging.getLogger("routeware")
TOLD = "EventLog failed (RuntimeError); calls go on without it"


class Broken:
    """A log that raises at the events of one name; where there is none, at every line."""

    def __init__(self) -> None:
        self.event: str | None = None
        self.error: BaseException = RuntimeError("sk-123")

    def check(self, text: str) -> None:
        """Raise, if this line is one of those."""
        if self.event is None or text.startswith(f"llm.routing.{self.event} "):
            raise self.error

    def filter(self, record: logging.LogRecord) -> bool:
        """Stand in for a filter."""
        self.check(record.getMessage())
        return True


@pytest.fixture(params=["filter", "factory"])
def broken(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Broken]:
    """A log of the program that is broken in one of its parts."""
    caplog.set_level(logging.DEBUG, "routeware")
    part = Broken()
    make = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if record.name == "routeware":
            part.check(record.getMessage())
        return record

    if request.param == "filter":
        LOGGER.addFilter(part.filter)
    else:
        logging.setLogRecordFactory(factory)
    yield part
    LOGGER.removeFilter(part.filter)
    logging.setLogRecordFactory(make)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged about it."""
    return [one.getMessage() for one in caplog.records if "failed (" in one.getMessage()]


EVENTS = ["decision", "attempt", "race_started", "race_lost", "race_won", "cooldown_started", "cooldown_ended"]


@pytest.mark.parametrize("event", EVENTS)
async def test_an_answer_is_not_lost(event: str, broken: Broken, caplog: pytest.LogCaptureFixture) -> None:
    """By a failover, a race and a probe; every span that was started ends, with its events on it."""
    traces, broken.event = Traces(), event
    raced = Service("a", "b", latency={"race_after_ms": 20}, options=traces.options)
    raced.does["a"] = 50
    failing = Service("a", "b", failover={"cooldown_ms": 100, "cooldown_after": 1}, options=traces.options)
    failing.does["a"] = [HTTPStatusError(503), 0]

    assert await raced.call() == "b"
    assert await failing.call() == "b"
    await pause(200)
    assert await failing.call() == "a"
    await pause(100)

    on_spans = [one.name.removeprefix("llm.routing.") for span in traces.spans for one in span.events]
    assert sorted(on_spans) == sorted([*EVENTS[2:], "exception"])
    assert len(traces.spans) == 8
    assert told(caplog) == [TOLD] * (2 if event in {"decision", "attempt"} else 1)  # one for each function


async def test_a_failure_is_the_providers(broken: Broken) -> None:
    """Not the log's."""
    broken.event, traces = "exhausted", Traces()

    with pytest.raises(HTTPStatusError):
        await script(a=busy()).ask(options=traces.options)()

    assert len(traces.spans) == 2


async def test_a_stream_goes_on(broken: Broken) -> None:
    """Its first item is what it would be."""
    broken.event = "first_item"
    film = Film({"a": ["1", "2"]})

    assert [item async for item in film.ask()] == ["1", "2"]


@pytest.mark.parametrize("error", [RuntimeError("sk-123"), KeyError("sk-123"), asyncio.CancelledError("sk-123")])
async def test_a_log_that_takes_no_line_at_all_is_told_of_once_on_standard_error(
    error: BaseException, broken: Broken, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where else; without the text, and the call goes on."""
    broken.error = error
    providers = script(a=answers(0))
    ask = providers.ask()

    for _ in range(3):
        providers.again()
        assert await ask() == "a"

    assert capsys.readouterr().err == f"EventLog failed ({type(error).__name__}); calls go on without it\n"


async def test_a_program_without_a_last_resort_is_told_nothing(
    broken: Broken, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has asked for that."""
    monkeypatch.setattr(logging, "lastResort", None)
    assert broken.event is None

    assert await script(a=answers(0)).ask()() == "a"

    assert capsys.readouterr().err == ""
