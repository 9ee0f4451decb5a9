"""The command line as people and scripts meet it: what it says, where it says it, and its exit codes."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from typer.testing import CliRunner, Result

from routeware import RoutingPolicy
from routeware.budget import Tally
from routeware.cli.app import app
from routeware.cli.screen import console, dollars, output
from routeware.contrib.sqlite import SqliteLedger

GOOD = """
label = "shop"
chain = [
    { provider = "a", model = "x", timeout_ms = 800, max_output_tokens = 100, price = { output_usd_per_mtok = 10 } },
    { provider = "b", model = "y", max_output_tokens = 100, price = { output_usd_per_mtok = 20, request_usd = 0.001 } },
]
[failover]
on_status = [429, 503]
on_error_kinds = ["default"]
[latency]
race_after_ms = 250
deadline_ms = 5_000
[budget]
per_call_usd = 0.05
session_usd = 2
on_exceed = "skip"
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A policy without fault, in a file."""
    file = tmp_path / "policy.toml"
    file.write_text(GOOD)
    return file


def routeware(*arguments: object) -> Result:
    """The command, run in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_check_shows_what_a_policy_comes_to(good: Path) -> None:
    """Whoever deploys it sees the links, what bounds them, and the rules in words."""
    result = routeware("check", good)

    assert result.exit_code == 0
    assert " ".join(result.stdout.split()).startswith(f"{good} is valid: shop ")
    for words in ("a:x", "800 ms", "5,000 ms", "$10", "$20 + $0.001/req", "100 tok", "status 429, 503", "skip"):
        assert words in result.stdout
    assert "the next link joins after 250 ms, 2 in flight at most" in result.stdout
    assert "$0.05 a call, $2 a session, which has to be open; over it: skip" in result.stdout
    assert "No warnings." in result.stdout


@pytest.mark.parametrize(
    ("latency", "words"),
    [
        pytest.param(
            "target_p95_ms = 800",
            "race the next link joins after 400 ms at first, then as the target needs it, 2 in flight at most"
            " target 95% of calls within 800 ms, for at most 0.35 extra attempts a call deadline none",
            id="alone",
        ),
        pytest.param(
            "target_p95_ms = 800\nrace_after_ms = 300\nmax_extra = 0.1\nswap_in_outage = true",
            "race the next link joins after 300 ms at first, then as the target needs it, never later, 2 in flight at"
            " most target 95% of calls within 800 ms, for at most 0.1 extra attempts a call; in an outage the second"
            " link goes first deadline",
            id="with a latest start",
        ),
        pytest.param(
            "target_p99_ms = 800\nby_size = true",
            "race the next link joins after 400 ms at first, then as the target needs it, 2 in flight at most"
            " target 99% of calls within 800 ms, by size of the request, for at most 0.35 extra attempts a call",
            id="a 99th percentile, by size",
        ),
    ],
)
def test_check_shows_a_latency_target_and_what_it_may_cost(tmp_path: Path, latency: str, words: str) -> None:
    """And where races start while little is known."""
    file = tmp_path / "policy.toml"
    file.write_text(f'chain = ["a:x", "b:y"]\n[latency]\n{latency}\n')

    shown = " ".join(routeware("check", file).stdout.split())

    assert words in shown
    assert shown.endswith("No warnings.")


def test_check_shows_no_race_and_no_target_where_one_attempt_is_all(tmp_path: Path) -> None:
    """They would look as if they did something."""
    file = tmp_path / "policy.toml"
    file.write_text('chain = ["a:x"]\n[latency]\ntarget_p95_ms = 800\n')

    shown = " ".join(routeware("check", file).stdout.split())

    assert "race none deadline none" in shown
    assert "warning chain: there is one link, so nothing to race with" in shown


def test_check_fits_eighty_columns_and_has_no_colours_in_a_pipe(good: Path) -> None:
    """Logs and pull requests are where its output ends up."""
    result = routeware("check", good)

    lines = result.stdout.splitlines()
    # The path is pytest's own, and long.
    assert all(len(line.rstrip()) <= 80 for line in lines if str(good.parent) not in line)
    assert "\x1b" not in result.stdout


def test_check_says_the_same_to_a_script(good: Path) -> None:
    """``--json`` gives the links, their real time-outs, the policy and the warnings, and nothing else."""
    told = json.loads(routeware("check", good, "--json").stdout)

    assert told["valid"] is True
    assert told["label"] == "shop"
    assert told["max_attempts"] == 2
    assert [(link["label"], link["timeout_ms"]) for link in told["links"]] == [("a:x", 800.0), ("b:y", 5000.0)]
    assert RoutingPolicy.from_dict(told["policy"]) == RoutingPolicy.from_toml(good)
    assert told["warnings"] == []


def test_check_reads_a_table_of_a_larger_file(tmp_path: Path) -> None:
    """Policies live in pyproject.toml, too."""
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.shop.routing]\nchain = ["a:x", "b:y"]\n')

    assert routeware("check", file, "--table", "tool.shop.routing").exit_code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("chain = []", "chain: must be a list of at least one link", id="no links"),
        pytest.param('chain = ["a:x"]\nlabl = "shop"', "did you mean 'label'?", id="misspelt"),
        pytest.param("chain = [", "not TOML", id="not TOML"),
    ],
)
def test_a_policy_that_is_not_valid_exits_with_1_and_one_line(tmp_path: Path, text: str, words: str) -> None:
    """A deployment stops there, and its log says why."""
    file = tmp_path / "policy.toml"
    file.write_text(text)

    result = routeware("check", file)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_policy_that_is_not_valid_is_told_to_scripts_on_standard_output(tmp_path: Path) -> None:
    """The exit code stays, and the key is a field of its own."""
    file = tmp_path / "policy.toml"
    file.write_text('chain = ["a:x"]\n[latency]\nrace_after_ms = -1\n')

    result = routeware("check", file, "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (told["valid"], told["key"]) == (False, "latency.race_after_ms")
    assert "-1" in told["error"]


def test_a_file_that_is_not_there_exits_with_2() -> None:
    """That is no statement about a policy."""
    result = routeware("check", "/no/such/policy.toml")

    assert result.exit_code == 2
    assert result.stderr.startswith("routeware: cannot read /no/such/policy.toml")
    assert result.stderr.count("\n") == 1


def test_warnings_are_shown_and_do_not_change_the_exit_code(tmp_path: Path) -> None:
    """They are for people: a valid policy is valid."""
    file = tmp_path / "policy.toml"
    file.write_text('chain = ["a:x", "b:y"]\n[failover]\non_status = [429]\n')

    result = routeware("check", file)

    assert result.exit_code == 0
    assert 'warning failover.on_status: these rules replace the default ones; add the kind "default"' in " ".join(
        result.stdout.split()
    )


@pytest.mark.parametrize("command", ["demo", "check", "tune", "replay", "trace", "budget"])
def test_help_says_what_exit_codes_mean(command: str) -> None:
    """A script's author looks there first; a full disk is among them."""
    result = routeware(command, "--help")

    assert result.exit_code == 0
    assert "Exit codes: 0" in result.stdout
    assert re.search("output (that )?cannot be written", " ".join(result.stdout.split()))
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "$0"),
        (5, "$5"),
        (1.2, "$1.20"),
        (10.5, "$10.50"),
        (0.0042, "$0.0042"),
        (1234.5, "$1,234.50"),
        (1e-9, "$0.000000001"),
    ],
)
def test_dollars_have_as_many_digits_as_they_need(amount: float, words: str) -> None:
    """A price of a fraction of a cent is still a price."""
    assert dollars(amount) == words


def test_without_arguments_it_says_what_it_can_do() -> None:
    """Every command has a line that is not cut off."""
    result = routeware()

    assert result.exit_code == 2
    assert "Validate a policy and show its settings." in result.output
    assert "Compare bare and routed calls." in result.output


COMMANDS = (
    ["demo", "check", "trace", "tune", "replay", "budget"]
    + [f"budget {name}" for name in ("list", "show", "set-limit", "release")]
    + [""]
)


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_is_cut_or_padded(command: str, columns: int) -> None:
    """Half a sentence does not say what a command does, and blanks at the end are noise in a pipe."""
    result = CliRunner().invoke(app, [*command.split(), "--help"], terminal_width=columns - 2)

    usage, _, rest = result.stdout.partition("\n\n")
    assert result.exit_code == 0
    assert usage.startswith("Usage: ")
    assert "..." not in rest
    assert [line for line in result.stdout.splitlines() if line != line.rstrip()] == []
    assert max(map(len, rest.splitlines())) <= columns


@pytest.mark.parametrize(("columns", "longest"), [("40", 38), ("60", 58), ("200", 80)])
def test_help_fits_the_terminal(columns: str, longest: int) -> None:
    """Whatever is left of the options' names, down to 40 columns."""
    command = [sys.executable, "-m", "routeware", "budget", "--help"]
    result = subprocess.run(command, env={**os.environ, "COLUMNS": columns}, capture_output=True, text=True, check=True)

    assert max(map(len, result.stdout.splitlines())) <= longest


def test_it_tells_its_version() -> None:
    """A bug report begins with it."""
    result = routeware("--version")

    assert result.exit_code == 0
    assert result.stdout.startswith("routeware")


@pytest.mark.parametrize(
    ("library", "extra", "arguments"),
    [("typer", "demo", "--help"), ("typer", "demo", "demo"), ("aiohttp", "demo", "demo")],
)
def test_a_missing_extra_is_named_by_the_command_that_installs_it(library: str, extra: str, arguments: str) -> None:
    """One line and exit code 2, where a traceback would end in the name of somebody else's package."""
    script = f"import sys; sys.modules[{library!r}] = None; sys.argv = ['routeware', *{arguments.split()!r}]\n"
    script += "from routeware.cli import main; main()"

    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"routeware: {library} is not installed; ")
    assert f"routeware[{extra}]" in run.stderr
    assert run.stderr.count("\n") == 1


def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where none of the extras is installed."""
    missing = ("typer", "click", "rich", "aiohttp", "numpy", "redis", "genai_prices", "opentelemetry.sdk")
    script = f"import sys; sys.modules.update(dict.fromkeys({missing!r})); sys.argv = ['routeware', *{arguments!r}]\n"
    script += "from routeware.cli import main; main()"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)


def test_check_and_the_version_need_nothing_but_the_core(good: Path, tmp_path: Path) -> None:
    """A pipeline checks a policy before it installs anything; what it sees is what the whole command shows."""
    told = bare("--version")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("routeware")

    assert bare("check", str(good)).stdout == routeware("check", good).stdout
    assert json.loads(bare("check", str(good), "--json").stdout)["label"] == "shop"
    nested = tmp_path / "pyproject.toml"
    nested.write_text('[shop]\nchain = ["a:x"]\n')
    assert bare("check", str(nested), "--table", "shop").returncode == 0
    refused = bare("check", str(nested))
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert bare("check", "/no/such/policy.toml").returncode == 2
    assert bare("check").returncode == 2
    assert "Exit codes: 0" in bare("check", "--help").stdout


def test_the_first_line_fits_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and the label are words of a sentence; a word is never broken."""
    monkeypatch.chdir(tmp_path)
    Path("p2.toml").write_text('chain = ["a:m", "b:m", "c:m"]\nlabel = "routing_policy(chain=3)"\n')

    shown = CliRunner(env={"COLUMNS": "40"}).invoke(app, ["check", "p2.toml"]).stdout

    assert shown.startswith("p2.toml is valid:\nrouting_policy(chain=3)\n\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'chain = ["a:\xff"]', "cannot read it: this is not TOML: it is not encoded as UTF-8 (at line 1)"),
        ('chain = ["a:m"]'.encode("utf-16"), "cannot read it: this is encoded as UTF-16, which TOML is not"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_file_that_is_no_text_cannot_be_read(tmp_path: Path, content: bytes, said: str, options: list[str]) -> None:
    """It leaves with 2, as one that is missing: nothing is known of the policy."""
    file = tmp_path / "policy.toml"
    file.write_bytes(content)

    result = routeware("check", file, *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"routeware: {said}")


def test_names_on_the_screen_cannot_be_mistaken_for_the_screen(tmp_path: Path) -> None:
    """Control characters are spelled out, so no label rewrites the terminal or forges a row."""
    file = tmp_path / "policy.toml"
    file.write_text(
        'label = "x\\u001b[2Jy"\nchain = [{provider = "a", model = "m", label = "a\\nwarning chain: forged"}]\n'
    )

    shown = routeware("check", file).stdout

    assert "\x1b" not in shown
    assert "x\\x1b[2Jy" in shown
    assert "a\\x0awarning chain: forged (a:m)" in " ".join(shown.split())


def test_a_refusal_spells_control_characters_out(tmp_path: Path) -> None:
    """It quotes what the file says, and a pipeline's log is a terminal, too."""
    file = tmp_path / "policy.toml"
    file.write_text('chain = ["a:b"]\n"la\\u001b[2Jbel" = 1\n')

    result = routeware("check", file)

    assert result.exit_code == 1
    assert "la\\x1b[2Jbel" in result.stderr
    assert "\x1b" not in result.stderr


def test_a_pipe_that_knows_ascii_only_gets_the_policy_all_the_same(tmp_path: Path) -> None:
    """Containers have no locale."""
    file = tmp_path / "policy.toml"
    file.write_text('label = "世界"\nchain = ["a:b"]\n', encoding="utf-8")
    command = [sys.executable, "-m", "routeware", "check", str(file)]

    told = subprocess.run(
        command, capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, timeout=30
    )

    assert b"\\u4e16\\u754c" in told.stdout


def checked(file: Path, stdout: int | None, *, as_json: bool = False) -> subprocess.CompletedProcess[str]:
    """Run ``check`` with a standard output of one's own; ``None`` closes it."""
    command = [sys.executable, "-m", "routeware", "check", str(file), *(["--json"] if as_json else [])]
    if stdout is None:
        command = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=30)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("as_json", [False, True])
def test_output_that_cannot_be_written_does_not_make_a_policy_invalid(good: Path, as_json: bool) -> None:
    """A full disk and a closed output are exit code 2 and one line: 1 would stop a deployment for the wrong reason."""
    with Path("/dev/full").open("w") as full:
        results = [checked(good, full.fileno(), as_json=as_json), checked(good, None, as_json=as_json)]

    assert [result.returncode for result in results] == [2, 2]
    assert results[0].stderr.startswith("routeware: the output cannot be written: ")
    assert results[1].stderr == "routeware: standard output is closed\n"
    assert results[0].stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "arguments",
    [
        "--version",
        "--help",
        "check --help",
        "budget list LEDGER",
        "budget list LEDGER --json",
        "budget show LEDGER day",
        "budget set-limit LEDGER day 5",
        "budget release LEDGER day",
        "demo --scene even --requests 2",
        "demo --scene even --requests 2 --json",
        "demo --serve --port 0",
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_no_command_ends_in_a_traceback_on_a_full_disk(tmp_path: Path, arguments: str, unbuffered: str) -> None:
    """It leaves with 2 and one line, whenever the text is written: at once, or when the buffer is full."""
    asyncio.run(_one_session(tmp_path / "ledger.db"))
    command = [sys.executable, "-m", "routeware", *arguments.replace("LEDGER", str(tmp_path / "ledger.db")).split()]

    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )

    assert result.returncode == 2
    assert result.stderr.splitlines() == [f"routeware: the output cannot be written: {os.strerror(errno.ENOSPC)}"]


async def _one_session(path: Path) -> None:
    async with SqliteLedger(path) as ledger:
        await ledger.tally(Tally("day", 1_000_000_000))


def test_another_file_s_error_is_not_taken_for_the_output_s(tmp_path: Path) -> None:
    """It would hide a defect behind a full disk."""
    with pytest.raises(FileNotFoundError), output():
        (tmp_path / "missing").read_text()


@pytest.mark.parametrize(("text", "code"), [('chain = ["a:b"]\n', 0), ("chain = []\n", 1)])
def test_a_reader_that_has_gone_is_no_error(tmp_path: Path, text: str, code: int) -> None:
    """As in ``routeware check policy.toml --json | true``: the exit code is still about the policy."""
    file = tmp_path / "policy.toml"
    file.write_text(text)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = checked(file, writer, as_json=True)
    finally:
        os.close(writer)

    assert (result.returncode, result.stderr) == (code, "")


@pytest.mark.parametrize(("columns", "lines"), [(80, 3), (60, 4), (40, 13)])
def test_links_and_sessions_are_readable_in_a_narrow_terminal(tmp_path: Path, columns: int, lines: int) -> None:
    """Where a row has no room, its cells are below one another, each beside its heading."""
    file = tmp_path / "policy.toml"
    file.write_text('chain = ["openai:gpt-4o", "anthropic:claude-sonnet-4-6"]')
    asyncio.run(_one_session(tmp_path / "ledger.db"))

    checked, listed = (
        CliRunner(env={"COLUMNS": str(columns)}).invoke(app, arguments).stdout
        for arguments in (["check", str(file)], ["budget", "list", str(tmp_path / "ledger.db")])
    )

    # The first line is the file's name.
    links = checked.partition("\n\n")[2].partition("\n\nfails over")[0]
    assert len(links.splitlines()) == lines
    for text in (*checked.splitlines()[1:], *listed.splitlines()):
        assert len(text) <= columns
    assert ("number" in links) == (columns == 40)
    assert listed.split()[:2] == (["session", "day"] if columns == 40 else ["session", "limit"])


def test_a_module_of_its_own_that_is_missing_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """No extra brings it, so it is not hidden behind advice."""
    from routeware import cli

    monkeypatch.setitem(sys.modules, "routeware.cli.app", None)

    with pytest.raises(ModuleNotFoundError):
        cli.main()


def test_a_pipe_gets_no_blanks_at_the_ends_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """With which rich fills the lines of a table."""
    table = Table("link", "time")
    table.add_row("openai", "")

    console().print(table)
    console().print("a line that is wrapped " * 9)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5
    assert [line for line in lines if line != line.rstrip()] == []
