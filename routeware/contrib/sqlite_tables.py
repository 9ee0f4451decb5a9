"""The tables of a ledger's file, and how a file of an earlier version gets them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["connect"]

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
"""Version 0. A new file is made like this, too, and then brought up to date, so that there is one way only."""

_PAUSE_S = 0.01

_CHANGES = (
    # Version 1: tallies that end, and a history. `born` is 0 only where a tally is not there.
    """
    ALTER TABLE tally ADD COLUMN born INTEGER NOT NULL DEFAULT 0;
    UPDATE tally SET born = 1;
    ALTER TABLE tally ADD COLUMN expires REAL;
    ALTER TABLE tally ADD COLUMN releases INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE tally ADD COLUMN replaced INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX tally_expires ON tally (expires) WHERE expires IS NOT NULL;
    ALTER TABLE reservation ADD COLUMN marks TEXT NOT NULL DEFAULT '[]';
    CREATE TABLE history (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        at REAL NOT NULL,
        event TEXT NOT NULL,
        before INTEGER,
        after INTEGER
    );
    CREATE INDEX history_name ON history (name, number);
    """,
)


def connect(path: str, timeout_s: float, *, create: bool) -> sqlite3.Connection:
    """Open the file, and bring its tables up to date.

    Raises:
        sqlite3.Error: it cannot be opened, it is no database or another one than a ledger, or a later version of
            routeware has written it.
    """
    mode = "rwc" if create else "rw"
    uri = f"{Path(path).absolute().as_uri()}?mode={mode}"
    if not (folder := Path(path).absolute().parent).is_dir():
        raise sqlite3.OperationalError(f"unable to open database file: there is no folder {folder.name!r}")
    connection = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None)
    try:
        until = time.monotonic() + timeout_s
        _when_free(lambda: _refuse_another(connection, may_be_new=create), until)
        # This statement does not wait for the lock: where several processes make the file at once, all but one fail.
        _when_free(lambda: connection.execute("PRAGMA journal_mode = WAL"), until)
        connection.execute("PRAGMA synchronous = NORMAL")
        if _version(connection) != len(_CHANGES):
            _bring_up_to_date(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_another(connection: sqlite3.Connection, *, may_be_new: bool) -> None:
    # Before anything is written: tables and a version of ours would be in the way of whoever the database belongs to.
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not ({"tally", "reservation"} <= tables or (may_be_new and not tables)):
        raise sqlite3.DatabaseError("the file is no ledger" if tables else "the file is empty")


def _when_free(ask: Callable[[], object], until: float) -> None:
    while True:
        try:
            ask()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again: another process may have done it meanwhile.
        _apply(connection, _version(connection))
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _apply(connection: sqlite3.Connection, version: int) -> None:
    if version > len(_CHANGES):
        raise sqlite3.DatabaseError("a later version of routeware has written this ledger")
    for change in (_TABLES, *_CHANGES[version:]):
        # Not executescript: it would commit first.
        for statement in change.split(";"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(_CHANGES)}")
