"""The command line, run in the process of the test."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from routeware.cli.app import app

__all__ = ["routeware_tune"]


def routeware_tune(*arguments: object) -> Result:
    """The command, run in this process."""
    return CliRunner().invoke(app, ["tune", *map(str, arguments)])
