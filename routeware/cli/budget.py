"""``routeware budget``: what sessions stand at in a ledger that outlives its processes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from routeware.contrib.kept import Kept

__all__ = ["CODES", "budget"]

CODES = "Exit codes: 0 shown; 1 no such session; 2 the ledger cannot be read, or a wrong argument."

_REDIS = ("redis://", "rediss://", "unix://")
_SQLITE = "sqlite:///"

budget = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=CODES,
    help="What sessions stand at in a ledger: a SQLite file, or a Redis.",
)

Ledger = Annotated[
    str,
    typer.Argument(metavar="LEDGER", help="A file (or sqlite:///file), or redis://host:port/db.", show_default=False),
]
Prefix = Annotated[str, typer.Option(help="What the keys in Redis begin with.")]
AsJson = Annotated[bool, typer.Option("--json", help="A JSON object on standard output instead.")]


@budget.command("list", epilog=CODES)
def list_all(ledger: Ledger, *, prefix: Prefix = "routeware", as_json: AsJson = False) -> None:
    """List all sessions of a ledger, with their limits and sums."""
    _show(_read(ledger, prefix), as_json=as_json)


@budget.command(epilog=CODES)
def show(
    ledger: Ledger,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The session's name.", show_default=False)],
    *,
    prefix: Prefix = "routeware",
    as_json: AsJson = False,
) -> None:
    """Show what one session stands at."""
    from routeware.cli import screen

    found = [one for one in _read(ledger, prefix) if one.name == name]
    if not found:
        screen.fail(f"no session {name!r} in {ledger}", 1)
    _show(found, as_json=as_json)


def _read(where: str, prefix: str) -> list[Kept]:
    from routeware.cli import screen
    from routeware.errors import LedgerUnavailableError, PolicyError

    try:
        return asyncio.run(_kept(where, prefix))
    except (LedgerUnavailableError, PolicyError) as error:
        screen.fail(f"cannot read the ledger: {error}", 2)


async def _kept(where: str, prefix: str) -> list[Kept]:
    if where.startswith(_REDIS):
        from routeware.contrib.redis import RedisLedger

        async with RedisLedger(where, prefix=prefix) as redis:
            return await redis.kept()
    from routeware.contrib.sqlite import SqliteLedger

    # Looking must not make the file that it looks for.
    async with SqliteLedger(Path(where.removeprefix(_SQLITE)), create=False) as file:
        return await file.kept()


def _show(kept: Sequence[Kept], *, as_json: bool) -> None:
    from routeware.cli import screen

    if as_json:
        screen.print_json({"sessions": [_facts(one) for one in kept]})
        return
    if not kept:
        screen.console().print("no sessions")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("session", overflow="fold")
    for title in ("limit", "spent", "uncertain", "reserved", "left"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in kept:
        facts = _facts(one)
        amounts = [facts[key] for key in ("limit_usd", "spent_usd", "uncertain_usd", "reserved_usd", "remaining_usd")]
        table.add_row(one.name, *("-" if amount is None else screen.dollars(amount) for amount in amounts))
    screen.console().print(table)


def _facts(one: Kept) -> dict[str, Any]:
    from routeware.money import usd

    balance, limit = one.balance, one.limit_nanos
    return {
        "name": one.name,
        "limit_usd": None if limit is None else usd(limit),
        "spent_usd": usd(balance.settled),
        "uncertain_usd": usd(balance.uncertain),
        "reserved_usd": usd(balance.reserved),
        "remaining_usd": None if limit is None else usd(max(0, limit - balance.committed)),
    }
