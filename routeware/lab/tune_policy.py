"""Puts a threshold into a policy's file and touches nothing else in it: comments and order are its owner's."""

from __future__ import annotations

from collections.abc import MutableMapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from routeware.errors import PolicyError
from routeware.policy import RoutingPolicy

__all__ = ["write_threshold"]

_KEY = "race_after_ms"
_MARK = "set by routeware tune on "


def write_threshold(
    path: str | Path, race_after_ms: float, *, table: str | None = None, reason: str = "", today: date | None = None
) -> None:
    """Set ``latency.race_after_ms`` in the policy at ``path``, whole or in a ``table`` of it, with a dated comment.

    The threshold is written in whole milliseconds, and the reason for it in the comment.

    Raises:
        PolicyError: the file holds no policy.
        OSError: it cannot be read or written.
    """
    file = Path(path)
    RoutingPolicy.from_toml(file, table=table)
    dated = f"{_MARK}{today or datetime.now(UTC).date()}{f': {reason}' if reason else ''}"
    changed = _with_threshold(file.read_bytes().decode("utf-8-sig"), round(race_after_ms), table, dated)
    temporary = file.with_name(f"{file.name}.tmp")
    try:
        temporary.write_bytes(changed.encode())
        RoutingPolicy.from_toml(temporary, table=table)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _with_threshold(text: str, amount: int, table: str | None, comment: str) -> str:
    """Return the text with the setting in place: in the latency rules where there are some, else in new ones."""
    import tomlkit
    from tomlkit.items import InlineTable

    document = tomlkit.parse(text if text.endswith("\n") else f"{text}\n")
    owner: MutableMapping[str, Any] = document
    for part in [] if table is None else table.split("."):
        owner = owner[part]
    rules = owner.get("latency")
    if rules is None:
        rules = tomlkit.table()
        owner["latency"] = rules
    if not isinstance(rules, MutableMapping):
        raise PolicyError("is no table", key="latency")
    rules[_KEY] = amount
    # Inside of an inline table no comment can stand, so it goes behind it.
    _remark(rules if isinstance(rules, InlineTable) else rules[_KEY], comment)
    return tomlkit.dumps(document)


def _remark(item: Any, comment: str) -> None:
    """Put a dated comment behind a value: in place of an earlier one of ours, and behind one of the owner's."""
    theirs = item.trivia.comment.lstrip("# ").partition(_MARK)[0].rstrip("; ")
    item.trivia.comment_ws = item.trivia.comment_ws or "  "
    item.trivia.comment = f"# {theirs}; {comment}" if theirs else f"# {comment}"
