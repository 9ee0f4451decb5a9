"""Telemetry's names stand in one file, docs/tracing.md is made from it, and spans carry nothing else."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import routeware
from routeware.telemetry import attributes
from routeware.telemetry.attributes import ATTRIBUTES, table
from tests.fakes.clock import run_jumping
from tests.fakes.ledgers import Remote
from tests.fakes.providers import (
    HTTPStatusError,
    answers,
    busy,
    cancelled_at,
    fails,
    hangs,
    reports,
    script,
    stubborn,
    uses,
)
from tests.fakes.tracing import Traces
from tests.streams.films import Film

ROOT = Path(__file__).parent.parent.parent
PREFIXES = ("routeware.", "gen_ai.", "http.response.", "error.type")
KINDS: dict[str, type] = {"string": str, "int": int, "double": float, "boolean": bool, "string[]": tuple}


def test_the_documentation_has_this_table() -> None:
    """Whoever adds an attribute adds its row: `routeware.telemetry.attributes.table()` prints it."""
    page = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")

    assert table() in page


def test_no_name_is_written_elsewhere() -> None:
    """Of the core, only this file spells the names of attributes."""
    found = [
        f"{file.relative_to(ROOT)}:{line} spells {name!r}"
        for part in ("engine", "budget", "telemetry", "decorator", "observers.py", "records.py")
        for file in files(part)
        if file.name != "attributes.py"
        for line, name in texts(file)
        if name in ATTRIBUTES
    ]

    assert not found, "\n".join(found)


def files(part: str) -> list[Path]:
    """The files of a package, or a module."""
    path = ROOT / "routeware" / part
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Every string constant of a file, with its line."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_every_name_has_a_constant() -> None:
    """The constant is how code spells it."""
    constants = {value for name, value in vars(attributes).items() if name.isupper() and isinstance(value, str)}

    assert set(ATTRIBUTES) <= constants


async def calls(options: dict[str, Any]) -> None:
    """Make calls of every kind."""
    a_dollar = {"a": 0.5, "b": 0.5, "c": 0.5}
    limited = HTTPStatusError(429)
    limited.retry_after = 2  # type: ignore[attr-defined]

    async def call(providers: Any, **settings: Any) -> None:
        try:
            await providers.ask(options={**options, "name": "ask"}, usd=a_dollar, **settings)()
        except (HTTPStatusError, routeware.RoutewareError):
            return

    async with routeware.session("tenant", limit_usd=100):
        await call(script(a=uses(answers(10), input_tokens=1, output_tokens=2)))
        await call(script(a=answers(10, {"model": "m-2", "usage": {"prompt_tokens": 1, "completion_tokens": 2}})))
        await call(script(a=reports(1.0, answers(10))))
        await call(script(a=fails(10, limited), b=busy(), c=answers(10)))
        await call(script(a=stubborn(500, hangs()), b=answers(10)), race_after_ms=20)
        await call(script(a=hangs(), b=hangs()), deadline_ms=100, race_after_ms=20)
        await call(script(a=answers(10)), per_call_usd=0.25, on_exceed="skip")
        await call(script(a=fails(10, HTTPStatusError(400))))
        await call(
            script(a=answers(10, {"usage": {"prompt_tokens": 1, "server_tool_use": {"web_search_requests": 2}}}))
        )
        await cancelled_at(script(a=hangs()).ask(options={**options, "name": "ask"})(), 10)
        await asyncio.sleep(1)
    async with routeware.session("elsewhere", ledger=Remote()):
        await call(script(a=answers(10)))
    for operation in ("chat", None):
        last = {"choices": [{"finish_reason": "stop"}]}
        await Film({"a": [last]}, options={**options, "operation": operation}).ask.outcome()


@pytest.fixture(scope="module")
def spans() -> list[Any]:
    """Return the spans of calls of every kind."""
    traces = Traces()
    run_jumping(calls(traces.options))
    return list(traces.spans)


def test_spans_carry_what_the_table_says_and_nothing_else(spans: list[Any]) -> None:
    """On the span that it says, with a value of the type that it says."""
    wrong = []
    for span in spans:
        where = "call" if span.name.startswith("routeware.call") else "attempt"
        for name, value in span.attributes.items():
            kind, on, _ = ATTRIBUTES.get(name, ("", "", ""))
            if on != where or type(value) is not KINDS[kind]:
                wrong.append(f"{where}: {name} = {value!r}")

    assert not wrong, "\n".join(sorted(set(wrong)))


def test_the_table_promises_nothing_that_no_call_has(spans: list[Any]) -> None:
    """Each attribute is on a span of some call; a swapped race needs an outage, and has its own test."""
    carried = {name for span in spans for name in span.attributes}

    assert set(ATTRIBUTES) - carried <= {"routeware.race.swapped"}
