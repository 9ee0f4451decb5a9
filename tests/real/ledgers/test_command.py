"""``routeware budget``: what a ledger holds, on the screen and as JSON."""

from __future__ import annotations

import asyncio
import json
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
    assert json.loads(said) == {
        "sessions": [
            {
                "name": "day",
                "limit_usd": 1,
                "spent_usd": 0.25,
                "uncertain_usd": 0.125,
                "reserved_usd": 0.5,
                "remaining_usd": 0.125,
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


def test_an_empty_ledger_says_so(tmp_path: Path) -> None:
    """And is no error."""

    async def make() -> None:
        async with SqliteLedger(tmp_path / "b.db") as ledger:
            await ledger.kept()

    asyncio.run(make())
    assert run("list", str(tmp_path / "b.db"))[:2] == (0, "no sessions\n")
    assert json.loads(run("list", str(tmp_path / "b.db"), "--json")[1]) == {"sessions": []}
