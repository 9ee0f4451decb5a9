"""``routeware trace`` draws what is in a Jaeger: from its address, and from what was saved of it in either form."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from routeware import CallRecord
from routeware.cli.app import app
from routeware.lab.calls import call_from_record, calls
from routeware.lab.reading import QueryAddress, read_file
from tests.fakes.exported import comparable
from tests.fakes.providers import HTTPStatusError, answers, fails, hangs, script, uses
from tests.real.jaeger.sending import Sender
from tests.real.jaeger.server import Jaeger

LINK = {"price": {"input_usd_per_mtok": 2.0, "output_usd_per_mtok": 8.0}, "max_output_tokens": 1000}


async def a_call(sender: Sender) -> CallRecord:
    """A link that is skipped, one that fails, one that loses and one that wins."""
    providers = script(
        dear=answers(),
        openai=fails(5, HTTPStatusError(429)),
        anthropic=hangs(),
        mistral=uses(answers(30), input_tokens=200, output_tokens=300),
    )
    links: dict[str, Any] = {**dict.fromkeys(providers.behaviours, LINK), "dear": {"price": {"request_usd": 5.0}}}
    ask = providers.ask(
        race_after_ms=30, per_call_usd=1.0, on_exceed="skip", links=links, options={**sender.options, "name": "ask"}
    )
    record: CallRecord = (await ask.outcome("Why is the sky blue?")).record
    sender.flush()
    return record


@pytest.fixture
def draw() -> Callable[..., str]:
    """The command, run: what it prints, on one line."""

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["trace", *arguments])
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    return run


async def test_a_trace_is_drawn_from_jaegers_address(
    jaeger: Jaeger, sender: Sender, draw: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its id, by the address of its page, and as the latest of a service; always the same."""
    monkeypatch.setenv("no_proxy", "*")
    record = await a_call(sender)
    assert record.trace_id is not None
    jaeger.trace(record.trace_id, spans=4)

    drawn = draw(jaeger.query_url, record.trace_id)

    assert "openai answered 429 after" in drawn
    assert "anthropic lost the race" in drawn
    assert "mistral, started beside anthropic at" in drawn
    assert "dear was skipped, over the budget" in drawn
    assert "$0.0028" in drawn
    assert draw(f"{jaeger.query_url}/trace/{record.trace_id}") == drawn
    assert draw(jaeger.query_url, "--service", sender.service) == drawn


async def test_what_jaeger_gives_back_is_the_call_as_its_record_tells_it(
    jaeger: Jaeger, sender: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Jaeger's own JSON and in OTLP's, saved or asked for; but for times, which Jaeger keeps in microseconds."""
    monkeypatch.setenv("no_proxy", "*")
    record = await a_call(sender)
    assert record.trace_id is not None
    jaeger.trace(record.trace_id, spans=4)
    paths = {"jaeger.json": f"/api/traces/{record.trace_id}", "otlp.json": f"/api/v3/traces/{record.trace_id}"}
    for name, path in paths.items():
        (tmp_path / name).write_text(json.dumps(jaeger.get(path)), encoding="utf-8")

    (asked,) = calls(QueryAddress.parse(jaeger.query_url).trace(record.trace_id))
    saved = [one for name in paths for one in calls(read_file(tmp_path / name))]

    assert [comparable(tree) for tree in (asked, *saved)] == [comparable(call_from_record(record))] * 3
    assert asked == saved[0]


@pytest.mark.parametrize(
    ("trace_id", "said", "code"),
    [("00000000000000000000000000000abc", "no such trace", 1), ("not-an-id", "answered 400 Bad Request", 2)],
)
def test_what_jaeger_does_not_have_is_told_in_one_line(
    jaeger: Jaeger, trace_id: str, said: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the address that was asked; an id that is none is a wrong argument."""
    monkeypatch.setenv("no_proxy", "*")

    result = CliRunner().invoke(app, ["trace", jaeger.query_url, trace_id])

    assert result.exit_code == code
    assert result.stderr == f"routeware: {jaeger.query_url}/api/traces/{trace_id}: {said}\n"


def test_a_service_that_jaeger_does_not_know_is_answered_with_those_it_knows(
    jaeger: Jaeger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jaeger answers with an empty list, which would not tell a misspelt name from a quiet service."""
    monkeypatch.setenv("no_proxy", "*")

    result = CliRunner().invoke(app, ["trace", jaeger.query_url, "--service", "nobody"])

    assert result.exit_code == 1
    assert result.stderr.startswith(f"routeware: {jaeger.query_url}: no service 'nobody'; there are ")
