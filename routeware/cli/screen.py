"""What all commands share on the screen: where they write, how they fail, how they spell amounts."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import typer
from rich.console import Console

__all__ = ["console", "dollars", "fail", "milliseconds", "print_json", "progress_console"]


def console() -> Console:
    """Standard output: colours on a terminal, plain text in a pipe. What people named is never read as markup."""
    return Console(highlight=False, markup=False, emoji=False)


def progress_console() -> Console:
    """Standard error, where bars go: a pipe gets the result alone."""
    return Console(stderr=True, highlight=False)


def fail(problem: str, code: int) -> NoReturn:
    """Say in one line what is wrong, on standard error, and leave with ``code``."""
    typer.echo(f"routeware: {' '.join(problem.split())}", err=True)
    raise typer.Exit(code)


def print_json(document: dict[str, Any]) -> None:
    """The machine-readable result, alone on standard output."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def milliseconds(amount: float) -> str:
    """``1,500 ms``, or ``0.5 ms``."""
    return f"{amount:,.0f} ms" if amount >= 100 or amount == int(amount) else f"{amount:g} ms"


def dollars(amount: float) -> str:
    """``$5``, ``$1.20`` or ``$0.0042``: as many digits as it has, at most nine, never one alone after the point."""
    whole, _, fraction = f"{amount:,.9f}".partition(".")
    digits = fraction.rstrip("0")
    return f"${whole}.{digits.ljust(2, '0')}" if digits else f"${whole}"
