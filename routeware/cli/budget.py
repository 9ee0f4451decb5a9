"""``routeware budget``: look at the sessions of a ledger that outlives its processes, and change them by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from routeware.budget import Tally
from routeware.cli import screen
from routeware.errors import LedgerUnavailableError, PolicyError
from routeware.money import amount_usd, nanos, usd
from routeware.text import visible

if TYPE_CHECKING:
    from routeware.contrib.kept import Change, Kept
    from routeware.contrib.redis import RedisLedger
    from routeware.contrib.sqlite import SqliteLedger

__all__ = ["CODES", "budget"]

T = TypeVar("T")

CODES = (
    "Exit codes: 0 done; 1 no such session; 2 the ledger cannot be read or written, the output cannot be written, or a "
    "wrong argument."
)

_REDIS = ("redis", "rediss", "unix")
_SQLITE = "sqlite:///"

budget = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=CODES,
    help="Show the sessions of a ledger (a SQLite file, or a Redis), and change their limits.",
)

Where = Annotated[
    str,
    typer.Argument(metavar="LEDGER", help="A file (or sqlite:///file), or redis://host:port/db.", show_default=False),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The session's name.", show_default=False)]
Prefix = Annotated[str, typer.Option(help="The prefix of the keys in Redis.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object instead.")]


# Short help fits a terminal of 60 columns.
@budget.command("list", epilog=CODES, short_help="List all sessions of a ledger.")
def list_all(ledger: Where, *, prefix: Prefix = "routeware", as_json: AsJson = False) -> None:
    """List all sessions of a ledger, with their limits and totals."""
    kept = _ask(ledger, prefix, lambda opened: opened.kept())
    with screen.output():
        if as_json:
            screen.print_json({"sessions": [_facts(one) for one in kept]})
        else:
            _show_sessions(kept)


@budget.command(epilog=CODES, short_help="Show one session and its history.")
def show(ledger: Where, name: Name, *, prefix: Prefix = "routeware", as_json: AsJson = False) -> None:
    """Show one session's balance, and the changes that were made with this command."""

    async def look(opened: SqliteLedger | RedisLedger) -> tuple[list[Kept], list[Change]]:
        return await opened.kept(name), await opened.history(name)

    kept, history = _ask(ledger, prefix, look)
    found = _found(kept, name)
    changes = [_change_facts(change) for change in history]
    with screen.output():
        if as_json:
            screen.print_json({"sessions": [{**_facts(found[0]), "history": changes}]})
        else:
            _show_sessions(found)
            _show_history(changes)


@budget.command("set-limit", epilog=CODES, short_help="Give a session another limit.")
def set_limit(
    ledger: Where,
    name: Name,
    usd: Annotated[str, typer.Argument(metavar="USD", help="Dollars, or 'none' for no limit.", show_default=False)],
    *,
    prefix: Prefix = "routeware",
) -> None:
    """Give a session another limit, for all processes that share its name."""
    limit = _nanos(usd)

    async def change(opened: SqliteLedger | RedisLedger) -> list[Kept]:
        before = await opened.kept(name)
        if before:
            await opened.set_limit(Tally(name, limit))
        return before + await opened.kept(name)

    before, after = (_facts(one)["limit_usd"] for one in _found(_ask(ledger, prefix, change), name))
    with screen.output():
        screen.write(f"{visible(name)}: limit {_dollars(before, 'none')} -> {_dollars(after, 'none')}")


@budget.command(epilog=CODES, short_help="Write off what is uncertain.")
def release(ledger: Where, name: Name, *, prefix: Prefix = "routeware") -> None:
    """Write off a session's uncertain dollars, after the provider's bill has shown that they weren't spent."""

    async def change(opened: SqliteLedger | RedisLedger) -> list[Kept]:
        if await opened.kept(name):
            await opened.release_uncertain(name)
        return await opened.kept(name)

    found = _found(_ask(ledger, prefix, change), name)
    with screen.output():
        _show_sessions(found)


def _ask(where: str, prefix: str, question: Callable[[SqliteLedger | RedisLedger], Awaitable[T]]) -> T:
    if "://" in where and not where.startswith((*(f"{scheme}://" for scheme in _REDIS), _SQLITE)):
        # Without the address: what looks like one may hold a password.
        screen.fail("a ledger is a file, or an address that begins with sqlite:///, redis://, rediss:// or unix://", 2)

    if "://" not in (file := where.removeprefix(_SQLITE)) and not Path(file).exists():
        screen.fail(f"there is no file {file}; a SqliteLedger makes it when a session first uses it", 2)

    async def ask() -> T:
        async with _opened(where, prefix) as ledger:
            return await question(ledger)

    try:
        return asyncio.run(ask())
    except (LedgerUnavailableError, PolicyError, OverflowError) as error:
        screen.fail(f"the ledger cannot be read or written: {error}", 2)


@asynccontextmanager
async def _opened(where: str, prefix: str) -> AsyncIterator[SqliteLedger | RedisLedger]:
    if where.partition("://")[0] in _REDIS:
        from routeware.contrib.redis import RedisLedger

        async with RedisLedger(where, prefix=prefix) as redis:
            yield redis
        return
    from routeware.contrib.sqlite import SqliteLedger

    # Looking must not make the file that it looks for.
    async with SqliteLedger(Path(where.removeprefix(_SQLITE)), create=False) as file:
        yield file


def _found(kept: list[Kept], name: str) -> list[Kept]:
    if not kept:
        screen.fail(f"no session {name!r} in this ledger", 1)
    return kept


def _nanos(dollars: str) -> int | None:
    if dollars == "none":
        return None
    try:
        return nanos(amount_usd(float(dollars), "USD"))
    except (ValueError, PolicyError):
        screen.fail(f"{dollars!r} is not an amount of dollars: a number from 0 up, or 'none'", 2)


def _show_sessions(kept: Sequence[Kept]) -> None:
    """Print a row for each session."""
    if not kept:
        screen.write("no sessions")
        return
    rows = [["session", "limit", "spent", "uncertain", "reserved", "left"]]
    for one in kept:
        name, *amounts = _facts(one).values()
        rows.append([visible(name), *(_dollars(amount, "-") for amount in amounts)])
    screen.write(screen.table(rows, flexible=0, right=range(1, 6), headed=True))


def _show_history(changes: Sequence[dict[str, Any]]) -> None:
    """Print a row for each change; nothing if there are none."""
    if not changes:
        return
    rows = [["changed at (UTC)", "what", "from", "to"]]
    for change in changes:
        what = "limit set" if change["event"] == "limit" else "uncertain released"
        amounts = (_dollars(change[key], "none") for key in ("before_usd", "after_usd"))
        rows.append([change["at"], what, *amounts])
    screen.write("\n" + screen.table(rows, flexible=1, right=(2, 3), headed=True))


def _facts(one: Kept) -> dict[str, Any]:
    """Return what there is to know of a session, in dollars, in the order of the table's columns."""
    balance, limit = one.balance, one.limit_nanos
    return {
        "name": one.name,
        "limit_usd": None if limit is None else usd(limit),
        "spent_usd": usd(balance.settled),
        "uncertain_usd": usd(balance.uncertain),
        "reserved_usd": usd(balance.reserved),
        "remaining_usd": None if limit is None else usd(max(0, limit - balance.committed)),
    }


def _change_facts(change: Change) -> dict[str, Any]:
    return {
        "at": datetime.fromtimestamp(change.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "event": change.event,
        "before_usd": None if change.before is None else usd(change.before),
        "after_usd": None if change.after is None else usd(change.after),
    }


def _dollars(amount: float | None, unknown: str) -> str:
    return unknown if amount is None else screen.dollars(amount)
