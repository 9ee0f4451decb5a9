"""Command lines of a new user that cannot work: each is answered in one line that says what to do."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from routeware.cli.app import app

MISTAKES = tomllib.loads(Path(__file__).with_name("mistakes.toml").read_text(encoding="utf-8"))["mistake"]
FILES = {
    "policy.toml": 'chain = ["a:m"]',
    "app.toml": '[routing]\nchain = ["a:m"]',
    "broken.toml": "chain = [",
    "notes.txt": "To be done tomorrow. " * 50,
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["command"])
def test_a_command_line_that_cannot_work_says_what_to_do(
    mistake: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, in its last line; nothing on standard output."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")

    result = CliRunner().invoke(app, shlex.split(mistake["command"]), prog_name="routeware")

    said = result.stderr.splitlines()[-1].removeprefix("routeware: ").removeprefix("Error: ")
    assert (said, result.exit_code, result.stdout) == (mistake["says"], mistake["code"], "")


UNREADABLE = [
    "budget list nothere.db",
    "check nothere.toml",
    "demo --policy nothere.toml",
    "replay nothere.json --policy policy.toml",
    "replay notes.txt --policy nothere.toml",
    "trace nothere.json",
    "trace notes.txt",
    "tune nothere.csv",
]


@pytest.mark.parametrize("command", [*UNREADABLE, *(f"{line.split()[0]} --no-such-option" for line in UNREADABLE)])
def test_every_command_exits_with_2_where_it_cannot_begin(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Usage, or a file that cannot be read: a script tells that from an answer that it does not like."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")

    result = CliRunner().invoke(app, shlex.split(command), prog_name="routeware")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") <= 4
    assert "Traceback" not in result.stderr
