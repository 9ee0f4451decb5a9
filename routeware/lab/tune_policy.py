"""A threshold put into a policy's file, and nothing else in it touched: comments and order are its owner's."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from routeware.errors import PolicyError
from routeware.policy import RoutingPolicy

__all__ = ["write_threshold"]

_KEY = "race_after_ms"


def write_threshold(path: str | Path, race_after_ms: float, *, table: str | None = None) -> None:
    """Set ``latency.race_after_ms`` in the policy at ``path``, whole or in a ``table`` of it.

    Raises:
        PolicyError: the file holds no policy, or writes its latency rules in a way that is not edited here.
        OSError: it cannot be read or written.
    """
    file = Path(path)
    RoutingPolicy.from_toml(file, table=table)
    changed = _with_threshold(file.read_text(encoding="utf-8"), f"{race_after_ms:.0f}", table)
    temporary = file.with_name(f"{file.name}.tmp")
    try:
        temporary.write_text(changed, encoding="utf-8")
        RoutingPolicy.from_toml(temporary, table=table)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _with_threshold(text: str, amount: str, table: str | None) -> str:
    """The text with the setting in place: in the table of latency rules where there is one, else in one of its own."""
    name = "latency" if table is None else f"{table}.latency"
    lines = text.splitlines(keepends=True)
    header = re.compile(r"\s*\[\s*" + r"\s*\.\s*".join(map(re.escape, name.split("."))) + r"\s*\]\s*(#.*)?$")
    start = next((place for place, line in enumerate(lines) if header.match(line)), None)
    if start is None:
        document: object = tomllib.loads(text)
        for part in name.split("."):
            document = document.get(part) if isinstance(document, dict) else None
        if document is not None:
            raise PolicyError(f"write its rules as a table [{name}] to have the threshold put in", key=name)
        gap = "" if text.endswith("\n") or not text else "\n"
        return f"{text}{gap}\n[{name}]\n{_KEY} = {amount}\n"
    end = next((at for at in range(start + 1, len(lines)) if lines[at].lstrip().startswith("[")), len(lines))
    setting = re.compile(rf"(\s*{_KEY}\s*=\s*)[^#\n]*?(\s*(?:#.*)?)$")
    for place in range(start + 1, end):
        found = setting.match(lines[place].rstrip("\r\n"))
        if found:
            lines[place] = f"{found[1]}{amount}{found[2]}\n"
            return "".join(lines)
    if not lines[start].endswith("\n"):
        lines[start] += "\n"
    return "".join([*lines[: start + 1], f"{_KEY} = {amount}\n", *lines[start + 1 :]])
