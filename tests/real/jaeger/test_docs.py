"""What the page on traces says, works: its commands, its program, its searches."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.real.jaeger.server import Jaeger

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")


def block(language: str, number: int = 0) -> str:
    """One fenced block of the page."""
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found[number]


def run(arguments: list[str], environment: Mapping[str, str]) -> str:
    """What a command prints; it has to succeed, without a warning."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env={**os.environ, **environment, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "no_proxy": "*", "COLUMNS": "80"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_five_commands_lead_from_nothing_to_a_trace(jaeger: Jaeger) -> None:
    """The first two install; the others run as they stand, at this Jaeger's ports, and print what the page shows."""
    docker, install, exports, example, draw = block("sh").splitlines()
    assert docker.startswith("docker run ")
    assert install == "python3 -m venv .venv && .venv/bin/pip install '.[demo]'"
    variables = dict(one.split("=", 1) for one in shlex.split(exports)[1:])
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://localhost:4318"
    environment = {**variables, "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_url}

    trace_id = run([example.removeprefix(".venv/bin/python ")], environment).strip()
    jaeger.trace(trace_id, spans=4)
    command = draw.replace("http://localhost:16686", jaeger.query_url).removeprefix(".venv/bin/routeware ").split()
    drawn = run(["-m", "routeware", *command, "--service", variables["OTEL_SERVICE_NAME"]], environment)

    assert trace_id in drawn
    assert without_measurements(drawn) == without_measurements(block("text"))


def test_the_program_sends_where_the_variables_say(jaeger: Jaeger, tmp_path: Path) -> None:
    """And the searches find what it sent."""
    program = tmp_path / "program.py"
    program.write_text(block("python") + PROGRAM, encoding="utf-8")

    run(
        [str(program)],
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_url,
            "OTEL_SERVICE_NAME": "page",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=production",
        },
    )

    jaeger.has("page", traces=3)
    assert len(jaeger.search("page", deployment__environment__name="production")) == 3
    rows = re.findall(r"^\| [^|]+ \| `([^`]*=[^`]*)`", PAGE.partition("## What to look for")[2], re.MULTILINE)
    assert len(rows) == 12
    found = {row: len(jaeger.search("page", **dict(tag.split("=", 1) for tag in row.split()))) for row in rows}
    assert {row: count for row, count in found.items() if count == 0} == {}


PROGRAM = """
import asyncio
from contextlib import suppress
from routeware import BudgetExceededError, Link, RoutingPolicy, routed, session

class Refused(Exception):
    status_code = 429

slow = Link(provider="slow", model="m", price={"request_usd": 5}, timeout_ms=20)
links = [slow, Link(provider="openai", model="gpt-4o", price={"request_usd": 1}), "c:m"]
policy = RoutingPolicy(chain=links, latency={"race_after_ms": 30}, budget={"allow_unpriced": True})

@routed(policy)
async def ask(attempt, refuse):
    if attempt.provider in refuse:
        raise Refused
    if attempt.provider == "slow":
        await asyncio.sleep(10)
    if attempt.provider == "openai":
        attempt.report_usage(input_tokens=1, output_tokens=1, web_searches=2)
        await asyncio.sleep(0.2)
        attempt.report_usage(input_tokens=1, output_tokens=1, web_searches=2)

async def main():
    async with session("tenant-7"):
        await ask(())
    with suppress(Refused):
        await ask(("slow", "openai", "c"))
    with suppress(BudgetExceededError):
        await ask.with_options(per_call_usd=2)(())
    provider.shutdown()

asyncio.run(main())
"""


def without_measurements(drawn: str) -> str:
    """What is drawn, without what differs from run to run: ids, times, bars, and where lines break."""
    plain = re.sub(r"[0-9a-f]{32}|[\d.]+ m?s\b|[█▏▎▍▌▋▊▉▐▕]+", "", drawn)
    return " ".join(plain.split())
