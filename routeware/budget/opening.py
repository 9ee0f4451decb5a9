"""Make a session, and find the one that is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from routeware.budget.ledger import Ledger
from routeware.budget.session import CURRENT_SESSION, Session

__all__ = ["current_session", "session"]


def current_session() -> Session | None:
    """Return the innermost session that is open here; ``None`` outside of any."""
    return CURRENT_SESSION.get()


def session(
    name: str | None = None,
    *,
    limit_usd: float | None = None,
    ledger: Ledger | None = None,
    on_unavailable: Literal["refuse"] | float = "refuse",
    attributes: Mapping[str, Any] | None = None,
    root: bool = False,
    replace_limit: bool = False,
) -> Session:
    """Make a session, to be entered with ``async with``.

    Args:
        name: shown in records, spans and errors; with a ledger, what the sum is kept under.
        limit_usd: a hard cap on what is committed inside; ``None`` for none.
        ledger: where the sum is kept. With one, the same name is the same sum: entered again, or by several at once.
        on_unavailable: what to do when the ledger cannot be asked. ``refuse`` raises ``LedgerUnavailableError``; an
            amount of dollars is what this session may spend meanwhile. The ledger gets it when it is back.
        attributes: put on every call span inside.
        root: start afresh instead of counting in the enclosing sessions, too.
        replace_limit: with a ledger, set ``limit_usd`` for all who share the name, whatever it was before.

    Raises:
        PolicyError: a limit that is no amount, a ledger without a name, or (on entering) a limit other than the
            one that the ledger knows for this name.
    """
    return Session(name, limit_usd, ledger, on_unavailable, attributes, root, replace_limit=replace_limit)
