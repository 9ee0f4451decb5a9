"""Questions that wait for a ledger's file share a transaction: fewer of them, and no question harms another."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from routeware import BudgetExceededError, LedgerUnavailableError, PolicyError
from routeware.budget import Balance, Tally
from routeware.contrib.sqlite import SqliteLedger
from routeware.contrib.sqlite_file import LedgerFile
from routeware.contrib.sqlite_tables import connect
from routeware.testing.ledgers import an_id, fresh


class Transactions:
    """How many there were, and how many questions of these tallies each answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        begin, hold = LedgerFile.begin, LedgerFile.hold

        def counting_begin(file: LedgerFile) -> None:
            begin(file)
            self.sizes.append(0)

        def counting_hold(file: LedgerFile, *arguments: Any) -> list[Balance]:
            self.sizes[-1] += 1
            return hold(file, *arguments)

        monkeypatch.setattr(LedgerFile, "begin", counting_begin)
        monkeypatch.setattr(LedgerFile, "hold", counting_hold)


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> Transactions:
    """All that a ledger's thread begins from now on."""
    return Transactions(monkeypatch)


async def test_questions_that_wait_share_one_transaction(tmp_path: Path, transactions: Transactions) -> None:
    """Whoever holds the lock meanwhile: when it is free, all are answered at once, at most 100 together."""
    path = tmp_path / "b.db"
    async with SqliteLedger(path) as ledger:
        tally = fresh(1000)
        await ledger.tally(tally)
        transactions.sizes.clear()
        locker = sqlite3.connect(path, isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        holding = asyncio.gather(*(ledger.hold(an_id(), [tally], 1) for _ in range(250)))
        await asyncio.sleep(0.1)
        locker.execute("COMMIT")
        locker.close()

        balances = await holding
        assert sum(transactions.sizes) == 250
        assert max(transactions.sizes) <= 100
        assert len(transactions.sizes) <= 5
        assert sorted(balance.reserved for [balance] in balances) == list(range(1, 251))


async def test_a_question_that_is_refused_does_not_take_the_others_back(tmp_path: Path) -> None:
    """Over a limit, under another limit, too large: each has its own answer."""
    async with SqliteLedger(tmp_path / "b.db") as ledger:
        good, full = fresh(100), fresh(5)
        await ledger.tally(good)
        answers = await asyncio.gather(
            ledger.hold(an_id(), [good], 10),
            ledger.hold(an_id(), [good, full], 10),
            ledger.tally(Tally(good.name, 7)),
            ledger.settle(an_id(), [good, full], 2**63, 0),
            ledger.hold(an_id(), [good], 10),
            return_exceptions=True,
        )

        kinds = [type(answer) for answer in answers]
        assert kinds == [list, BudgetExceededError, PolicyError, OverflowError, list]
        assert await ledger.tally(good) == Balance(reserved=20)


async def test_a_question_that_breaks_in_the_middle_is_taken_back_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are asked again, each in a transaction of its own."""
    real = LedgerFile.settle

    def breaking(file: LedgerFile, id: str, tallies: Sequence[Tally], settled: int, uncertain: int) -> list[Balance]:
        balances = real(file, id, tallies, settled, uncertain)
        if settled == 13:
            raise ZeroDivisionError
        return balances

    monkeypatch.setattr(LedgerFile, "settle", breaking)
    async with SqliteLedger(tmp_path / "b.db") as ledger:
        tally = fresh()
        await ledger.tally(tally)
        settling = [ledger.settle(an_id(), [tally], amount, 0) for amount in (1, 13, 2, 13, 4)]
        answers = await asyncio.gather(*settling, return_exceptions=True)

        assert [type(answer) for answer in answers] == [list, ZeroDivisionError, list, ZeroDivisionError, list]
        assert await ledger.tally(tally) == Balance(settled=7)


async def test_a_file_that_breaks_fails_all_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, for one: then no answer is known to be true. The next transaction begins anew."""
    real, failing = LedgerFile.commit, [True]

    def broken(file: LedgerFile) -> None:
        if failing:
            raise sqlite3.OperationalError("disk I/O error")
        real(file)

    async with SqliteLedger(tmp_path / "b.db") as ledger:
        tally = fresh()
        await ledger.tally(tally)
        monkeypatch.setattr(LedgerFile, "commit", broken)
        settling = [ledger.settle(an_id(), [tally], 1, 0) for _ in range(3)]
        answers = await asyncio.gather(*settling, return_exceptions=True)
        failing.clear()

        assert all(isinstance(answer, LedgerUnavailableError) for answer in answers)
        assert await ledger.tally(tally) == Balance()


async def test_a_question_that_breaks_by_itself_raises_what_it_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nobody to separate it from."""

    def breaking(*_arguments: Any) -> list[Balance]:
        raise ZeroDivisionError

    monkeypatch.setattr(LedgerFile, "settle", breaking)
    async with SqliteLedger(tmp_path / "b.db") as ledger:
        with pytest.raises(ZeroDivisionError):
            await ledger.settle(an_id(), [fresh()], 1, 0)
        assert await ledger.tally(fresh()) == Balance()


async def test_a_listing_shows_what_was_asked_just_before_it(tmp_path: Path) -> None:
    """In the same transaction."""
    async with SqliteLedger(tmp_path / "b.db") as ledger:
        tally = fresh()
        await ledger.tally(tally)
        _, kept = await asyncio.gather(ledger.settle(an_id(), [tally], 5, 0), ledger.kept())

        assert [one.balance for one in kept] == [Balance(settled=5)]


async def test_a_tally_that_has_ended_and_was_not_swept_yet_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More may end at once than one transaction tidies up."""
    monkeypatch.setattr("routeware.contrib.sqlite_file._SWEEP", 0)
    async with SqliteLedger(tmp_path / "b.db", expire_s=0.05) as ledger:
        tally = fresh(100)
        await ledger.tally(tally)
        await ledger.settle(an_id(), [tally], 5, 0)
        await asyncio.sleep(0.1)

        assert await ledger.kept() == []
        assert await ledger.tally(Tally(tally.name, 7)) == Balance()


async def test_closing_does_not_wait_long_for_a_file_that_is_locked(tmp_path: Path) -> None:
    """What the file is not told that it may forget, it forgets by itself, later."""
    path = tmp_path / "b.db"
    async with SqliteLedger(path, timeout_s=30) as ledger:
        tally, id = fresh(), an_id()
        await ledger.hold(id, [tally], 1)
        await ledger.settle(id, [tally], 1, 0)
        locker = sqlite3.connect(path, isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        await ledger.aclose()

        assert time.monotonic() - began < 20
        locker.execute("ROLLBACK")
        locker.close()
        assert list(await ledger.settle(id, [tally], 1, 0)) == [Balance(settled=1)]


async def test_an_answer_for_a_loop_that_is_closed_is_nobodys(tmp_path: Path) -> None:
    """The thread goes on, and answers the other loops."""
    path = tmp_path / "b.db"
    async with SqliteLedger(path) as ledger:
        tally = fresh()
        await ledger.tally(tally)
        locker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        locker.execute("BEGIN IMMEDIATE")

        def elsewhere() -> None:
            loop = asyncio.new_event_loop()
            settling = loop.create_task(ledger.settle(an_id(), [tally], 5, 0))
            loop.run_until_complete(asyncio.sleep(0.05))
            settling.cancel()
            loop.run_until_complete(asyncio.wait([settling]))
            loop.close()

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        here = asyncio.create_task(ledger.settle(an_id(), [tally], 1, 0))
        await asyncio.sleep(0.05)
        locker.execute("COMMIT")
        locker.close()

        assert (await here)[0].settled in {1, 6}


VERSION_0 = """
CREATE TABLE tally (
    name TEXT PRIMARY KEY, limited INTEGER NOT NULL DEFAULT 0, limit_nanos INTEGER, settled INTEGER NOT NULL DEFAULT 0,
    uncertain INTEGER NOT NULL DEFAULT 0, reserved INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE reservation (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, nanos INTEGER NOT NULL, names TEXT NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX reservation_until ON reservation (until);
INSERT INTO tally VALUES ('day', 1, 100, 5, 20, 30);
INSERT INTO reservation VALUES ('held', 'held', 20, '["day"]', 9e9), ('ended', 'held', 10, '["day"]', 1),
    ('lapsed', 'lapsed', 20, '["day"]', 9e9), ('settled', 'settled', 5, '["day"]', 9e9);
"""


async def test_a_file_of_the_first_version_goes_on(tmp_path: Path) -> None:
    """With its sums, limits and open reservations."""
    connection = sqlite3.connect(tmp_path / "b.db")
    connection.executescript(VERSION_0)
    connection.close()

    async with SqliteLedger(tmp_path / "b.db", expire_s=1000) as ledger:
        tally = Tally("day", 100)
        assert await ledger.tally(tally) == Balance(5, 30, 20), "one lease has ended"
        assert list(await ledger.settle("settled", [tally], 5, 0)) == [Balance(5, 30, 20)]
        assert list(await ledger.settle("lapsed", [tally], 1, 0)) == [Balance(6, 10, 20)]
        assert list(await ledger.settle("ended", [tally], 1, 0)) == [Balance(7, 0, 20)]
        assert list(await ledger.settle("held", [tally], 1, 0)) == [Balance(8, 0, 0)]
        await ledger.set_limit(Tally("day", 200))
        assert len(await ledger.history("day")) == 1


async def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """Its tables may mean something else."""
    connection = sqlite3.connect(tmp_path / "b.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    async with SqliteLedger(tmp_path / "b.db") as ledger:
        with pytest.raises(LedgerUnavailableError, match="later version"):
            await ledger.tally(fresh())


OPENING = """
import asyncio, sys
from routeware.budget import Tally
from routeware.contrib.sqlite import SqliteLedger

async def main():
    sys.stdin.readline()
    async with SqliteLedger(sys.argv[1], timeout_s=30) as ledger:
        for number in range(20):
            await ledger.settle(f"{sys.argv[2]}/{number}", [Tally("day")], 1, 0)

print("ready", flush=True)
asyncio.run(main())
"""


def test_several_processes_may_make_the_file_at_once(tmp_path: Path) -> None:
    """One of them makes the tables, the others wait for it."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPENING, str(tmp_path / "b.db"), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=50)[1] for process in started] == [""] * 4
    connection = sqlite3.connect(tmp_path / "b.db")
    assert connection.execute("SELECT settled FROM tally").fetchall() == [(80,)]
    connection.close()


def test_a_file_that_is_locked_while_it_is_made_is_waited_for(tmp_path: Path) -> None:
    """Also by the statement that switches the write-ahead log on, which does not wait of itself."""
    locker = sqlite3.connect(tmp_path / "b.db", isolation_level=None, check_same_thread=False)
    locker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        connect(str(tmp_path / "b.db"), 0.05, create=True)

    freeing = threading.Timer(0.3, lambda: locker.execute("COMMIT"))
    freeing.start()
    # SQLite itself gives up at once, again and again: its own patience is not what this is about.
    with pytest.MonkeyPatch.context() as patched:
        real = sqlite3.connect
        patched.setattr(sqlite3, "connect", lambda *args, **more: real(*args, **{**more, "timeout": 0}))
        connection = connect(str(tmp_path / "b.db"), 30, create=True)
    freeing.join()

    assert connection.execute("SELECT count(*) FROM tally").fetchone() == (0,)
    connection.close()
    locker.close()
