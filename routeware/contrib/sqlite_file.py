"""What is asked of a ledger's file: the answers to each question. Synchronous, for one thread, inside a transaction.

A question reads and checks all that it needs before it writes anything, so one that is refused has changed nothing and
those that share its transaction go on. Sums are added in Python, whose whole numbers have no end; what does not fit
SQLite's 64 bits is an error, never a rounded number.
"""

from __future__ import annotations

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
"""How long a settlement may be late and still replace what a lapsed reservation left as uncertain."""
_SWEEP = 100
"""How many rows of a kind one transaction tidies up at most."""


class _State(StrEnum):
    HELD = "held"
    LAPSED = "lapsed"
    SETTLED = "settled"


@attrs.frozen
class _Reservation:
    """What an id holds, or held.

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


@attrs.frozen
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

    @property
    def balance(self) -> Balance:
        return Balance(self.settled, self.uncertain, self.reserved)

    def plus(self, settled: int, uncertain: int, reserved: int) -> _Row:
        """Return the row with these amounts added.

        Raises:
            OverflowError: a sum does not fit.
        """
        total = self.uncertain + uncertain
        if self.releases and total < 0:
            total = 0  # a correction of money that was released since: it is not there to be taken off again
        after = attrs.evolve(self, settled=self.settled + settled, uncertain=total, reserved=self.reserved + reserved)
        if any(abs(amount) > _BIGGEST for amount in (after.settled, after.uncertain, after.reserved)):
            raise OverflowError(f"a sum of session {self.name!r} would not fit in 64 bits")
        return after


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

    def open_tally(self, tally: Tally) -> Balance:
        """Fix the tally's limit, or compare it with the one it has; return what it stands at."""
        row = self._look(tally.name)
        limit = _fitting(tally.limit_nanos)
        if not row.limited:
            self._write(attrs.evolve(row, limited=True, limit=limit))
        elif row.limit != limit:
            raise PolicyError(different_limit(tally.name, row.limit, limit), key="limit_usd")
        return row.balance

    def hold(self, id: str, tallies: Sequence[Tally], nanos: int) -> list[Balance]:
        """Set aside ``nanos`` in every tally, or in none."""
        rows = [self._look(tally.name) for tally in tallies]
        if self._find(id) is not None:
            return [row.balance for row in rows]
        for row, tally in zip(rows, tallies, strict=True):
            for limit in (row.limit if row.limited else None, tally.limit_nanos):
                if limit is not None and row.balance.committed + nanos > limit:
                    raise refusal(row.name, row.balance.committed, limit, nanos)
        after = [self._write(row) for row in [row.plus(0, 0, nanos) for row in rows]]
        marks = tuple((row.born, 0) for row in after)
        names = tuple(row.name for row in after)
        self._keep(id, _Reservation(_State.HELD, nanos, names, marks), self._lease_s)
        return [row.balance for row in after]

    def settle(self, id: str, tallies: Sequence[Tally], settled: int, uncertain: int) -> list[Balance]:
        """Replace what ``id`` holds, or left as uncertain when its lease ended, by what it cost."""
        found = self._find(id) or _Reservation(_State.HELD, 0, tuple(tally.name for tally in tallies), ())
        if found.state is not _State.SETTLED:
            after = []
            for place, name in enumerate(found.names):
                row = self._look(name)
                nanos = found.nanos if found.counts_in(place, row) else 0
                lapsed = nanos if found.state is _State.LAPSED else 0
                after.append(row.plus(settled, uncertain - lapsed, lapsed - nanos))
            for row in after:
                self._write(row)
            self._keep(id, attrs.evolve(found, state=_State.SETTLED), self._known_s)
        return [self._look(tally.name).balance for tally in tallies]

    def set_limit(self, tally: Tally) -> Balance:
        """Give the tally this limit; one that replaces another is written to its history."""
        row, limit = self._look(tally.name), _fitting(tally.limit_nanos)
        if not row.limited or row.limit != limit:
            self._write(attrs.evolve(row, limited=True, limit=limit))
        if row.limited and row.limit != limit:
            self._note(row.name, "limit", row.limit, limit)
        return row.balance

    def release(self, name: str) -> Balance:
        """Take what is uncertain off the tally, and write that to its history."""
        row = self._look(name)
        if row.uncertain <= 0:
            return row.balance
        self._note(name, "release", row.uncertain, 0)
        return self._write(attrs.evolve(row, uncertain=0, releases=row.releases + 1)).balance

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
        rows = self._run(
            f"{_TALLY} WHERE (?1 IS NULL OR name = ?1) AND (expires IS NULL OR expires > ?2) ORDER BY name",
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
        for place, row in enumerate(rows):
            if row.born and found.counts_in(place, row):
                self._write(row.plus(0, found.nanos, -found.nanos))
        marks = tuple(
            (found.marks[place][0] if found.marks else row.born, row.releases) for place, row in enumerate(rows)
        )
        self._keep(id, attrs.evolve(found, state=_State.LAPSED, marks=marks), _LAPSED_S)

    def _look(self, name: str) -> _Row:
        row = self._run(f"{_TALLY} WHERE name = ?", name).fetchone()
        if row is None:
            return _Row(name)
        if row[-1] is not None and row[-1] <= time.time():
            self._delete(name)
            return _Row(name)
        return _read(row)

    def _write(self, row: _Row) -> _Row:
        expires = None
        if not row.born:
            row = attrs.evolve(row, born=time.time_ns())
            expires = None if self._life_s is None else time.time() + self._life_s
        self._run(_WRITE, *attrs.astuple(row), expires)
        return row

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
            "DELETE FROM history WHERE name = ?1 AND number <="
            " (SELECT number FROM history WHERE name = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            name,
            HISTORY,
        )

    def _find(self, id: str) -> _Reservation | None:
        row = self._run("SELECT state, nanos, names, marks FROM reservation WHERE id = ?", id).fetchone()
        if row is None:
            return None
        state, nanos, names, marks = row
        return _Reservation(_State(state), nanos, tuple(json.loads(names)), tuple(map(tuple, json.loads(marks))))

    def _keep(self, id: str, one: _Reservation, for_s: float) -> None:
        values = (one.state, one.nanos, json.dumps(one.names), json.dumps(one.marks))
        self._run(
            "INSERT OR REPLACE INTO reservation (id, state, nanos, names, marks, until) VALUES (?, ?, ?, ?, ?, ?)",
            id,
            *values,
            time.time() + for_s,
        )

    def _run(self, statement: str, *values: str | float | None) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)


_TALLY = "SELECT name, limited, limit_nanos, settled, uncertain, reserved, born, releases, expires FROM tally"
_WRITE = """
INSERT INTO tally (name, limited, limit_nanos, settled, uncertain, reserved, born, releases, expires)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    limited = excluded.limited, limit_nanos = excluded.limit_nanos, settled = excluded.settled,
    uncertain = excluded.uncertain, reserved = excluded.reserved, releases = excluded.releases
"""
"""When a tally began, and when it ends, is said once: where it is not there yet."""


def _read(row: tuple[str, int, int | None, int, int, int, int, int, float | None]) -> _Row:
    name, limited, limit, settled, uncertain, reserved, born, releases, _ = row
    return _Row(name, bool(limited), limit, settled, uncertain, reserved, born, releases)


def _fitting(limit: int | None) -> int | None:
    if limit is not None and limit > _BIGGEST:
        raise PolicyError(f"${usd(limit):g} does not fit: this ledger keeps up to ${usd(_BIGGEST):g}", key="limit_usd")
    return limit
