"""The commands, gathered. Each lives in a file of its own and imports what it needs when it runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from routeware.cli import check as checking
from routeware.cli import install
from routeware.cli.budget import budget
from routeware.cli.demo import CODES as DEMO_CODES
from routeware.cli.demo import demo
from routeware.cli.replay import CODES as REPLAY_CODES
from routeware.cli.replay import replay
from routeware.cli.trace import trace
from routeware.cli.tune import CODES as TUNE_CODES
from routeware.cli.tune import tune

__all__ = ["app"]


class _Group(TyperGroup):
    """A group whose usage has no blanks at line ends: it is wrapped after the name where the terminal is narrow."""

    def get_help(self, ctx: Any) -> str:
        """Return the help."""
        return super().get_help(ctx).replace(" \n", "\n")


class _Command(TyperCommand):
    """A command whose usage has no blanks at line ends, like a group's."""

    def get_help(self, ctx: Any) -> str:
        """Return the help."""
        return super().get_help(ctx).replace(" \n", "\n")


app = typer.Typer(
    name="routeware",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    # Our own tracebacks are for bug reports: plain, whole, and without the values of variables.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # Click would go up to 80 columns, and never below 50.
        "terminal_width": min(max(shutil.get_terminal_size().columns, 40), 82) - 2,
    },
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(install.version_line())
        raise typer.Exit


@app.callback(epilog="Every command has a --help of its own, which says what its exit codes mean.")
def routeware(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Failover, racing, budgets and traces for any async provider function."""


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The policy file.", show_default=False)],
    *,
    table: Annotated[
        str | None, typer.Option(metavar="a.b", help="The table that holds the policy, if not the whole file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead.")] = False,
) -> None:
    """Check a policy."""
    checking.run(file, table=table, as_json=as_json)


# Short help fits a terminal of 60 columns, where a longer line is cut.
app.command(epilog=DEMO_CODES, short_help="Compare bare and routed calls.")(demo)
app.command(epilog=checking.CODES, help=checking.SUMMARY, short_help="Validate a policy and show its settings.")(check)
app.command(short_help="Draw calls from a trace file or a Jaeger.")(trace)
app.add_typer(budget, name="budget", cls=_Group, short_help="Show and change the sessions of a ledger.")
app.command(epilog=TUNE_CODES, short_help="Find when to start a race, from recordings.")(tune)
app.command(epilog=REPLAY_CODES, short_help="Compare past calls under another policy.")(replay)
for each in (*app.registered_commands, *budget.registered_commands):
    each.cls = _Command
