"""Tables in plain text, for the commands that must do without a library."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from textwrap import wrap

from routeware.text import visible

__all__ = ["table"]

_NARROWEST = 20


def table(rows: Sequence[Sequence[str]], *, flexible: int, right: Sequence[int] = (), gap: int = 2) -> str:
    """Lay rows out in columns that fit the terminal, or 80 columns.

    Args:
        rows: The cells; a line break in one begins a new line in it. Other characters that don't print are spelled
            out, so that no name can forge a row.
        flexible: The column that is wrapped where the rows are too long.
        right: The columns that are aligned at their right.
        gap: The blanks between columns.
    """
    cells = [[[visible(line) for line in cell.split("\n")] for cell in row] for row in rows]
    widths = [max((len(line) for cell in column for line in cell), default=0) for column in zip(*cells, strict=True)]
    others = sum(widths) - widths[flexible] + gap * (len(widths) - 1)
    room = max(_NARROWEST, shutil.get_terminal_size().columns - others)
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
