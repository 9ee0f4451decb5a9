"""The fenced blocks of README.md and of the pages under docs/, with what the comment above each one says about it.

A comment ``<!-- key: value -->`` above a block is about that block: ``runs: no`` (a fragment: compiled or parsed only),
``runs: with SDKs`` (against the providers of ``routeware demo --serve``), ``file: N`` (there for the scripts of its
page to open), ``prints: the script`` (what the script above it prints), ``prints: the script with OpenAI down``,
``prints: COMMAND`` (what that command prints), ``spans: the script`` (the trace that it leaves), ``command: N`` (one
command of the set-up).
``python3 tests/docs/readme.py NAME`` prints a command; ``.ci/run`` runs it, so the README cannot promise anything else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).parent.parent.parent / "README.md"
PAGES = (README, *sorted(README.parent.glob("docs/**/*.md")))

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>```+)(?P<language>\w*|\{[\w-]+\}.*)")
_COMMENT = re.compile(r"<!--\s*(\w+):\s*(.*?)\s*-->")
_KEYS = frozenset({"runs", "file", "prints", "spans", "command"})


class Block(NamedTuple):
    """One fenced block: its page, its language, the line of its first line, its text, and what is said about it."""

    page: Path
    language: str
    line: int
    text: str
    notes: Mapping[str, str]


def blocks(language: str | None = None, pages: Iterable[Path] = (README,)) -> list[Block]:
    """The blocks of the README, or of other pages, in order; of one language, if one is given."""
    found = [block for page in pages for block in _parse(page)]
    return [block for block in found if language in {None, block.language}]


def command(name: str) -> str:
    """The one-line command that the README gives under ``name``.

    Raises:
        ValueError: there is none, there are several, or it is not one line.
    """
    found = [block.text.strip() for block in blocks() if block.notes.get("command") == name]
    if len(found) != 1 or "\n" in found[0]:
        raise ValueError(f"README.md must give exactly one command {name!r}, in one line; it gives {found}")
    return found[0]


def _parse(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        opening = _FENCE.fullmatch(lines[at].rstrip())
        if not opening:
            at += 1
            continue
        end = next(end for end in range(at + 1, len(lines)) if lines[end].strip() == opening["fence"])
        text = "\n".join(line.removeprefix(opening["indent"]) for line in lines[at + 1 : end])
        yield Block(page, opening["language"], at + 2, text + "\n", _notes(page, lines, at))
        at = end + 1


def _notes(page: Path, lines: list[str], at: int) -> Mapping[str, str]:
    """What the comment directly above a line says. One that no test understands would promise what none checks."""
    above = next((line for line in reversed(lines[:at]) if line.strip()), "")
    notes = dict(_COMMENT.findall(above))
    if above.startswith("<!--") and not (notes and notes.keys() <= _KEYS):
        raise ValueError(f"{page}: nothing checks what {above!r} says")
    return notes


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1]) + "\n")
