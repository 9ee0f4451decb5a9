"""What a ledger says of a tally that it keeps."""

from __future__ import annotations

import attrs

from routeware.budget import Balance

__all__ = ["Kept"]


@attrs.frozen
class Kept:
    """One tally as it is kept.

    Attributes:
        name: the session's name.
        balance: what it stands at.
        limited: whether a session was entered with it, which fixes its limit.
        limit_nanos: the cap in nano-dollars; ``None`` for none.
    """

    name: str
    balance: Balance
    limited: bool
    limit_nanos: int | None
