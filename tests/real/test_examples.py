"""Every example runs by itself, offline, and prints what its last lines say that it prints."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "examples"
HELPERS = [FOLDER / "loopback.py", FOLDER / "loopback_streams.py"]
OWN_TESTS = FOLDER / "own_tests.py"
EXAMPLES = [path for path in sorted(FOLDER.glob("*.py")) if path not in HELPERS]

OFFLINE = """
import runpy, sys

def offline(event, args):
    host = args[1][0] if event == "socket.connect" and isinstance(args[1], tuple) else None
    host = args[0] if event == "socket.getaddrinfo" else host
    if host not in (None, "", "localhost", "127.0.0.1", "::1", b"localhost", b"127.0.0.1"):
        raise RuntimeError(f"an example runs offline, and this one asks for {host}")

sys.addaudithook(offline)
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def told(example: Path) -> str:
    """What an example says that it prints: the comment that it ends with."""
    _, _, lines = example.read_text(encoding="utf-8").partition("\n# prints:\n")
    return "".join(line.removeprefix("# ") for line in lines.splitlines(keepends=True))


def printed(example: Path, python: str | Path = sys.executable) -> str:
    """What it prints, run by ``python`` with warnings as errors and nothing on standard error."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ran = subprocess.run(
        [python, "-W", "error", "-c", OFFLINE, example],
        env={**plain, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


@pytest.fixture(scope="session")
def older_aiohttp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has aioresponses, and an aiohttp that it works with."""
    place = tmp_path_factory.mktemp("older-aiohttp") / "venv"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    python = place / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", place], check=True, timeout=120)
    wanted = ["aiohttp<3.14", "aioresponses", *project["dependencies"]]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True, timeout=300)
    return python


@pytest.mark.parametrize("example", [path for path in EXAMPLES if path != OWN_TESTS], ids=lambda path: path.stem)
def test_an_example_prints_what_it_says(example: Path) -> None:
    """Word for word: what is not the same at every run is not printed."""
    assert printed(example) == told(example) != ""


@pytest.mark.installs
@pytest.mark.timeout(450)
def test_the_example_of_own_tests_passes_where_aioresponses_works(older_aiohttp: Path) -> None:
    """It needs an aiohttp before 3.14, so it has an environment of its own; everything else runs on the current one."""
    assert printed(OWN_TESTS, older_aiohttp) == told(OWN_TESTS) != ""


@pytest.mark.parametrize("example", [*EXAMPLES, *HELPERS], ids=lambda path: path.stem)
def test_an_example_is_one_idea(example: Path) -> None:
    """Forty lines at most, and the first says which idea."""
    lines = example.read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 40
    assert lines[0].startswith('"""')
    assert lines[0].endswith('."""')


def test_every_example_stands_on_their_page() -> None:
    """An example that nobody finds helps nobody; the README links to the page."""
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")

    assert [path.name for path in EXAMPLES if f"examples/{path.name}" not in page] == []
    assert "docs/examples.md" in (ROOT / "README.md").read_text(encoding="utf-8")
