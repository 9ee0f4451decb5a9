"""The ledger in a file passes what every ledger has to, and outlives what holds it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

import routeware
from routeware import LedgerUnavailableError
from routeware.budget import Balance, Tally
from routeware.contrib.sqlite import SqliteLedger
from routeware.testing.ledgers import LedgerSuite, an_id, fresh
from tests.fakes.providers import answers, reports, script
from tests.real.ledgers.waiting import comes_to


class TestSqliteLedger(LedgerSuite):
    biggest_limit = 2**63 - 1

    @pytest.fixture(autouse=True)
    def somewhere(self, tmp_path: Path) -> None:
        self.path = tmp_path / "budget.db"

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[SqliteLedger]:
        async with SqliteLedger(self.path) as ledger:
            yield ledger


async def test_what_was_spent_is_still_known_after_a_restart(tmp_path: Path) -> None:
    """A day's budget survives the process."""
    path = tmp_path / "budget.db"
    for spent in (0.25, 0.5):
        async with SqliteLedger(path) as ledger, routeware.session("day", limit_usd=1, ledger=ledger) as spending:
            await script(a=reports(0.25, answers(0))).ask(usd={"a": 0.5})()
        assert (spending.spent_usd, spending.reserved_usd) == (spent, 0)

    async with SqliteLedger(path) as ledger, routeware.session("day", limit_usd=1, ledger=ledger):
        with pytest.raises(routeware.BudgetExceededError):
            await script(a=answers(0)).ask(usd={"a": 0.51})()


async def test_a_reservation_without_its_process_becomes_uncertain(tmp_path: Path) -> None:
    """Its lease ends, whoever looks next; until then it counts as reserved."""
    async with SqliteLedger(tmp_path / "b.db", lease_s=1) as gone, SqliteLedger(tmp_path / "b.db") as ledger:
        tally, id = fresh(100), an_id()
        await gone.hold(id, [tally], 60)
        assert await ledger.tally(tally) == Balance(reserved=60)
        await gone.leases.stop()

        await comes_to(ledger, tally, Balance(uncertain=60))
        assert list(await ledger.hold(id, [tally], 60)) == [Balance(uncertain=60)], "it is still known"
        for _ in range(2):
            assert list(await gone.settle(id, [tally], 25, 0)) == [Balance(settled=25)], "late, and true"


async def test_a_reservation_is_renewed_while_its_process_lives(tmp_path: Path) -> None:
    """However long the attempt takes; a timer is armed only while something is held."""
    async with SqliteLedger(tmp_path / "b.db", lease_s=1.5) as ledger:
        tally, id = fresh(100), an_id()
        await ledger.hold(id, [tally], 60)
        await asyncio.sleep(2)

        assert await ledger.tally(tally) == Balance(reserved=60)
        await ledger.settle(id, [tally], 25, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_settled_id_is_forgotten_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file grows with what is open, not with what was."""
    monkeypatch.setattr("routeware.contrib.sqlite_file.ACKNOWLEDGED_S", 0.0)
    async with SqliteLedger(tmp_path / "b.db") as ledger:
        tally = fresh()
        for _ in range(5):
            id = an_id()
            await ledger.hold(id, [tally], 1)
            await ledger.settle(id, [tally], 1, 0)
        await ledger.tally(tally)  # the last one is acknowledged with it
        await asyncio.sleep(0.01)
        await ledger.tally(tally)

    with sqlite3.connect(tmp_path / "b.db") as connection:
        assert connection.execute("SELECT count(*) FROM reservation").fetchone() == (0,)
    connection.close()


async def test_a_locked_file_is_a_ledger_that_cannot_be_asked_in_time(tmp_path: Path) -> None:
    """The loop runs on meanwhile; nobody waits longer than the time-out."""
    path = tmp_path / "b.db"
    async with SqliteLedger(path, timeout_s=0.2) as ledger:
        tally = fresh()
        await ledger.tally(tally)
        locker = sqlite3.connect(path, isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        turns = 0
        began = time.monotonic()

        async def count() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.005)
                turns += 1

        counting = asyncio.create_task(count())
        with pytest.raises(LedgerUnavailableError):
            await ledger.hold(an_id(), [tally], 1)
        took = time.monotonic() - began
        counting.cancel()
        locker.execute("ROLLBACK")
        locker.close()

        assert took < 3, "and SQLite itself would wait for ever"
        assert turns > 2, "the loop is not blocked"
        await comes_to(ledger, tally, Balance())


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """SQLite itself says only that it cannot open the file."""
    async with SqliteLedger(tmp_path / "data" / "budget.db") as ledger:
        with pytest.raises(LedgerUnavailableError, match=r"budget\.db: .*: there is no folder 'data'$"):
            await ledger.tally(Tally("t", None))


async def test_a_file_that_is_none_is_a_ledger_that_cannot_be_asked(tmp_path: Path) -> None:
    """A folder, a text, and one that is not there and must not be made; each error names the file."""
    (tmp_path / "text").write_text("no database at all, but a text that is long enough to be read as one" * 20)
    for name, create in ((".", True), ("text", True), ("missing", False), ("no/such/folder", True)):
        async with SqliteLedger(tmp_path / name, create=create) as ledger:
            with pytest.raises(LedgerUnavailableError) as raised:
                await ledger.tally(Tally("day"))
            assert str(tmp_path / name) in str(raised.value)


async def test_another_applications_database_is_no_ledger(tmp_path: Path) -> None:
    """Its tables and its version are its owner's; an empty file becomes a ledger."""
    (tmp_path / "empty.db").touch()
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("CREATE TABLE orders (id TEXT)")
    before = (tmp_path / "app.db").read_bytes()

    async with SqliteLedger(tmp_path / "app.db") as ledger:
        with pytest.raises(LedgerUnavailableError, match=r"app\.db: the file is no ledger$"):
            await ledger.tally(Tally("day"))
    async with SqliteLedger(tmp_path / "empty.db") as ledger:
        assert await ledger.tally(Tally("day")) == Balance()

    assert (tmp_path / "app.db").read_bytes() == before


async def test_amounts_beyond_64_bits_change_nothing(tmp_path: Path) -> None:
    """They are an error, not a rounded number."""
    async with SqliteLedger(tmp_path / "b.db") as ledger:
        tally = fresh()
        with pytest.raises(OverflowError):
            await ledger.settle(an_id(), [tally], 2**63, 0)
        assert await ledger.tally(tally) == Balance()


async def test_it_may_be_used_again_after_it_was_closed(tmp_path: Path) -> None:
    """And on another loop: a ledger may be made where modules are."""
    ledger, tally = SqliteLedger(tmp_path / "b.db"), fresh()
    await ledger.settle(an_id(), [tally], 1, 0)
    await ledger.aclose()
    await ledger.aclose()

    def elsewhere() -> None:
        asyncio.run(_settle_and_close(ledger, tally))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)

    assert await ledger.tally(tally) == Balance(settled=2)
    await ledger.aclose()


async def _settle_and_close(ledger: SqliteLedger, tally: Tally) -> None:
    await ledger.settle(an_id(), [tally], 1, 0)
    await ledger.aclose()


async def test_a_forked_process_opens_the_file_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has neither its parent's thread nor the right to use its connection."""
    async with SqliteLedger(tmp_path / "b.db") as ledger:
        tally = fresh()
        await ledger.settle(an_id(), [tally], 1, 0)
        parents = ledger._opened()
        with monkeypatch.context() as forked:
            forked.setattr("os.getpid", lambda: -1)
            await ledger.settle(an_id(), [tally], 1, 0)
            assert ledger._opened() is not parents
            await ledger.aclose()
        assert await ledger.tally(tally) == Balance(settled=2)
    await parents.aclose()


async def test_all_tallies_can_be_listed(tmp_path: Path) -> None:
    """With their limits, in the order of their names."""
    async with SqliteLedger(tmp_path / "b.db") as ledger:
        await ledger.tally(Tally("b", 5))
        await ledger.settle(an_id(), [Tally("c")], 7, 0)
        await ledger.tally(Tally("a"))

        kept = await ledger.kept()

    assert [(one.name, one.limited, one.limit_nanos, one.balance.settled) for one in kept] == [
        ("a", True, None, 0),
        ("b", True, 5, 0),
        ("c", False, None, 7),
    ]
