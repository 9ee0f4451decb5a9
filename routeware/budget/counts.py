"""What happened in a session, counted as it happens: what a report is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from routeware.records import AttemptStatus, AttemptTrigger

__all__ = ["Counts", "Ended", "Sums"]


# Looked up once: finding a member of an enumeration costs as much as counting an attempt.
_RACE, _SUCCEEDED, _RACE_LOST = AttemptTrigger.RACE, AttemptStatus.SUCCEEDED, AttemptStatus.RACE_LOST


class Ended(Protocol):
    """An attempt that has ended, with what it was settled at, in nano-dollars; ``None`` where that is unknown."""

    @property
    def label(self) -> str:
        """The link's label."""
        ...

    status: AttemptStatus | None
    trigger: AttemptTrigger
    settled: int | None
    uncertain: int | None


class Sums:
    """How many attempts, and what they cost, in nano-dollars."""

    __slots__ = ("attempts", "settled", "uncertain")

    def __init__(self) -> None:
        self.attempts = 0
        self.settled = 0
        self.uncertain = 0


class Counts:
    """Calls by outcome, attempts by link and status, and what racing came to.

    Attributes:
        calls: how many calls ended so.
        attempts: what the attempts at this link that ended so come to.
        races: how many calls started a backup beside a running attempt.
        races_won: in how many of these the backup's answer was the first.
        race_nanos: what attempts cost, or may have cost, that lost a race.
    """

    __slots__ = ("attempts", "calls", "race_nanos", "races", "races_won")

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.attempts: dict[tuple[str, AttemptStatus | None], Sums] = {}
        self.races = 0
        self.races_won = 0
        self.race_nanos = 0

    def add(self, outcome: str, attempts: Sequence[Ended]) -> None:
        """Count one call and its attempts."""
        self.calls[outcome] = self.calls.get(outcome, 0) + 1
        raced = False
        for attempt in attempts:
            status, settled, uncertain = attempt.status, attempt.settled or 0, attempt.uncertain or 0
            key = (attempt.label, status)
            sums = self.attempts.get(key)
            if sums is None:
                sums = self.attempts[key] = Sums()
            sums.attempts += 1
            sums.settled += settled
            sums.uncertain += uncertain
            if attempt.trigger is _RACE:
                raced = True
                self.races_won += status is _SUCCEEDED
            if status is _RACE_LOST:
                self.race_nanos += settled + uncertain
        self.races += raced
