"""The outcomes of the requests: counted, added up to the last digit, compared, and how well this machine kept up.

A request that was not answered is late in both columns, however quickly it failed: counting answered requests alone, a
provider that refuses its slow ones would look fast. Intervals come from resampled requests (Efron 1979), both columns
of a request together, for the two met the same fate.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from math import ceil, floor, inf
from time import perf_counter

import attrs

from routeware import AttemptStatus, CallRecord
from routeware.money import nanos, usd

__all__ = [
    "MOST_LAG_MS",
    "Answer",
    "Change",
    "Column",
    "Money",
    "Pace",
    "changes",
    "measured_lag",
    "money",
    "most_telling",
    "quantile",
    "tally",
]

_RESAMPLES = 300
_LOW, _HIGH = 0.05, 0.95
# Half of a percent is what the output rounds away.
_NOTHING = 0.005


@attrs.frozen(kw_only=True)
class Change:
    """The change of a quantile, as a share of what it was (-0.5 is half), with its 90 % interval; ``None``: unknown."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def noise(self) -> bool:
        """True if chance alone may have made it: the interval holds 0, or has no ends."""
        return self.low is None or self.high is None or (self.low <= _NOTHING and self.high >= -_NOTHING)


def changes(
    before: Sequence[float], after: Sequence[float], quantiles: Mapping[str, float], *, seed: int
) -> dict[str, Change]:
    """Return the change of each quantile: of how long a request took, infinite where it was not answered."""
    dice, pairs = random.Random(seed), list(zip(before, after, strict=True))
    drawn: dict[str, list[float | None]] = {name: [] for name in quantiles}
    for _ in range(_RESAMPLES):
        sample = dice.choices(pairs, k=len(pairs))
        first, second = (sorted(pair[column] for pair in sample) for column in (0, 1))
        for name, q in quantiles.items():
            drawn[name].append(_change(_at(first, q), _at(second, q)))
    return {
        name: _with_interval(_change(quantile(before, q), quantile(after, q)), drawn[name])
        for name, q in quantiles.items()
    }


def quantile(values: Sequence[float], q: float) -> float | None:
    """Return a quantile, linear between the two nearest ranks (Hyndman and Fan 1996, type 7).

    ``None`` without values, and where it is one that was not answered.
    """
    return _at(sorted(values), q)


def _at(ordered: Sequence[float], q: float) -> float | None:
    if not ordered:
        return None
    place = q * (len(ordered) - 1)
    low, high = ordered[floor(place)], ordered[ceil(place)]
    return None if high == inf else low + (place - floor(place)) * (high - low)


def _with_interval(value: float | None, drawn: Sequence[float | None]) -> Change:
    known = sorted(each for each in drawn if each is not None)
    # In a resample without the quantile the change is unknown, and so is an end of the interval.
    whole = len(known) == len(drawn)
    return Change(value=value, low=_at(known, _LOW) if whole else None, high=_at(known, _HIGH) if whole else None)


def _change(before: float | None, after: float | None) -> float | None:
    return None if not before or after is None else after / before - 1.0


MOST_LAG_MS = 150.0
"""How late this machine may be, in the providers' time, before its times are not worth showing."""

_EVERY_S = 0.005
_TYPICAL = 0.95


@attrs.frozen(kw_only=True)
class Pace:
    """The lateness of this machine in the providers' own time: of its event loop, and of bare requests.

    Both are 95th percentiles. A bare request is late by what it took longer than its provider meant it to.
    """

    loop_lag_ms: float
    overhead_ms: float

    @property
    def busy(self) -> bool:
        """True if the times are not to be believed."""
        return max(self.loop_lag_ms, self.overhead_ms) > MOST_LAG_MS

    @classmethod
    def of(cls, lags_s: Sequence[float], overheads_ms: Sequence[float], speed_up: float) -> Pace:
        """Sum up what was measured: the loop's in seconds of this machine, the requests' in the providers' time."""
        lag_s = quantile(lags_s, _TYPICAL) or 0.0
        return cls(loop_lag_ms=lag_s * 1000 * speed_up, overhead_ms=quantile(overheads_ms, _TYPICAL) or 0.0)


@asynccontextmanager
async def measured_lag() -> AsyncGenerator[list[float]]:
    """Yield a list that fills with how late, in seconds, a timer of this loop rings, again and again."""
    lags: list[float] = []
    ticking = asyncio.create_task(_tick(lags))
    try:
        yield lags
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])


async def _tick(lags: list[float]) -> None:
    while True:
        due = perf_counter() + _EVERY_S
        await asyncio.sleep(_EVERY_S)
        lags.append(max(perf_counter() - due, 0.0))


@attrs.frozen(kw_only=True)
class Answer:
    """The outcome of one request, in the providers' own time.

    A stream is timed to its first item, answered with it, and ``stalled`` if one after it was late: a bare caller waits
    it out, a routed one is cut off. Uncertain is what may have been spent in addition to the cost, wasted what of both
    did not give the answer; ``None`` is unknown. ``attempts`` were really sent.
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
    """One column of the table: the sums of its answers, and quantiles of the time that their callers waited.

    A quantile is ``None`` where that request had no answer, an amount if it is unknown for one of them; ``on_time``
    counts answers within the policy's target, and is ``None`` without one.
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
    """Return the most telling call: one that failed over, raced and answered, if there is one; the first such."""
    return max(records, key=_told, default=None)


def _told(record: CallRecord) -> tuple[bool, int, int]:
    statuses = {attempt.status for attempt in record.attempts}
    return AttemptStatus.SUCCEEDED in statuses, len(statuses), len(record.attempts)


def _sum_usd(amounts: Iterable[int | None]) -> float | None:
    known = list(amounts)
    return None if None in known else usd(sum(amount for amount in known if amount is not None))
