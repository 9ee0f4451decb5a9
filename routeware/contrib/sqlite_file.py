"""The file of a ledger: its tables, and what one transaction does. Synchronous, for one thread.

Sums are added in Python, whose whole numbers have no end; what does not fit SQLite's 64 bits is an error there, never a
rounded number.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import attrs

from routeware.budget import Balance, Tally, different_limit, refusal
from routeware.contrib.kept import Kept
from routeware.errors import PolicyError
from routeware.money import usd

__all__ = ["Kept", "LedgerFile"]

T = TypeVar("T")

_BIGGEST = 2**63 - 1
_SETTLED_S = 3600.0
"""How long an id that was settled is known, to tell who asks twice."""
_LAPSED_S = 30 * 86400.0
"""How long a settlement may be late and still replace what a lapsed reservation left as uncertain."""
_SWEEP = 100
"""How many reservations one request tidies up at most."""

_TABLES = """
CREATE TABLE IF NOT EXISTS tally (
    name TEXT PRIMARY KEY,
    limited INTEGER NOT NULL DEFAULT 0,
    limit_nanos INTEGER,
    settled INTEGER NOT NULL DEFAULT 0,
    uncertain INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservation (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    nanos INTEGER NOT NULL,
    names TEXT NOT NULL,
    until REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservation_until ON reservation (until);
"""


class _State(StrEnum):
    HELD = "held"
    LAPSED = "lapsed"
    SETTLED = "settled"


@attrs.frozen
class _Reservation:
    state: _State
    nanos: int
    names: tuple[str, ...]


class LedgerFile:
    """The tables of a ledger. All of it is called in one thread, each request inside :meth:`transact`."""

    def __init__(self, path: str, timeout_s: float, *, create: bool) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._create = create
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let the file go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def transact(self, question: Callable[[LedgerFile], T], until: float) -> T:
        """Answer one question in one transaction: all that it changes, or nothing.

        Args:
            question: what is asked.
            until: when nobody waits for the answer any more, on the monotonic clock: nothing is changed then.

        Raises:
            sqlite3.Error: the file cannot be read or written, or its lock was not to be had in time.
            Exception: what the question raises.
        """
        connection = self._connected()
        _begin(connection, until)
        try:
            self._sweep()
            answer = question(self)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return answer

    def open_tally(self, tally: Tally) -> Balance:
        """Fix the tally's limit, or compare it with the one it has; what it stands at."""
        limit = tally.limit_nanos
        if limit is not None and limit > _BIGGEST:
            raise PolicyError(
                f"${usd(limit):g} does not fit: this ledger keeps up to ${usd(_BIGGEST):g}", key="limit_usd"
            )
        kept = self._kept(tally.name)
        if not kept.limited:
            self._run(
                "INSERT INTO tally (name, limited, limit_nanos) VALUES (?, 1, ?)"
                " ON CONFLICT (name) DO UPDATE SET limited = 1, limit_nanos = excluded.limit_nanos",
                tally.name,
                limit,
            )
        elif kept.limit_nanos != limit:
            raise PolicyError(different_limit(tally.name, kept.limit_nanos, limit), key="limit_usd")
        return kept.balance

    def hold(self, id: str, tallies: Sequence[Tally], nanos: int, lease_s: float) -> list[Balance]:
        """Set aside ``nanos`` in every tally, or in none."""
        balances = [self._kept(tally.name).balance for tally in tallies]
        if self._find(id) is not None:
            return balances
        for tally, balance in zip(tallies, balances, strict=True):
            if tally.limit_nanos is not None and balance.committed + nanos > tally.limit_nanos:
                raise refusal(tally.name, balance.committed, tally.limit_nanos, nanos)
        names = tuple(tally.name for tally in tallies)
        self._keep(id, _Reservation(_State.HELD, nanos, names), time.time() + lease_s)
        return [self._add(name, reserved=nanos) for name in names]

    def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int) -> list[Balance]:
        """Replace what ``id`` holds, or left as uncertain when its lease ended, by what it cost."""
        found = self._find(id) or _Reservation(_State.HELD, 0, tuple(tally.name for tally in tallies))
        if found.state is not _State.SETTLED:
            lapsed = found.nanos if found.state is _State.LAPSED else 0
            for name in found.names:
                self._add(name, settled=settled, uncertain=uncertain - lapsed, reserved=lapsed - found.nanos)
            self._keep(id, attrs.evolve(found, state=_State.SETTLED), time.time() + _SETTLED_S)
        return [self._kept(tally.name).balance for tally in tallies]

    def renew(self, ids: Iterable[str], lease_s: float) -> None:
        """Prolong the leases of what is still held."""
        until = time.time() + lease_s
        for id in ids:
            self._run("UPDATE reservation SET until = ? WHERE id = ? AND state = ?", until, id, _State.HELD)

    def kept(self) -> list[Kept]:
        """All tallies, by name."""
        return [_read(row) for row in self._run(f"{_TALLIES} ORDER BY name")]

    def _sweep(self) -> None:
        now = time.time()
        due = self._run("SELECT id FROM reservation WHERE until < ? ORDER BY until LIMIT ?", now, _SWEEP).fetchall()
        for (id,) in due:
            found = self._find(id)
            if found is not None and found.state is _State.HELD:
                for name in found.names:
                    self._add(name, uncertain=found.nanos, reserved=-found.nanos)
                self._keep(id, attrs.evolve(found, state=_State.LAPSED), now + _LAPSED_S)
            else:
                self._run("DELETE FROM reservation WHERE id = ?", id)

    def _find(self, id: str) -> _Reservation | None:
        row = self._run("SELECT state, nanos, names FROM reservation WHERE id = ?", id).fetchone()
        return None if row is None else _Reservation(_State(row[0]), row[1], tuple(json.loads(row[2])))

    def _keep(self, id: str, one: _Reservation, until: float) -> None:
        values = (id, one.state, one.nanos, json.dumps(one.names), until)
        self._run("INSERT OR REPLACE INTO reservation (id, state, nanos, names, until) VALUES (?, ?, ?, ?, ?)", *values)

    def _kept(self, name: str) -> Kept:
        row = self._run(f"{_TALLIES} WHERE name = ?", name).fetchone()
        return Kept(name, Balance(), limited=False, limit_nanos=None) if row is None else _read(row)

    def _add(self, name: str, *, settled: int = 0, uncertain: int = 0, reserved: int = 0) -> Balance:
        before = self._kept(name).balance
        after = Balance(before.settled + settled, before.uncertain + uncertain, before.reserved + reserved)
        self._run(
            "INSERT INTO tally (name, settled, uncertain, reserved) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
            " SET settled = excluded.settled, uncertain = excluded.uncertain, reserved = excluded.reserved",
            name,
            *attrs.astuple(after),
        )
        return after

    def _run(self, statement: str, *values: str | float | None) -> sqlite3.Cursor:
        return self._connected().execute(statement, values)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            mode = "rwc" if self._create else "rw"
            uri = f"{Path(self._path).absolute().as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, timeout=self._timeout_s, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(_TABLES)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def _begin(connection: sqlite3.Connection, until: float) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if time.monotonic() > until:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("the lock was not to be had in time")


_TALLIES = "SELECT name, limited, limit_nanos, settled, uncertain, reserved FROM tally"


def _read(row: tuple[str, int, int | None, int, int, int]) -> Kept:
    name, limited, limit, settled, uncertain, reserved = row
    return Kept(name, Balance(settled, uncertain, reserved), limited=bool(limited), limit_nanos=limit)
