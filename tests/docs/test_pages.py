"""What README and docs show, works: scripts run and print what is told, policies are policies, commands are tested."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from pathlib import Path

import attrs
import pytest

from routeware import BudgetRules, FailoverRules, LatencyRules, Link, ObserveRules, RoutingPolicy
from routeware.cli.demo import ADDRESS
from tests.docs.loopback import providers, sdks_environment
from tests.docs.readme import PAGES, README, Block, blocks, command

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


WITH_SDKS = "with SDKs"
OPENAI_DOWN = "the script with OpenAI down"
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")


def anchors(page: Path) -> list[str]:
    """What a page's headings are linked by: small letters, hyphens for blanks, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def named(language: str | None, note: str | None = None) -> list[object]:
    """The blocks of one language, or with one note, each named by its page and line."""
    found = [block for block in blocks(language, PAGES) if note is None or note in block.notes]
    return [pytest.param(block, id=f"{block.page.stem}-line-{block.line}") for block in found]


TRACED = """
import atexit
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

def show():
    for span in sorted(spans.get_finished_spans(), key=lambda span: span.start_time):
        print(span.name, span.kind.name + (f", ERROR: {span.status.description}" if not span.status.is_ok else ""))
        for key, value in span.attributes.items():
            print(key, ", ".join(value) if isinstance(value, tuple) else value)

spans, sdk = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
sdk.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(sdk)
atexit.register(show)
"""


def ran(block: Block, folder: Path, *, openai: str = "/openai/v1") -> str:
    """What a script prints: in a file, a fresh interpreter, offline; a traceback names the line on the page.

    Those that call providers find the demo's: at the address that they name, or where the SDKs' variables point.
    """
    script = folder / block.page.with_suffix(".py").name
    lay_out_files(block.page, folder)
    with providers() if block.notes.get("runs") == WITH_SDKS else nullcontext("") as url:
        sdks = sdks_environment(url, openai) if url else {}
        script.write_text("\n" * (block.line - 1) + block.text.replace(ADDRESS, url), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", OFFLINE, str(script)],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONUTF8": "1", **sdks},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lay_out_files(page: Path, folder: Path) -> None:
    """The files that a page shows, for its scripts and commands to open."""
    for block in blocks(pages=[page]):
        if "file" in block.notes:
            (folder / block.notes["file"]).write_text(block.text, encoding="utf-8")


def test_the_readme_has_scripts_and_policies() -> None:
    """A README without them would pass the other tests by showing nothing."""
    assert [block for block in blocks("python") if block.notes.get("runs") != "no"]
    assert blocks("toml")


@pytest.mark.slow
@pytest.mark.parametrize("block", named("python"))
def test_a_script_runs_as_it_stands(block: Block, tmp_path: Path) -> None:
    """One that says that it is a fragment is code at least."""
    if block.notes.get("runs") != "no":
        ran(block, tmp_path)
    else:
        compile(block.text, f"{block.page}, line {block.line}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.slow
@pytest.mark.parametrize("block", named(None, "prints"))
def test_what_is_said_to_be_printed_is_printed(block: Block, tmp_path: Path) -> None:
    """By the script above it, or by a command, word for word; blanks at the ends of lines aside."""
    if block.notes["prints"].startswith("the script"):
        script = [other for other in blocks("python", [block.page]) if other.line < block.line][-1]
        openai = "/down/openai/v1" if block.notes["prints"] == OPENAI_DOWN else "/openai/v1"
        printed = ran(script, tmp_path, openai=openai)
    else:
        lay_out_files(block.page, tmp_path)
        words = shlex.split(block.notes["prints"])
        assert words[0] == "routeware"
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "COLUMNS": "80"}
        line = [sys.executable, "-m", "routeware", *words[1:]]
        printed = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    assert [line.rstrip() for line in printed.splitlines()] == block.text.splitlines()


@pytest.mark.slow
def test_the_trace_is_what_the_script_above_leaves(tmp_path: Path) -> None:
    """Span by span and attribute by attribute; only how it is drawn is the page's own."""
    (shown,) = [block for block in blocks(pages=PAGES) if "spans" in block.notes]
    first = [block for block in blocks("python", [shown.page]) if block.line < shown.line][-1]

    printed = ran(first._replace(text=TRACED + first.text, line=1), tmp_path)

    drawn = [" ".join(line.strip("│├└─ ").split()) for line in shown.text.splitlines()]
    assert drawn == printed.splitlines()[-len(drawn) :]


@pytest.mark.parametrize("block", named("toml"))
def test_a_policy_is_a_policy(block: Block) -> None:
    """Every TOML block is a policy as it stands, unless it says that it is something else."""
    said = tomllib.loads(block.text)

    if block.notes.get("runs") != "no":
        assert RoutingPolicy.from_dict(said).chain


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the project, and to a heading in it where one is named."""
    for place, _, heading in (link.partition("#") for link in LINK.findall(page.read_text(encoding="utf-8"))):
        target = page.parent / place if place else page
        assert target.exists(), place
        assert not heading or heading in anchors(target), (place, heading)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    """Readers look for them; one that was renamed since leads nowhere."""
    named = re.findall(r"`((?:routeware|tests|examples|benchmarks)/[\w./*]*)`", page.read_text(encoding="utf-8"))

    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


def test_the_readme_is_read_in_ten_minutes() -> None:
    """What does not fit has a page of its own."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_page_installs_routeware_from_an_index(page: Path) -> None:
    """It is on none: the command would fail, or install what somebody else has put there under its name."""
    text = page.read_text(encoding="utf-8")

    assert re.findall(r"(?:pip|uv|pipx)\b.* (?:install|add|run) [^\n]*(?<![\w./-])routeware\b(?![-/.])", text) == []


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
        [sys.executable, ROOT / "tests" / "docs" / "readme.py", "tests"], capture_output=True, text=True, check=True
    )

    assert told.stdout.strip() == command("tests")
    assert "tests/docs/readme.py tests" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def rows(lines: list[str]) -> dict[str, dict[str, str]]:
    """The cells of every table in these lines, by the row's name and the column's."""
    found: dict[str, dict[str, str]] = {}
    heads: list[str] = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            heads = []
        elif not heads:
            heads = cells
        elif not set(cells[0]) <= {"-"}:
            found.setdefault(cells[0], {}).update(zip(heads[1:], cells[1:], strict=True))
    return found


@pytest.mark.parametrize("part", [Link, FailoverRules, LatencyRules, BudgetRules, ObserveRules])
def test_every_setting_has_a_row_on_the_page_of_policies(part: type[attrs.AttrsInstance]) -> None:
    """Whoever looks for a setting looks there; two that belong together may share a row."""
    page = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:chain\[\]\.)?(\w+)`", "\n".join(re.findall(r"^\| ([^|]*) \|", page, re.MULTILINE))))

    assert {field.name for field in attrs.fields(part)} <= named


def test_the_readme_compares_by_the_figures_of_the_page() -> None:
    """They are measured once; the README has some of them."""
    _, _, after = README.read_text(encoding="utf-8").partition("<!-- table: peers -->\n")
    shown = rows(after.partition("\n\n")[0].splitlines())
    page = rows((ROOT / "docs" / "performance.md").read_text(encoding="utf-8").splitlines())

    assert len(shown) >= 5
    assert {name: cells for name, cells in shown.items() if not cells.items() <= page[name].items()} == {}
