"""The outcomes of the requests: counted, added up to the last digit, and the call that is worth drawing.

A request without an answer is late in both columns, whatever it took to fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any

import attrs

from routeware import AttemptStatus, CallRecord
from routeware.demo.compare import quantile
from routeware.money import nanos, usd

__all__ = ["Answer", "Column", "Money", "in_own_time", "money", "most_telling", "tally"]


@attrs.frozen(kw_only=True)
class Answer:
    """The outcome of one request.

    Attributes:
        took_ms: in the providers' own time; of a stream, to its first item.
        answered: whether there was an answer, or a stream's first item.
        cost_nanos: what is known to be spent, in nano-dollars.
        uncertain_nanos: what may have been spent in addition; ``None`` if unknown.
        wasted_nanos: of both, what did not give the answer; ``None`` if unknown.
        attempts: requests that were really sent.
        raced: whether a race was started.
        stalled: whether a stream stalled after its first item: a bare caller waits it out, a routed one is cut off.
        record: of the routed call; ``None`` for a bare one.
    """

    took_ms: float
    answered: bool
    cost_nanos: int
    uncertain_nanos: int | None = 0
    wasted_nanos: int | None = 0
    attempts: int = 1
    raced: bool = False
    stalled: bool = False
    record: CallRecord | None = None

    @property
    def waited_ms(self) -> float:
        """The time that its caller waited for an answer; infinite without one."""
        return self.took_ms if self.answered else inf

    def asked(self, provider: str) -> bool:
        """Say whether a request was sent to this provider."""
        attempts = self.record.attempts if self.record is not None else ()
        return any(each.provider == provider and each.status is not AttemptStatus.SKIPPED for each in attempts)


@attrs.frozen(kw_only=True)
class Column:
    """One column of the table.

    Attributes:
        requests: how many there were.
        answered: how many had an answer.
        on_time: how many had one within the policy's target; ``None`` without a target.
        attempts: requests that were really sent.
        raced: calls in which a race was started.
        stalled: streams that stalled after their first item.
        p50_ms: the median in the providers' own time; ``None`` where that request had no answer.
        p95_ms: the 95th percentile; ``None`` where that request had no answer.
        p99_ms: the 99th percentile; ``None`` where that request had no answer.
        spent_usd: what is known to be spent.
        uncertain_usd: what may have been spent in addition; ``None`` if unknown.
        wasted_usd: of both, what did not give the answer; ``None`` if unknown.
    """

    requests: int
    answered: int
    on_time: int | None
    attempts: int
    raced: int
    stalled: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    spent_usd: float
    uncertain_usd: float | None
    wasted_usd: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return attrs.asdict(self)


@attrs.frozen(kw_only=True)
class Money:
    """The records' sums and the session's, in nano-dollars: settled and uncertain."""

    records_settled: int
    records_uncertain: int
    session_settled: int
    session_uncertain: int
    limit_usd: float

    @property
    def adds_up(self) -> bool:
        """True if they are the same to the last digit."""
        return (self.records_settled, self.records_uncertain) == (self.session_settled, self.session_uncertain)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {**attrs.asdict(self), "adds_up": self.adds_up}


def tally(answers: Sequence[Answer], target_ms: float | None = None) -> Column:
    """Add up one column of the table."""
    waited = [answer.waited_ms for answer in answers]
    return Column(
        requests=len(answers),
        answered=sum(answer.answered for answer in answers),
        on_time=None if target_ms is None else sum(each_ms <= target_ms for each_ms in waited),
        attempts=sum(answer.attempts for answer in answers),
        raced=sum(answer.raced for answer in answers),
        stalled=sum(answer.stalled for answer in answers),
        p50_ms=quantile(waited, 0.50),
        p95_ms=quantile(waited, 0.95),
        p99_ms=quantile(waited, 0.99),
        spent_usd=usd(sum(answer.cost_nanos for answer in answers)),
        uncertain_usd=_sum_usd(answer.uncertain_nanos for answer in answers),
        wasted_usd=_sum_usd(answer.wasted_nanos for answer in answers),
    )


def money(answers: Iterable[Answer], spent_usd: float, uncertain_usd: float, limit_usd: float) -> Money:
    """Return the sums of the routed calls and those of their session."""
    kept = list(answers)
    return Money(
        records_settled=sum(answer.cost_nanos for answer in kept),
        records_uncertain=sum(answer.uncertain_nanos or 0 for answer in kept),
        session_settled=nanos(spent_usd),
        session_uncertain=nanos(uncertain_usd),
        limit_usd=limit_usd,
    )


def most_telling(records: Iterable[CallRecord]) -> CallRecord | None:
    """Return the call that shows most: one that failed over, raced and answered, if there is one; the first such."""
    return max(records, key=_told, default=None)


def in_own_time(record: CallRecord, speed_up: float) -> CallRecord:
    """Return the record as if nothing had been sped up."""
    attempts = (
        attrs.evolve(
            one,
            started_ms=one.started_ms * speed_up,
            duration_ms=one.duration_ms * speed_up,
            first_item_ms=_times(one.first_item_ms, speed_up),
        )
        for one in record.attempts
    )
    return attrs.evolve(
        record,
        attempts=tuple(attempts),
        duration_ms=record.duration_ms * speed_up,
        first_item_ms=_times(record.first_item_ms, speed_up),
        race_after_ms=_times(record.race_after_ms, speed_up),
    )


def _times(amount_ms: float | None, speed_up: float) -> float | None:
    return None if amount_ms is None else amount_ms * speed_up


def _told(record: CallRecord) -> tuple[bool, int, int]:
    statuses = {attempt.status for attempt in record.attempts}
    return AttemptStatus.SUCCEEDED in statuses, len(statuses), len(record.attempts)


def _sum_usd(amounts: Iterable[int | None]) -> float | None:
    known = list(amounts)
    return None if None in known else usd(sum(amount for amount in known if amount is not None))
