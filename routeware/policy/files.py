"""Policies in TOML files: a whole file, or one table of a larger one; and a file that changes while a service runs.

A file is replaced while calls are made, by hand, by a deployment, half-written for a moment. Reading it at every call
would fail those calls. Here a file that is gone, unreadable or wrong leaves the last good policy in force, and is said
once.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from routeware.errors import PolicyError
from routeware.policy import checks
from routeware.policy.checks import nearest, refusal

__all__ = ["PolicyFile", "read_table"]

logger = logging.getLogger("routeware")

Policy = TypeVar("Policy")

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
    import tomllib  # noqa: PLC0415  # a policy in code needs no TOML parser

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"this is not TOML: {error}") from None
    except RecursionError:
        raise PolicyError("this is no policy: its values are nested too deeply") from None
    except ValueError as error:  # Python's limit on digits, a date that does not exist
        raise PolicyError(f"this is no policy: {_first_sentence(error)}") from None


def _decoded(content: bytes) -> str:
    content = content.removeprefix(codecs.BOM_UTF8)  # Notepad and PowerShell begin a file with it
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        # The cause is kept: a file that is no text can't be read, where another one is read and found wrong.
        if content.startswith(_UTF_16):
            raise PolicyError("this is encoded as UTF-16, which TOML is not: save it as UTF-8") from error
        line = content.count(b"\n", 0, error.start) + 1
        raise PolicyError(f"this is not TOML: it is not encoded as UTF-8 (at line {line})") from error


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


# A file that changes.


class _Version(NamedTuple):
    """The marks of a file's version that need no reading of the file."""

    modified_ns: int
    size: int
    inode: int


class PolicyFile(Generic[Policy]):
    """The policy that is in force in a file; call it to get that policy.

    Args:
        read: reads the file, and raises ``OSError`` or ``PolicyError`` if it cannot be read or is wrong.
        path: the file, for looking whether it has changed.
        every_ms: how often it is looked at, at most.
        describe: says what is in force, for the log.

    Raises:
        OSError: the file cannot be read now.
        PolicyError: it is wrong now, or ``every_ms`` is not a number above 0.
    """

    __slots__ = ("_describe", "_every_s", "_last_look", "_path", "_policy", "_read", "_refused", "_version", "_wrong")

    def __init__(
        self,
        read: Callable[[], Policy],
        path: str | os.PathLike[str],
        every_ms: float,
        describe: Callable[[Policy], str],
    ) -> None:
        self._every_s = checks.finite(every_ms, "every_ms", above=0) / 1000
        self._read = read
        self._path = path
        self._describe = describe
        self._wrong = False
        self._refused: Policy | None = None
        # The version is noted before reading, so that a change in between is seen at the next look.
        self._version: _Version | None = _version(path)
        self._policy = read()
        self._last_look = _now()

    def __call__(self) -> Policy:
        """Return the policy in force, looking at the file if the last look is ``every_ms`` ago."""
        now = _now()
        # A clock behind the last look is another loop's: it says nothing about how long ago that was.
        if now - self._last_look >= self._every_s or now < self._last_look:
            self._last_look = now
            self._look()
        return self._policy

    def refuse(self, policy: Policy, error: PolicyError) -> Policy | None:
        """Take back a policy that turned out to be wrong when it was prepared, such as a cap over an unpriced link.

        Returns:
            The policy that was in force before, which is in force again; ``None`` if there was none.
        """
        if policy is not self._policy or self._refused is None:
            return None
        before, self._refused = self._refused, None
        self._policy = before
        self._warn(error)
        return before

    def _look(self) -> None:
        try:
            version = _version(self._path)
            if version == self._version:
                return
            policy = self._read()
        except (OSError, PolicyError) as error:
            # Not noted as seen: a file that is half-written now may be whole at the next look, with the same size.
            self._version = None
            self._warn(error)
            return
        self._version = version
        recovered, self._wrong = self._wrong, False
        if policy != self._policy:
            self._refused, self._policy = self._policy, policy
            logger.info("policy file %s: %s is in force now", os.fspath(self._path), self._describe(policy))
        elif recovered:
            logger.info("policy file %s is right again: %s", os.fspath(self._path), self._describe(policy))

    def _warn(self, error: OSError | PolicyError) -> None:
        if not self._wrong:
            self._wrong = True
            logger.warning(
                "policy file %s cannot be used, the policy from before stays in force: %s", os.fspath(self._path), error
            )


def _version(path: str | os.PathLike[str]) -> _Version:
    status = os.stat(path)  # noqa: PTH116 - a path given as text is not turned into an object at every look
    return _Version(status.st_mtime_ns, status.st_size, status.st_ino)


def _now() -> float:
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
