"""The ``routeware`` command: the only place that prints.

``check`` and ``--version`` need nothing but the core: without typer, the standard library's own parser reads their
arguments. The other commands come with extras; where one is missing, a line says which command installs it, and no
traceback is shown. uvx makes an environment for one run, so there the command runs again with the extra.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from routeware.cli import check, install, screen

__all__ = ["main"]

_EXTRAS = {
    "aiohttp": "demo",
    "opentelemetry": "demo",
    "rich": "demo",
    "typer": "demo",
    "matplotlib": "lab",
    "numpy": "lab",
    "redis": "redis",
    "genai_prices": "prices",
}
"""The extra that brings a library."""


def main() -> None:
    """Run the command line, and leave with its exit code."""
    try:
        from routeware.cli.app import app

        with screen.output():
            app(prog_name="routeware")
    except ModuleNotFoundError as missing:
        library = (missing.name or "").partition(".")[0]
        if library not in _EXTRAS:
            raise
        if library == "typer" and sys.argv[1:2] in (["check"], ["--version"]):
            _plain(sys.argv[1:])
            return
        extra = _EXTRAS[library]
        if (again := install.uvx_command(extra, sys.argv[1:])) is not None:
            sys.stderr.write(f"routeware: {library} is not installed; running again with routeware[{extra}]\n")
            sys.exit(subprocess.call(again))  # noqa: S603 - the same program, by the uv that runs it
        sys.stderr.write(f"routeware: {library} is not installed; {install.command(extra)}\n")
        sys.exit(2)


def _plain(arguments: Sequence[str]) -> None:
    """Run a command that needs nothing but the core."""
    parser = argparse.ArgumentParser(prog="routeware")
    parser.add_argument("--version", action="version", version=install.version_line())
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
    with screen.output():
        given = parser.parse_args(arguments)
    check.run(given.file, table=given.table, as_json=given.as_json)
