"""Calls as a terminal shows them."""

from __future__ import annotations

import io

from rich.console import Console

from routeware.lab.calls import CallTree
from routeware.lab.waterfall import render_call


def drawn(call: CallTree, *, width: int = 80, encoding: str = "utf-8", columns: int | None = None) -> str:
    """What a terminal of that width and encoding, without colours, shows."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, color_system=None, highlight=False)
    console.print(render_call(call, width=columns))
    file.seek(0)
    return "\n".join(line.rstrip() for line in file.read().splitlines())
