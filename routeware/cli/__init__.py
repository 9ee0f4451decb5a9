"""The ``routeware`` command: the only place that prints.

``check`` and ``--version`` need nothing but the core. The other commands come with extras; where one is missing, a line
says which command installs it, and no traceback is shown. uvx makes an environment for one run, so there the command
runs again with the extra.
"""

from __future__ import annotations

import subprocess
import sys

from routeware.cli import install, plain

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

        app(prog_name="routeware")
    except ModuleNotFoundError as missing:
        library = (missing.name or "").partition(".")[0]
        if library not in _EXTRAS:
            raise
        if library == "typer" and plain.knows(sys.argv[1:]):
            plain.run(sys.argv[1:])
            return
        extra = _EXTRAS[library]
        if (again := install.uvx_command(extra, sys.argv[1:])) is not None:
            sys.stderr.write(f"routeware: {library} is not installed; running again with routeware[{extra}]\n")
            sys.exit(subprocess.call(again))  # noqa: S603 - the same program, by the uv that runs it
        sys.stderr.write(f"routeware: {library} is not installed; {install.command(extra)}\n")
        sys.exit(2)
