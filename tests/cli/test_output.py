"""Output of the commands that look back: a full disk, a reader that has gone, an encoding that lacks a character."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.importorskip("numpy")

from routeware import Attempt, CallRecord, RoutingPolicy, routed
from tests.fakes.clock import run_jumping
from tests.fakes.exported import Traced, jaeger

COMMANDS = [
    ("tune", "latencies.csv"),
    ("tune", "latencies.csv", "--json"),
    ("trace", "trace.json"),
    ("trace", "trace.json", "--json"),
    ("replay", "records.jsonl", "--policy", "policy.toml"),
    ("replay", "records.jsonl", "--policy", "policy.toml", "--json"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Latencies, spans and records of a link in Munich."""
    folder = tmp_path_factory.mktemp("past")
    rows = [f"{link},{1000 + number}" for number in range(60) for link in ("münchen", "b")]
    (folder / "latencies.csv").write_text("link,latency_ms\n" + "\n".join(rows), encoding="utf-8")
    traced = Traced()
    traced.call("münchen").attempt("a:m", 0, 100).end(100, selected="a:m", attempts=1)
    (folder / "trace.json").write_text(json.dumps(jaeger(traced.spans())), encoding="utf-8")
    records: list[CallRecord] = []

    @routed(RoutingPolicy(chain=["a:m"]), on_call=records.append)
    async def ask(_attempt: Attempt) -> str:
        await asyncio.sleep(0.1)
        return "answer"

    run_jumping(ask())
    (folder / "records.jsonl").write_text("".join(json.dumps(record.to_dict()) + "\n" for record in records))
    (folder / "policy.toml").write_text('chain = ["a:m"]\n')
    return folder


def run(
    folder: Path, arguments: tuple[str, ...], stdout: int | None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with a standard output of one's own; ``None`` closes it."""
    command = [sys.executable, "-m", "routeware", *arguments]
    if stdout is None:
        command = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_output_that_cannot_be_written_is_one_line(folder: Path, arguments: tuple[str, ...]) -> None:
    """A full disk and a closed output are exit code 2, and no traceback."""
    with Path("/dev/full").open("w") as full:
        onto_full, closed = run(folder, arguments, full.fileno()), run(folder, arguments, None)

    assert (onto_full.returncode, closed.returncode) == (2, 2)
    assert onto_full.stderr == "routeware: the output cannot be written: No space left on device\n"
    assert closed.stderr == "routeware: standard output is closed\n"


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_reader_that_has_gone_is_no_error(folder: Path, arguments: tuple[str, ...]) -> None:
    """As in ``routeware tune latencies.csv | true``: the exit code is still about the data."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = run(folder, arguments, writer)
    finally:
        os.close(writer)

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("arguments", COMMANDS[::2], ids=" ".join)
def test_a_pipe_that_knows_ascii_only_gets_what_it_can_show(folder: Path, arguments: tuple[str, ...]) -> None:
    """Containers have no locale, and links are named in every language."""
    shown = folder / "shown"
    with shown.open("w") as file:
        result = run(folder, arguments, file.fileno(), {"PYTHONIOENCODING": "ascii"})

    assert (result.returncode, result.stderr) == (0, "")
    assert ("m\\xfcnchen" in shown.read_text()) == (arguments[0] != "replay")
