"""Policies in TOML files: a whole file, or one table of a larger one."""

from __future__ import annotations

import codecs
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from routeware.errors import PolicyError
from routeware.policy.checks import nearest, refusal

__all__ = ["read_table"]

_LARGEST = 1024 * 1024
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_table(path: str | os.PathLike[str], table: str | None) -> Mapping[str, Any]:
    """Read the settings in a file, or in the table of it that a dotted path names.

    Raises:
        OSError: The file cannot be read.
        PolicyError: It is not TOML, or has no such table.
    """
    document = _document(Path(path))
    if table is None:
        _look_for_a_chain(document)
        return document
    if not isinstance(table, str):
        raise refusal("table", "a dotted path", table)
    tables = dict(_tables(document))
    if table not in tables:
        close = nearest(table, tables)
        advice = f"did you mean {close!r}?" if close else f"there are {_few(tables)}"
        raise PolicyError(f"there is no such table; {advice}", key=table)
    return tables[table]


def _few(names: Iterable[str]) -> str:
    """List some names: a hostile file has a great many, and long ones."""
    return ", ".join(name[:100] for name in islice(names, 10)) or "none"


def _look_for_a_chain(document: Mapping[str, Any]) -> None:
    # Without this, a user who forgot the table would read that every other part of the file is no setting.
    elsewhere = [name for name, settings in _tables(document) if "chain" in settings]
    if elsewhere and "chain" not in document:
        raise PolicyError(f"is not at the top of the file; did you mean table={elsewhere[0]!r}?", key="chain")


def _document(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise PolicyError(f"is larger than {_LARGEST // 1024} KiB, so it is no policy")
    text = _decoded(content)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"this is not TOML: {error}") from None
    except RecursionError:
        raise PolicyError("this is no policy: its values are nested too deeply") from None
    except ValueError as error:  # Python's limit on digits, a date that does not exist
        raise PolicyError(f"this is no policy: {_first_sentence(error)}") from None


def _decoded(content: bytes) -> str:
    if content.startswith(_UTF_16):
        raise PolicyError("is encoded as UTF-16, which TOML is not: save it as UTF-8")
    content = content.removeprefix(codecs.BOM_UTF8)  # Notepad and PowerShell begin a file with it
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyError(f"this is not TOML: it is not encoded as UTF-8 (at line {line})") from None


def _first_sentence(error: ValueError) -> str:
    return str(error).partition(";")[0]


def _tables(settings: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give all tables with their dotted paths, a table before those in it.

    With a list of its own instead of a recursion: a header may name a thousand tables, one in the other.
    """
    waiting = [("", settings)]
    while waiting:
        path, table = waiting.pop()
        if path:
            yield path, table
        inner = [(f"{path}.{name}" if path else name, value) for name, value in table.items()]
        waiting += [(name, value) for name, value in reversed(inner) if isinstance(value, Mapping)]
