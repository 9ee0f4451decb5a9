"""The output of ``routeware budget``: tables for people, plain facts for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from routeware.cli import screen
from routeware.cli.layout import table
from routeware.text import visible

if TYPE_CHECKING:
    from routeware.contrib.kept import Change, Kept

__all__ = ["facts", "history_facts", "show_history", "show_limit", "show_sessions"]


def show_sessions(kept: Sequence[Kept]) -> None:
    """Print a row for each session."""
    if not kept:
        screen.write("no sessions")
        return
    rows = [["session", "limit", "spent", "uncertain", "reserved", "left"]]
    for one in kept:
        of = facts(one)
        amounts = [of[key] for key in ("limit_usd", "spent_usd", "uncertain_usd", "reserved_usd", "remaining_usd")]
        rows.append([visible(one.name), *map(_amount, amounts)])
    screen.write(table(rows, flexible=0, right=range(1, 6)))


def show_history(changes: Sequence[Change]) -> None:
    """Print a row for each change; nothing if there are none."""
    if not changes:
        return
    rows = [["changed at (UTC)", "what", "from", "to"]]
    for change in changes:
        of = _change_facts(change)
        what = "limit set" if change.event == "limit" else "uncertain released"
        rows.append([of["at"], what, _limit(change.before), _limit(change.after)])
    screen.write("\n" + table(rows, flexible=1, right=(2, 3)))


def show_limit(before: Kept, after: Kept) -> None:
    """Print one line: a session's limit before and after."""
    screen.write(f"{visible(after.name)}: limit {_limit(before.limit_nanos)} -> {_limit(after.limit_nanos)}")


def facts(one: Kept) -> dict[str, Any]:
    """Return what there is to know of a session, in dollars."""
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


def history_facts(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Return changes for JSON, in dollars."""
    return [_change_facts(change) for change in changes]


def _change_facts(change: Change) -> dict[str, Any]:
    from routeware.money import usd

    return {
        "at": datetime.fromtimestamp(change.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "event": change.event,
        "before_usd": None if change.before is None else usd(change.before),
        "after_usd": None if change.after is None else usd(change.after),
    }


def _amount(amount: float | None) -> str:
    return "-" if amount is None else screen.dollars(amount)


def _limit(nanos: int | None) -> str:
    from routeware.money import usd

    return "none" if nanos is None else screen.dollars(usd(nanos))
