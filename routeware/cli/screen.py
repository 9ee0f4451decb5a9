"""The output that all commands share: where they write, how they fail, how they format amounts and lay out tables.

Only plain text is written here without any library: ``check`` and ``--version`` work where nothing but the core is
installed, as in the pipeline that checks a policy before it is deployed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from routeware.text import bounded, visible

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "console",
    "dollars",
    "fail",
    "milliseconds",
    "output",
    "paragraph",
    "print_json",
    "progress_console",
    "table",
    "write",
]

_LONGEST_LINE = 2000
_NARROWEST = 20


def console() -> Console:
    """Open standard output: colours on a terminal, plain text in a pipe. What people named is never read as markup."""
    from rich.console import Console

    file: Any = sys.stdout if sys.stdout.isatty() else _Unpadded(sys.stdout)
    return Console(file=file, highlight=False, markup=False, emoji=False)


class _Unpadded:
    """A pipe that gets lines without the blanks with which rich fills them."""

    def __init__(self, pipe: TextIO) -> None:
        self._pipe = pipe
        self.encoding, self.isatty, self.flush = pipe.encoding, pipe.isatty, pipe.flush

    def write(self, text: str) -> int:
        self._pipe.write(_encodable(re.sub(r" +(?=\n)", "", text)))
        return len(text)


def progress_console() -> Console:
    """Open standard error, where bars go: a pipe gets the result alone."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def write(text: str) -> None:
    """Write lines of text on standard output."""
    print(_encodable(text))


def _encodable(text: str) -> str:
    """Spell out what the encoding of standard output lacks: containers have no locale."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def fail(problem: str, code: int) -> NoReturn:
    """Say in one line what is wrong, on standard error, and leave with ``code``."""
    line = bounded(visible(" ".join(problem.split())), _LONGEST_LINE)
    sys.stderr.write(f"routeware: {line}\n")
    raise SystemExit(code)


@contextmanager
def output() -> Iterator[None]:
    """Write out what is printed within. Where it cannot be written, leave with 2; a reader that has gone is no error.

    An exit code that stands for a result, as 1 for a policy that is not valid, is not to come from a full disk.
    """
    if sys.stdout is None:  # closed before the program began
        fail("standard output is closed", 2)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except SystemExit as end:
        # A code of rich's own, where its reader has gone.
        if not isinstance(end.__context__, BrokenPipeError):
            raise
    except OSError as error:
        if error.filename is not None:
            raise  # another file's
        # What is left to be written would fail once more at the exit of the program.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            fail(f"the output cannot be written: {error.strerror or error}", 2)


def print_json(document: dict[str, Any]) -> None:
    """Print the machine-readable result, alone on standard output. In ASCII, so that every pipe takes it."""
    print(json.dumps(document, indent=2))


def milliseconds(amount: float) -> str:
    """Spell a time: ``1,500 ms``, or ``0.5 ms``."""
    return f"{amount:,.0f} ms" if amount >= 100 or amount == int(amount) else f"{amount:g} ms"


def dollars(amount: float) -> str:
    """Spell an amount: ``$5``, ``$1.20`` or ``$0.0042``: as many digits as it has, at most nine, never one alone."""
    whole, _, fraction = f"{amount:,.9f}".partition(".")
    digits = fraction.rstrip("0")
    return f"${whole}.{digits.ljust(2, '0')}" if digits else f"${whole}"


def paragraph(text: str) -> str:
    """Wrap a sentence at the terminal's width, or at 80 columns. A word stays whole, as a path may be copied."""
    columns = max(_NARROWEST, shutil.get_terminal_size().columns)
    return "\n".join(wrap(text, columns, break_long_words=False, break_on_hyphens=False))


def table(
    rows: Sequence[Sequence[str]], *, flexible: int, right: Sequence[int] = (), gap: int = 2, headed: bool = False
) -> str:
    """Lay rows out in columns that fit the terminal, or 80 columns.

    Rows with a heading that are longer still are laid out below one another, with the headings at their left.

    Args:
        rows: The cells; a line break in one begins a new line in it. Other characters that don't print are spelled
            out, so that no name can forge a row.
        flexible: The column that is wrapped where the rows are too long.
        right: The columns that are aligned at their right.
        gap: The blanks between columns.
        headed: True if the first row is the headings.
    """
    cells = [[[visible(line) for line in cell.split("\n")] for cell in row] for row in rows]
    widths = [max((len(line) for cell in column for line in cell), default=0) for column in zip(*cells, strict=True)]
    others = sum(widths) - widths[flexible] + gap * (len(widths) - 1)
    columns = shutil.get_terminal_size().columns
    if headed and columns - others < min(_NARROWEST, widths[flexible]):
        stacked = ([(name or "number", cell) for name, cell in zip(rows[0], row, strict=True)] for row in rows[1:])
        return "\n\n".join(table(each, flexible=1, gap=gap) for each in stacked)
    room = max(_NARROWEST, columns - others)
    widths[flexible] = min(widths[flexible], room)
    lines = []
    for row in cells:
        row[flexible] = [part for line in row[flexible] for part in wrap(line, room) or [""]]
        for at in range(max(map(len, row))):
            parts = [cell[at] if at < len(cell) else "" for cell in row]
            lines.append(_line(parts, widths, right, gap))
    return "\n".join(lines)


def _line(parts: Sequence[str], widths: Sequence[int], right: Sequence[int], gap: int) -> str:
    aligned = [
        part.rjust(width) if place in right else part.ljust(width)
        for place, (part, width) in enumerate(zip(parts, widths, strict=True))
    ]
    return (" " * gap).join(aligned).rstrip()
