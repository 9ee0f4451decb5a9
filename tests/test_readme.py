"""What the README shows, works: its scripts run, its policies are policies, its commands are those that are tested."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from routeware import RoutingPolicy
from tests.readme import README, Block, blocks, command

ROOT = README.parent

OFFLINE = """
import runpy, sys

def offline(event, args):
    host = args[1][0] if event == "socket.connect" and isinstance(args[1], tuple) else None
    host = args[0] if event == "socket.getaddrinfo" else host
    if host not in (None, "", "localhost", "127.0.0.1", "::1", b"localhost", b"127.0.0.1"):
        raise RuntimeError(f"the README's scripts run offline, and this one asks for {host}")

sys.addaudithook(offline)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def named(language: str) -> list[object]:
    """The blocks of one language, each named by its line in the README."""
    found = blocks(language) if README.exists() else []
    return [pytest.param(block, id=f"line-{block.line}") for block in found]


def test_the_readme_has_scripts_and_policies() -> None:
    """A README without them would pass the other tests by showing nothing."""
    assert [block for block in blocks("python") if block.notes.get("runs") != "no"]
    assert blocks("toml")


@pytest.mark.parametrize("block", named("python"))
def test_a_script_runs_as_it_stands(block: Block, tmp_path: Path) -> None:
    """Pasted into a file, in a fresh interpreter, offline; a traceback names the line in the README."""
    script = tmp_path / "README.py"
    script.write_text("\n" * (block.line - 1) + block.text, encoding="utf-8")
    compile(script.read_text(encoding="utf-8"), README, "exec")
    if block.notes.get("runs") == "no":
        return
    for other in blocks():
        if "file" in other.notes:
            (tmp_path / other.notes["file"]).write_text(other.text, encoding="utf-8")

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", OFFLINE, str(script)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("block", named("toml"))
def test_a_policy_is_a_policy(block: Block) -> None:
    """Every TOML block is a policy as it stands, unless it says that it is something else."""
    said = tomllib.loads(block.text)

    if block.notes.get("runs") != "no":
        assert RoutingPolicy.from_dict(said).chain


def test_two_commands_do_all_the_set_up() -> None:
    """One line installs and runs the demo, one installs and runs the tests, on a machine that has Python only."""
    for name, ends_with in (("demo", "routeware demo"), ("tests", "-m pytest")):
        steps = command(name).split(" && ")
        assert steps[0].startswith("python3 -m venv "), steps
        assert "/bin/pip install " in steps[1], steps
        assert steps[-1].endswith(ends_with), steps


def test_the_checks_run_the_command_that_the_readme_gives() -> None:
    """The two cannot diverge: ``.ci/run`` asks for the README's own line."""
    told = subprocess.run(
        [sys.executable, ROOT / "tests" / "readme.py", "tests"], capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == command("tests")
    assert "tests/readme.py tests" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
