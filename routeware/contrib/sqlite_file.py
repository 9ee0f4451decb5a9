"""The questions to a ledger's file, and their answers. Synchronous, for one thread, inside a transaction.

A question reads and checks all that it needs before it writes anything, so one that is refused has changed nothing and
those that share its transaction go on. Sums are added in Python, whose whole numbers have no end; what does not fit
SQLite's 64 bits is an error, never a rounded number.
"""

from __future__ import annotations

import functools
import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum

import attrs

from routeware.budget import Balance, Tally, different_limit, refusal
from routeware.contrib.kept import HISTORY, Change, Kept
from routeware.contrib.receipts import ACKNOWLEDGED_S
from routeware.errors import PolicyError
from routeware.money import usd

__all__ = ["LedgerFile"]

_BIGGEST = 2**63 - 1
_LAPSED_S = 30 * 86400.0
"""The time by which a settlement may be late and still replace what a lapsed reservation left as uncertain."""
_SWEEP = 100
"""The most rows of a kind that one transaction tidies up."""


class _State(StrEnum):
    HELD = "held"
    LAPSED = "lapsed"
    SETTLED = "settled"


@attrs.frozen
class _Reservation:
    """The reservation of an id, open or settled.

    Attributes:
        marks: which tallies these were, in the order of their names: when each began and, once the reservation has
            lapsed, how often it had been released. One of the same name that began later owes it nothing.
    """

    state: _State
    nanos: int
    names: tuple[str, ...]
    marks: tuple[tuple[int, int], ...]

    def counts_in(self, place: int, row: _Row) -> bool:
        """Return True if ``row`` is the tally that the reservation counts in, in place ``place``."""
        if not self.marks:  # written before marks were
            return True
        born, releases = self.marks[place]
        return born == row.born and (self.state is _State.HELD or releases == row.releases)


@attrs.define
class _Row:
    """A tally as it is in the file. ``born`` is 0 where it is not there."""

    name: str
    limited: bool = False
    limit: int | None = None
    settled: int = 0
    uncertain: int = 0
    reserved: int = 0
    born: int = 0
    releases: int = 0
    replaced: bool = False

    @property
    def balance(self) -> Balance:
        return Balance(self.settled, self.uncertain, self.reserved)

    def must_fit(self, amount: int) -> None:
        """Refuse an amount that could not be added to each of the sums."""
        if max(abs(self.settled), abs(self.uncertain), abs(self.reserved)) + abs(amount) > _BIGGEST:
            raise OverflowError(f"a sum of session {self.name!r} would not fit in 64 bits")

    def add(self, settled: int, uncertain: int, reserved: int) -> None:
        """Add to the sums."""
        self.settled += settled
        self.uncertain += uncertain
        self.reserved += reserved
        if self.releases and self.uncertain < 0:
            self.uncertain = 0  # a correction of money that was released since: it is not there to be taken off again


class LedgerFile:
    """The answers of one ledger, over a connection to its file."""

    def __init__(self, connection: sqlite3.Connection, *, lease_s: float, life_s: float | None, known_s: float) -> None:
        """Answer questions with these settings.

        Args:
            connection: to a file with its tables.
            lease_s: how long a reservation lasts unless it is renewed.
            life_s: how long after its first use a tally is forgotten; ``None`` for never.
            known_s: how long a settled id is known unless it is acknowledged.
        """
        self._connection = connection
        self._lease_s = lease_s
        self._life_s = life_s
        self._known_s = known_s
        # The tallies as they are in this transaction: many of its questions are about the same few.
        self._rows: dict[str, _Row] = {}
        self._changed: dict[str, _Row] = {}

    def begin(self) -> None:
        """Begin a transaction, as soon as the file's lock is to be had.

        Raises:
            sqlite3.OperationalError: the lock was not free in time.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        self._rows.clear()
        self._changed.clear()

    def commit(self) -> None:
        """Write the tallies that were changed, each once, and commit."""
        for row in self._changed.values():
            self._write(row)
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Take back all that was done since :meth:`begin`."""
        self._connection.execute("ROLLBACK")

    def open_tally(self, tally: Tally) -> Balance:
        """Fix the tally's limit, or compare it with the one it has; return its balance."""
        row, limit = self._look(tally.name), _fitting(tally.limit_nanos)
        if row.limited and row.limit != limit:
            raise PolicyError(different_limit(tally.name, row.limit, limit), key="limit_usd")
        if not row.limited:
            self._change(row).limited, row.limit = True, limit
        return row.balance

    def hold(self, id: str, tallies: Sequence[Tally], nanos: int) -> list[Balance]:
        """Set aside ``nanos`` in every tally, or in none."""
        rows = [self._look(tally.name) for tally in tallies]
        if self._find(id) is not None:
            return [row.balance for row in rows]
        for row, tally in zip(rows, tallies, strict=True):
            committed = row.settled + row.uncertain + row.reserved
            # Once a limit was replaced, sessions that are open bring the old one.
            for limit in (row.limit, tally.cap_nanos if row.replaced else tally.limit_nanos):
                if limit is not None and committed + nanos > limit:
                    raise refusal(row.name, committed, limit, nanos)
            row.must_fit(nanos)
        for row in rows:
            self._change(row).add(0, 0, nanos)
        names, marks = tuple([row.name for row in rows]), tuple([(row.born, 0) for row in rows])
        self._keep(id, _Reservation(_State.HELD, nanos, names, marks), self._lease_s)
        return [row.balance for row in rows]

    def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int) -> list[Balance]:
        """Replace what ``id`` holds, or left as uncertain when its lease ended, by what it cost."""
        known = self._find(id)
        found = known or _Reservation(_State.HELD, 0, tuple([tally.name for tally in tallies]), ())
        if found.state is not _State.SETTLED:
            rows = [self._look(name) for name in found.names]
            for row in rows:
                row.must_fit(abs(settled) + abs(uncertain) + found.nanos)
            for place, row in enumerate(rows):
                nanos = found.nanos if found.counts_in(place, row) else 0
                lapsed = nanos if found.state is _State.LAPSED else 0
                self._change(row).add(settled, uncertain - lapsed, lapsed - nanos)
            if known is None:
                self._keep(id, attrs.evolve(found, state=_State.SETTLED), self._known_s)
            else:
                self._move(id, _State.SETTLED, self._known_s)
        return [self._look(tally.name).balance for tally in tallies]

    def set_limit(self, tally: Tally) -> Balance:
        """Give the tally this limit; one that replaces another is written to its history."""
        row, limit = self._look(tally.name), _fitting(tally.limit_nanos)
        if row.limited and row.limit != limit:
            self._note(row.name, "limit", row.limit, limit)
        self._change(row).limited, row.limit, row.replaced = True, limit, True
        return row.balance

    def release(self, name: str) -> Balance:
        """Take what is uncertain off the tally, and write that to its history."""
        row = self._look(name)
        if row.uncertain > 0:
            self._note(name, "release", row.uncertain, 0)
            self._change(row).uncertain = 0
            row.releases += 1
        return row.balance

    def history(self, name: str) -> list[Change]:
        """Return what was changed by hand, the oldest first."""
        rows = self._run("SELECT at, event, before, after FROM history WHERE name = ? ORDER BY number", name)
        return [Change(*row) for row in rows]

    def renew(self, ids: Iterable[str]) -> None:
        """Prolong the leases of what is still held."""
        until = time.time() + self._lease_s
        for id in ids:
            self._run("UPDATE reservation SET until = ? WHERE id = ? AND state = ?", until, id, _State.HELD)

    def forget(self, ids: Iterable[str]) -> None:
        """Keep settled ids for a minute more only: their clients have the answer, and will not ask again."""
        until = time.time() + ACKNOWLEDGED_S
        for id in ids:
            self._run("UPDATE reservation SET until = ? WHERE id = ? AND state = ?", until, id, _State.SETTLED)

    def kept(self, name: str | None) -> list[Kept]:
        """Return the tally of that name, or all of them, by name."""
        for row in self._changed.values():
            self._write(row)
        rows = self._run(
            f"{_TALLY} WHERE (? IS NULL OR name = ?) AND (expires IS NULL OR expires > ?) ORDER BY name",
            name,
            name,
            time.time(),
        )
        tallies = [_read(row) for row in rows]
        return [Kept(one.name, one.balance, limited=one.limited, limit_nanos=one.limit) for one in tallies]

    def sweep(self) -> None:
        """End the leases that are over, and delete what is not needed any more."""
        now = time.time()
        for (name,) in self._run("SELECT name FROM tally WHERE expires <= ? LIMIT ?", now, _SWEEP).fetchall():
            self._delete(name)
        due = self._run("SELECT id FROM reservation WHERE until < ? ORDER BY until LIMIT ?", now, _SWEEP).fetchall()
        for (id,) in due:
            found = self._find(id)
            if found is not None and found.state is _State.HELD:
                self._lapse(id, found)
            else:
                self._run("DELETE FROM reservation WHERE id = ?", id)

    def _lapse(self, id: str, found: _Reservation) -> None:
        rows = [self._look(name) for name in found.names]
        marks = []
        for place, row in enumerate(rows):
            if row.born and found.counts_in(place, row):
                self._change(row).add(0, found.nanos, -found.nanos)
            marks.append((found.marks[place][0] if found.marks else row.born, row.releases))
        self._keep(id, attrs.evolve(found, state=_State.LAPSED, marks=tuple(marks)), _LAPSED_S)

    def _look(self, name: str) -> _Row:
        row = self._rows.get(name)
        if row is None:
            found = self._run(f"{_TALLY} WHERE name = ?", name).fetchone()
            if found is not None and found[-1] is not None and found[-1] <= time.time():
                self._delete(name)
                found = None
            row = self._rows[name] = _Row(name) if found is None else _read(found)
        return row

    def _change(self, row: _Row) -> _Row:
        """Return ``row``, which will be written at the end; one that is not in the file yet begins now."""
        if not row.born:
            row.born = time.time_ns()
        self._changed[row.name] = row
        return row

    def _write(self, row: _Row) -> None:
        expires = None if self._life_s is None else row.born / 1e9 + self._life_s
        sums = (row.settled, row.uncertain, row.reserved)
        self._run(_WRITE, row.name, row.limited, row.limit, *sums, row.born, row.releases, row.replaced, expires)

    def _delete(self, name: str) -> None:
        self._run("DELETE FROM tally WHERE name = ?", name)
        self._run("DELETE FROM history WHERE name = ?", name)

    def _note(self, name: str, event: str, before: int | None, after: int | None) -> None:
        self._run(
            "INSERT INTO history (name, at, event, before, after) VALUES (?, ?, ?, ?, ?)",
            name,
            time.time(),
            event,
            before,
            after,
        )
        self._run(
            "DELETE FROM history WHERE name = ? AND number <="
            " (SELECT number FROM history WHERE name = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
            name,
            name,
            HISTORY,
        )

    def _find(self, id: str) -> _Reservation | None:
        row = self._run("SELECT state, nanos, names, marks FROM reservation WHERE id = ?", id).fetchone()
        if row is None:
            return None
        state, nanos, names, marks = row
        return _Reservation(_State(state), nanos, *_loaded(names, marks))

    def _keep(self, id: str, one: _Reservation, for_s: float) -> None:
        self._run(
            "INSERT OR REPLACE INTO reservation (id, state, nanos, names, marks, until) VALUES (?, ?, ?, ?, ?, ?)",
            id,
            one.state,
            one.nanos,
            _dumped(one.names),
            _dumped(one.marks),
            time.time() + for_s,
        )

    def _move(self, id: str, state: _State, for_s: float) -> None:
        self._run("UPDATE reservation SET state = ?, until = ? WHERE id = ?", state, time.time() + for_s, id)

    def _run(self, statement: str, *values: str | float | None) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)


_TALLY = "SELECT name, limited, limit_nanos, settled, uncertain, reserved, born, releases, replaced, expires FROM tally"
_WRITE = """
INSERT INTO tally (name, limited, limit_nanos, settled, uncertain, reserved, born, releases, replaced, expires)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    limited = excluded.limited, limit_nanos = excluded.limit_nanos, settled = excluded.settled,
    uncertain = excluded.uncertain, reserved = excluded.reserved, releases = excluded.releases,
    replaced = excluded.replaced
"""
"""A tally's start and end are fixed by its first row."""


def _read(row: tuple[str, int, int | None, int, int, int, int, int, int, float | None]) -> _Row:
    name, limited, limit, settled, uncertain, reserved, born, releases, replaced, _ = row
    return _Row(name, bool(limited), limit, settled, uncertain, reserved, born, releases, bool(replaced))


# Most reservations of a process are in the same few tallies.
_dumped = functools.lru_cache(json.dumps)


@functools.lru_cache
def _loaded(names: str, marks: str) -> tuple[tuple[str, ...], tuple[tuple[int, int], ...]]:
    return tuple(json.loads(names)), tuple((born, releases) for born, releases in json.loads(marks))


def _fitting(limit: int | None) -> int | None:
    if limit is not None and limit > _BIGGEST:
        raise PolicyError(f"${usd(limit):g} does not fit: this ledger keeps up to ${usd(_BIGGEST):g}", key="limit_usd")
    return limit
