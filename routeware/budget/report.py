"""A session's report: calls and attempts counted as they end, as plain facts, as JSON or as a table to print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from routeware.money import usd
from routeware.observers import AttemptFacts
from routeware.records import AttemptStatus, AttemptTrigger

__all__ = ["AttemptSums", "CallCounts", "SessionReport", "report_of"]

# Looked up once: finding a member of an enumeration costs as much as counting an attempt.
_RACE, _SUCCEEDED, _RACE_LOST = AttemptTrigger.RACE, AttemptStatus.SUCCEEDED, AttemptStatus.RACE_LOST


class CallCounts:
    """Calls by outcome, attempts by link and status, and what racing cost and won.

    Attributes:
        calls: how many calls ended so.
        attempts: of the attempts at this link that ended so, how many there were, and their settled and uncertain sums.
        races: how many calls started a backup beside a running attempt.
        races_won: in how many of these the backup's answer was the first.
        race_nanos: what attempts cost, or may have cost, that lost a race.
    """

    __slots__ = ("_around", "attempts", "calls", "race_nanos", "races", "races_won")

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.attempts: dict[tuple[str, AttemptStatus | None], list[int]] = {}
        self.races = self.races_won = self.race_nanos = 0
        self._around: CallCounts | None = None

    def stand_in(self, around: CallCounts) -> None:
        """Count in ``around``, too, from now on."""
        self._around = around

    def add(self, outcome: str, attempts: Sequence[AttemptFacts]) -> None:
        """Count one call and its attempts, here and all around."""
        calls = self.calls
        calls[outcome] = calls.get(outcome, 0) + 1
        raced = False
        for attempt in attempts:
            status = attempt.status
            settled, uncertain = attempt.cost[:2]  # by place: names of a tuple's fields are read in C calls
            key = attempt.link.label, status
            sums = self.attempts.get(key)
            if sums is None:
                self.attempts[key] = [1, settled or 0, uncertain or 0]
            else:
                sums[0] += 1
                if settled:
                    sums[1] += settled
                if uncertain:
                    sums[2] += uncertain
            if attempt.trigger is _RACE:
                raced = True
                self.races_won += status is _SUCCEEDED
            if status is _RACE_LOST:
                self.race_nanos += (settled or 0) + (uncertain or 0)
        if raced:
            self.races += 1
        if self._around is not None:
            self._around.add(outcome, attempts)


@attrs.frozen(kw_only=True)
class AttemptSums:
    """All attempts at one link that ended in one way.

    Attributes:
        label: the link's label.
        status: how they ended.
        attempts: how many they were.
        spent_usd: what is settled of them; 0 for what has no price.
        uncertain_usd: what they may have cost besides.
    """

    label: str
    status: str
    attempts: int
    spent_usd: float
    uncertain_usd: float


@attrs.frozen(kw_only=True)
class SessionReport:
    """The figures of a session so far.

    The sums are the session's: with a ledger, those of all that count under its name, as last seen. Calls, attempts and
    races are those of this session object and of the sessions inside it, as they stood when each call ended.

    Attributes:
        name: of the session.
        limit_usd: its cap.
        spent_usd: settled.
        uncertain_usd: what may have been spent besides.
        reserved_usd: what running attempts have set aside.
        remaining_usd: the least that is left here and in the sessions around; ``None`` without a limit.
        calls: how many calls ended in each way.
        attempts: by link and status, the dearest first.
        races: how many calls started a backup beside a running attempt.
        races_won: in how many of them the backup's answer was taken.
        race_usd: what attempts cost, or may have cost, that lost a race.
    """

    name: str | None
    limit_usd: float | None
    spent_usd: float
    uncertain_usd: float
    reserved_usd: float
    remaining_usd: float | None
    calls: dict[str, int]
    attempts: tuple[AttemptSums, ...]
    races: int
    races_won: int
    race_usd: float

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {**attrs.asdict(self), "attempts": [attrs.asdict(row) for row in self.attempts]}

    def __str__(self) -> str:
        """Return the report as a table, in plain text."""
        sums = {"spent": self.spent_usd, "uncertain": self.uncertain_usd, "reserved": self.reserved_usd}
        calls = ", ".join(f"{count} {outcome}" for outcome, count in self.calls.items())
        lines = [
            f"session {self.name or '(no name)'}: "
            + ", ".join(f"{_dollars(amount)} {what}" for what, amount in sums.items()),
            self._left(),
            f"{sum(self.calls.values())} calls" + (f": {calls}" if calls else ""),
        ]
        if self.races:
            lines.append(
                f"{self.races} races, {self.races_won} won by the backup; losers cost {_dollars(self.race_usd)}"
            )
        return "\n".join([*lines, *_table(self.attempts)])

    def _left(self) -> str:
        if self.remaining_usd is None:
            return "no limit"
        return f"{_dollars(self.remaining_usd)} left" + (f" of {_dollars(self.limit_usd)}" if self.limit_usd else "")


def report_of(counts: CallCounts, **figures: Any) -> SessionReport:
    """Make the report of a session from what was counted in it and its figures of this moment."""
    return SessionReport(
        **figures,
        calls=dict(counts.calls),
        attempts=_rows(counts),
        races=counts.races,
        races_won=counts.races_won,
        race_usd=usd(counts.race_nanos),
    )


def _rows(counts: CallCounts) -> tuple[AttemptSums, ...]:
    rows = [
        AttemptSums(
            label=label,
            status=status.value if status is not None else "unknown",
            attempts=attempts,
            spent_usd=usd(settled),
            uncertain_usd=usd(uncertain),
        )
        for (label, status), (attempts, settled, uncertain) in counts.attempts.items()
    ]
    return tuple(sorted(rows, key=lambda row: -(row.spent_usd + row.uncertain_usd)))


def _table(rows: Sequence[AttemptSums]) -> list[str]:
    if not rows:
        return []
    cells = [("link", "status", "attempts", "spent", "uncertain")]
    cells += [
        (row.label, row.status, str(row.attempts), _dollars(row.spent_usd), _dollars(row.uncertain_usd)) for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["", *("  ".join(_aligned(row, widths)).rstrip() for row in cells)]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    names, numbers = list(zip(row, widths, strict=True))[:2], list(zip(row, widths, strict=True))[2:]
    return [text.ljust(width) for text, width in names] + [text.rjust(width) for text, width in numbers]


def _dollars(amount: float) -> str:
    whole, _, fraction = f"{amount:,.9f}".partition(".")
    digits = fraction.rstrip("0")
    return f"${whole}.{digits.ljust(2, '0')}"
