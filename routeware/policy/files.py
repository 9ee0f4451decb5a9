"""Policies in TOML files: a whole file, or one table of a larger one."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routeware.errors import PolicyError
from routeware.policy.checks import nearest, refusal

__all__ = ["read_table"]


def read_table(path: str | os.PathLike[str], table: str | None) -> Mapping[str, Any]:
    """The settings in a file, or in the table of it that a dotted path names.

    Raises:
        OSError: the file cannot be read.
        PolicyError: it is not TOML, or has no such table.
    """
    document = _document(Path(path))
    if table is None:
        _look_for_a_chain(document)
        return document
    if not isinstance(table, str):
        raise refusal("table", "a dotted path", table)
    tables = dict(_tables(document, ""))
    if table not in tables:
        close = nearest(table, tables)
        advice = f"did you mean {close!r}?" if close else f"there are {', '.join(tables) or 'none'}"
        raise PolicyError(f"there is no such table; {advice}", key=table)
    return tables[table]


def _look_for_a_chain(document: Mapping[str, Any]) -> None:
    # Whoever forgot the table would otherwise be told that every other part of the file is no setting.
    elsewhere = [name for name, settings in _tables(document, "") if "chain" in settings]
    if elsewhere and "chain" not in document:
        raise PolicyError(f"is not at the top of the file; did you mean table={elsewhere[0]!r}?", key="chain")


def _document(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    try:
        return tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"this is not TOML: {error}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyError(f"this is not TOML: it is not encoded as UTF-8 (at line {line})") from None


def _tables(settings: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield f"{path}{name}", value
            yield from _tables(value, f"{path}{name}.")
