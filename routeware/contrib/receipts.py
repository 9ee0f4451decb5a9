"""The ids that a ledger may forget: those of settlements that cannot come again.

A settlement is repeated until its answer arrives, so a ledger has to know a settled id for as long as a copy may come.
Keeping all ids that long would take memory for every attempt of a month. So the client acknowledges an id when it has
the answer, and the ledger forgets it a minute later. What stays are ids with a request that was not answered, because a
copy of it may still be on its way (behind a network that is away, in a buffer of a proxy).

Their time is bounded, too: the client repeats a settlement for ``repeat_s`` and refuses from then on, and the ledger
knows ids for twice as long. RIFL (Lee et al., SOSP 2015) does the same with numbers in place of ids.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from routeware.errors import PolicyError, RoutewareError

__all__ = ["ACKNOWLEDGED_S", "REPEAT_S", "Receipts", "known_s"]

REPEAT_S = 15 * 86400.0
"""The time for which a settlement is repeated, unless a ledger is built with another ``repeat_s``."""

ACKNOWLEDGED_S = 60.0
"""The time for which an id is kept after its client has acknowledged the answer."""

_MOST = 100_000
"""The number of unanswered ids that one client keeps: some 15 MB."""


def known_s(repeat_s: float) -> float:
    """Return how long a ledger has to know an id that was not acknowledged."""
    return 2 * repeat_s


class Receipts:
    """The answers that one client of a ledger has, and those that it lacks. Threads may share it."""

    def __init__(self, repeat_s: float) -> None:
        """Keep the receipts of a client that repeats a settlement for ``repeat_s`` seconds.

        Raises:
            PolicyError: ``repeat_s`` is not above 0.
        """
        if not repeat_s > 0:
            raise PolicyError(f"must be a time above 0, not {repeat_s!r}", key="repeat_s")
        self._repeat_s = repeat_s
        self._unanswered: dict[str, float] = {}
        self._blind_until = 0.0
        self._to_forget: deque[str] = deque(maxlen=_MOST)

    @property
    def pending(self) -> bool:
        """Return True if the ledger may forget something and does not know that yet."""
        return bool(self._to_forget)

    def unanswered(self, id: str) -> None:
        """Note that a request about ``id`` had no answer: a copy of it may arrive later."""
        now = time.monotonic()
        self._unanswered.setdefault(id, now)
        if len(self._unanswered) > _MOST:
            # Of the ids that are pushed out nothing is known any more. Until they cannot come again, only what was
            # held and settled without a gap is acknowledged.
            self._unanswered.pop(next(iter(self._unanswered)), None)
            self._blind_until = now + known_s(self._repeat_s)

    def allow(self, id: str) -> None:
        """Refuse to repeat a settlement that the ledger may have counted and forgotten.

        Raises:
            RoutewareError: its first request is more than ``repeat_s`` old.
        """
        first = self._unanswered.get(id)
        if first is not None and time.monotonic() - first > self._repeat_s:
            raise RoutewareError(
                f"the ledger did not answer this settlement for {self._repeat_s:g} s; it is not repeated any more,"
                " because the ledger may have counted it and forgotten that it did"
            )

    def answered(self, id: str, *, held: bool) -> None:
        """Note that the settlement of ``id`` was answered, and acknowledge it if no copy can be on its way.

        Args:
            id: what was settled.
            held: whether this client had the answer to its hold.
        """
        if self._unanswered.pop(id, None) is None and (held or time.monotonic() > self._blind_until):
            self._to_forget.append(id)

    def take(self, most: int) -> list[str]:
        """Take up to ``most`` ids that the ledger may forget, to tell it so."""
        taken: list[str] = []
        # One at a time: other threads may take, too.
        while self._to_forget and len(taken) < most:
            taken.append(self._to_forget.popleft())
        return taken

    def put_back(self, ids: Iterable[str]) -> None:
        """Keep ``ids`` for another time: the message did not reach the ledger."""
        self._to_forget.extend(ids)
