"""A tally in a ledger that outlives its processes: its balance, and the changes made by hand."""

from __future__ import annotations

from typing import Literal

import attrs

from routeware.budget import Balance
from routeware.errors import PolicyError

__all__ = ["HISTORY", "Change", "Kept", "check_name"]

HISTORY = 100
"""The number of changes that are kept of a tally."""


@attrs.frozen
class Kept:
    """One tally as it is kept.

    Attributes:
        name: the session's name.
        balance: what is settled, uncertain and reserved.
        limited: whether a session was entered with it, which fixes its limit.
        limit_nanos: the cap in nano-dollars; ``None`` for none.
    """

    name: str
    balance: Balance
    limited: bool
    limit_nanos: int | None


@attrs.frozen
class Change:
    """A change of a tally that no attempt made.

    Attributes:
        at: when, in seconds since 1970 by the clock of the server (of the host, for a file).
        event: ``limit`` was set, or the uncertain sum was released.
        before: the limit or the uncertain sum before, in nano-dollars; ``None`` for no limit.
        after: the same afterwards.
    """

    at: float
    event: Literal["limit", "release"]
    before: int | None
    after: int | None


def check_name(name: str) -> None:
    """Refuse a name that cannot be encoded: it has half of a surrogate pair in it.

    Raises:
        PolicyError: it cannot.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise PolicyError(
            f"{name!r} cannot be a session's name in a ledger: it is not valid Unicode", key="name"
        ) from None
