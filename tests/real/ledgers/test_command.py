"""``routeware budget``: what a ledger holds, on the screen and as JSON."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
import typer
from typer.testing import CliRunner

from routeware import Ledger
from routeware.budget import Tally
from routeware.cli.budget import budget
from routeware.contrib.redis import RedisLedger
from routeware.contrib.sqlite import SqliteLedger
from tests.real.ledgers.servers import RedisServer, free_port


def run(*arguments: str) -> tuple[int, str, str]:
    """The exit code, and what was said on both outputs."""
    app = typer.Typer()
    app.add_typer(budget, name="budget")
    told = CliRunner().invoke(app, ["budget", *arguments])
    return told.exit_code, told.stdout, told.stderr


async def fill(ledger: Ledger) -> None:
    """Two sessions: one with a limit."""
    day = Tally("day", 1_000_000_000)
    await ledger.tally(day)
    await ledger.tally(Tally("free [b]"))
    await ledger.settle("1", [day, Tally("free [b]")], 250_000_000, 125_000_000)
    await ledger.hold("2", [day], 500_000_000)


@pytest.fixture(params=["sqlite", "sqlite-url", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The arguments that name a ledger with these sessions."""

    async def filled(ledger: SqliteLedger | RedisLedger) -> None:
        async with ledger:
            await fill(ledger)

    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis")
        prefix = f"test-{uuid4().hex}"
        asyncio.run(filled(RedisLedger(redis.url, prefix=prefix)))
        return [redis.url, "--prefix", prefix]
    path = tmp_path / "budget.db"
    asyncio.run(filled(SqliteLedger(path)))
    return [f"sqlite:///{path}" if request.param == "sqlite-url" else str(path)]


def test_all_sessions_are_listed(where: list[str]) -> None:
    """With their limits and sums."""
    code, said, _ = run("list", *where)

    assert code == 0
    assert [line.split() for line in said.splitlines()] == [
        ["session", "limit", "spent", "uncertain", "reserved", "left"],
        ["day", "$1", "$0.25", "$0.125", "$0.50", "$0.125"],
        ["free", "[b]", "-", "$0.25", "$0.125", "$0", "-"],
    ]


def test_one_session_is_shown(where: list[str]) -> None:
    """The others are not."""
    code, said, _ = run("show", where[0], "day", *where[1:], "--json")

    assert code == 0
    assert len(run("show", where[0], "day", *where[1:])[1].splitlines()) == 2, "there is no history to show"
    assert json.loads(said) == {
        "sessions": [
            {
                "name": "day",
                "limit_usd": 1,
                "spent_usd": 0.25,
                "uncertain_usd": 0.125,
                "reserved_usd": 0.5,
                "remaining_usd": 0.125,
                "history": [],
            }
        ]
    }


def test_a_session_that_is_not_there_is_named(where: list[str]) -> None:
    """Exit code 1."""
    code, said, error = run("show", where[0], "night", *where[1:])

    assert (code, said) == (1, "")
    assert "'night'" in error


def test_a_ledger_that_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    """Exit code 2; looking for a file does not make it."""
    for place in (str(tmp_path / "missing.db"), f"redis://127.0.0.1:{free_port()}"):
        code, said, error = run("list", place)
        assert (code, said) == (2, "")
        assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["list"], ["show", "day"], ["set-limit", "day", "5"], ["release", "day"]])
@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_another_applications_database_is_refused_and_left_as_it_is(
    tmp_path: Path, mode: str, command: list[str]
) -> None:
    """Exit code 2: it gets no table, no version and no log of ours."""
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("CREATE TABLE tally (name TEXT)")
    before = file.read_bytes()

    code, said, error = run(command[0], str(file), *command[1:])

    assert (code, said) == (2, "")
    assert error.endswith("app.db: the file is no ledger\n")
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_an_empty_file_is_no_ledger_to_the_command(tmp_path: Path) -> None:
    """A SqliteLedger makes its tables in it; looking does not."""
    file = tmp_path / "empty.db"
    file.touch()

    code, _, error = run("list", str(file))

    assert (code, file.read_bytes()) == (2, b"")
    assert error.endswith("empty.db: the file is empty\n")


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    """Exit code 2, and the file stays as it was."""
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n" * 200)

    code, said, error = run("list", str(path))

    assert (code, said) == (2, "")
    assert "file is not a database" in error
    assert path.read_text() == "buy milk\n" * 200


def test_an_empty_ledger_says_so(tmp_path: Path) -> None:
    """And is no error."""

    async def make() -> None:
        async with SqliteLedger(tmp_path / "b.db") as ledger:
            await ledger.kept()

    asyncio.run(make())
    assert run("list", str(tmp_path / "b.db"))[:2] == (0, "no sessions\n")
    assert json.loads(run("list", str(tmp_path / "b.db"), "--json")[1]) == {"sessions": []}


def test_a_limit_is_changed_by_hand_and_the_change_is_shown(where: list[str]) -> None:
    """For all who share the name; a limit can be taken away, too."""
    place, *prefix = where
    first = run("set-limit", place, "day", "2.5", *prefix)
    second = run("set-limit", place, "day", "none", *prefix)
    code, said, _ = run("show", place, "day", *prefix)
    history = json.loads(run("show", place, "day", *prefix, "--json")[1])["sessions"][0]["history"]

    assert first == (0, "day: limit $1 -> $2.50\n", "")
    assert second == (0, "day: limit $2.50 -> none\n", "")
    assert code == 0
    assert [line.split()[1:] for line in said.splitlines()[-2:]] == [
        ["limit", "set", "$1", "$2.50"],
        ["limit", "set", "$2.50", "none"],
    ]
    assert [(change["event"], change["before_usd"], change["after_usd"]) for change in history] == [
        ("limit", 1, 2.5),
        ("limit", 2.5, None),
    ]
    assert history[0]["at"].endswith("Z")


def test_uncertain_money_is_released_by_hand(where: list[str]) -> None:
    """When the bill has come. What is spent and reserved stays."""
    place, *prefix = where
    code, said, _ = run("release", place, "day", *prefix)
    shown = json.loads(run("show", place, "day", *prefix, "--json")[1])["sessions"][0]

    assert code == 0
    assert said.splitlines()[1].split() == ["day", "$1", "$0.25", "$0", "$0.50", "$0.25"]
    assert (shown["spent_usd"], shown["uncertain_usd"], shown["reserved_usd"]) == (0.25, 0, 0.5)
    assert [(one["event"], one["before_usd"], one["after_usd"]) for one in shown["history"]] == [("release", 0.125, 0)]


@pytest.mark.parametrize("command", [["set-limit", "1"], ["release"], ["show"]])
def test_a_name_that_is_not_there_is_not_made(where: list[str], command: list[str]) -> None:
    """A name that was mistyped changes nothing: exit code 1."""
    code, said, error = run(command[0], where[0], "dya", *command[1:], *where[1:])

    assert (code, said) == (1, "")
    assert "'dya'" in error
    assert len(json.loads(run("list", *where, "--json")[1])["sessions"]) == 2


@pytest.mark.parametrize("amount", ["abc", "nan", "inf", "1e30", "", "$5"])
def test_what_is_no_amount_is_a_usage_error(where: list[str], amount: str) -> None:
    """In one line, exit code 2; nothing is changed."""
    code, said, error = run("set-limit", where[0], "day", amount, *where[1:])

    assert (code, said) == (2, "")
    assert len(error.splitlines()) == 1
    assert json.loads(run("show", where[0], "day", *where[1:], "--json")[1])["sessions"][0]["limit_usd"] == 1


def test_a_tenant_cannot_forge_rows_or_colours(tmp_path: Path) -> None:
    """Control characters in a name are spelled out, on the screen and in errors; JSON has them as they are."""
    name = "a\n-  $0\x1b[31m"

    async def fill() -> None:
        async with SqliteLedger(tmp_path / "b.db") as ledger:
            await ledger.settle("1", [Tally(name)], 1, 0)

    asyncio.run(fill())
    _, listed, _ = run("list", str(tmp_path / "b.db"))
    _, _, error = run("show", str(tmp_path / "b.db"), "\x1b[31m")

    assert len(listed.splitlines()) == 2
    assert r"a\x0a-" in listed
    assert r"\x1b[31m" in listed
    assert "\x1b" not in listed + error
    assert json.loads(run("list", str(tmp_path / "b.db"), "--json")[1])["sessions"][0]["name"] == name


@pytest.mark.parametrize(
    "where",
    [
        "redis://:s3cr3t-pw@127.0.0.1:1/0",
        "redis://user:s3cr3t-pw@127.0.0.1:1/0",
        "redis://127.0.0.1:1/0?password=s3cr3t-pw",
        "redis://:s3cr3t-pw/oops@127.0.0.1/0",
        "redis://:s3cr3t-pw@127.0.0.1:x/0",
        "redis://:s3cr3t-pw@127.0.0.1:1/0?protocol=x",
        "redis+tls://:s3cr3t-pw@127.0.0.1:1/0",
        "postgres://user:s3cr3t-pw@host/db",
    ],
)
@pytest.mark.parametrize("command", [["list"], ["show", "day"], ["set-limit", "day", "1"]])
def test_a_password_in_an_address_is_in_no_message(where: str, command: list[str]) -> None:
    """Nor in a traceback: there is none. Exit code 2."""
    code, said, error = run(command[0], where, *command[1:])

    assert (code, said) == (2, "")
    assert len(error.splitlines()) == 1
    assert "s3cr3t" not in error
