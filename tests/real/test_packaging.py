"""What is built from the project: a wheel and an archive of its source, both complete, small, and installable."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# What was reached, 489,000 bytes, and 3 %: 443,000 of them are modules (lab, demo and command line are a third), 32,000
# the archive's own entries and the list of its files, 8,000 the licence and the description, the rest the demo's facts
# and a Lua script.
LARGEST_WHEEL = 504_000

pytestmark = [pytest.mark.installs, pytest.mark.slow, pytest.mark.timeout(450)]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that has to succeed; give what it prints."""
    told = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=400)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Build both from a copy of what git would hand out, and check their descriptions."""
    place = tmp_path_factory.mktemp("built")
    tools = place / "tools"
    venv.create(tools, with_pip=True)
    run(tools / "bin" / "pip", "install", "-q", "build", "twine", cwd=place)
    run(tools / "bin" / "python", "-m", "build", "--outdir", place / "dist", ROOT, cwd=place)
    run(tools / "bin" / "twine", "check", "--strict", *(place / "dist").iterdir(), cwd=place)
    return place / "dist"


def only(place: Path, pattern: str) -> Path:
    """Give the only file of that pattern."""
    (found,) = place.glob(pattern)
    return found


def test_the_wheel_holds_the_package_and_is_small(built: Path) -> None:
    """Nothing of tests and docs is installed into other people's services."""
    wheel = only(built, "*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert wheel.stat().st_size <= LARGEST_WHEEL
    assert "routeware/py.typed" in names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"routeware"}


def test_the_description_of_the_wheel_has_no_link_into_the_source(built: Path) -> None:
    """Its reader has no checkout: pages are named where README links to them, and the source archive has them all."""
    with zipfile.ZipFile(only(built, "*.whl")) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        description = archive.read(metadata).decode().partition("\n\n")[2]
    with tarfile.open(only(built, "*.tar.gz")) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    pages = set(re.findall(r"`(\S+\.md)`", description))

    assert description.startswith("# routeware\n")
    assert re.findall(r"!\[|<!--|\]\((?!https?://)", description) == []
    assert {"docs/start.md", "docs/threshold-lab.md", "CHANGELOG.md"} <= pages
    assert pages <= files


def test_the_source_archive_holds_what_its_tests_need(built: Path) -> None:
    """Whoever repackages it runs the tests from it."""
    with tarfile.open(only(built, "*.tar.gz")) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}

    assert {"routeware", "tests", "examples", "docs", "benchmarks", "README.md", "CHANGELOG.md", "LICENSE"} <= tops


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_what_was_built_can_be_installed_and_used(built: Path, pattern: str, tmp_path: Path) -> None:
    """In an environment with nothing else: it routes a call, and its command says its version."""
    venv.create(tmp_path / "env", with_pip=True)
    run(tmp_path / "env" / "bin" / "pip", "install", "-q", only(built, pattern), cwd=tmp_path)
    program = (
        "import asyncio, routeware\n"
        "@routeware.routed(routeware.RoutingPolicy(chain=['a:b']))\n"
        "async def ask(attempt): return attempt.label\n"
        "print(asyncio.run(ask()))\n"
    )

    assert run(tmp_path / "env" / "bin" / "python", "-c", program, cwd=tmp_path) == "a:b\n"
    packages = run(tmp_path / "env" / "bin" / "pip", "list", "--format=freeze", cwd=tmp_path).split()
    brought = {line.partition("==")[0] for line in packages} - {"pip", "setuptools", "wheel"}
    assert brought <= {"routeware", "attrs", "opentelemetry-api", "typing_extensions", "importlib_metadata", "zipp"}


def test_the_package_runs_as_a_module() -> None:
    """Where the script is not on the path."""
    assert run(sys.executable, "-m", "routeware", "--version", cwd=ROOT).startswith("routeware ")
