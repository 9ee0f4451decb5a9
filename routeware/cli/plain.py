"""The commands that work without any extra: ``check`` and ``--version``, by the standard library's own parser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from routeware.cli import check

__all__ = ["knows", "run", "version_line"]


def version_line() -> str:
    """Return the line that a bug report begins with."""
    try:
        return f"routeware {version('routeware')}"
    except PackageNotFoundError:
        return "routeware, run from its source"


def knows(arguments: Sequence[str]) -> bool:
    """Return True if these arguments need nothing but the core."""
    return arguments[:1] in (["check"], ["--version"])


def run(arguments: Sequence[str]) -> None:
    """Run a command that :func:`knows` knows.

    Raises:
        SystemExit: Where the arguments are wrong, or with the command's own code.
    """
    parser = argparse.ArgumentParser(prog="routeware")
    parser.add_argument("--version", action="version", version=version_line())
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser(
        "check",
        description=check.SUMMARY,
        epilog=check.CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    checking.add_argument("file", metavar="FILE.toml", type=Path, help="The policy's file.")
    checking.add_argument("--table", metavar="a.b", help="The table in it, where it holds more.")
    checking.add_argument("--json", dest="as_json", action="store_true", help="Print a JSON object instead.")
    given = parser.parse_args(arguments)
    check.run(given.file, table=given.table, as_json=given.as_json)
