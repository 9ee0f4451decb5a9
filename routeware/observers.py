"""The observers of calls, and the facts that they get.

Spans, metrics, log lines, a session's counts and the latency learner are listeners. Each is called at a moment of a
call's life with the call or the attempt itself, seen through a protocol that it can only read. The facts are complete
by then. A call to which nothing listens has no listeners at all, so whatever they would work out is not worked out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from routeware.classify import ErrorSnapshot
from routeware.money import Usage, usd
from routeware.policy import Link
from routeware.records import AttemptStatus, AttemptTrigger, CallOutcome, CostSource, SkipReason, StreamEnd

__all__ = [
    "FOREIGN",
    "AttemptFacts",
    "CallFacts",
    "Cost",
    "Cut",
    "Failure",
    "failed_attempt",
    "report_broken",
    "sums_of",
]

logger = logging.getLogger("routeware")

FOREIGN = (Exception, asyncio.CancelledError)
"""What hooks and listeners may raise without failing a call: a CancelledError would pass for the caller's own."""


class Cost(NamedTuple):
    """The cost of an attempt, in nano-dollars.

    Attributes:
        settled: what is known; ``None`` if the price is unknown.
        uncertain: what may have been spent besides; ``None`` if the price is unknown.
        source: where the figure comes from; ``None`` if there is none.
        usage: the tokens that it used, where they are known.
        response_model: the model that answered, where the reply says so.
        exceeded: the projection that the settled amount exceeds; ``None`` if it does not.
        unpriced: the counts that have no price, and so are in no figure.
    """

    settled: int | None = 0
    uncertain: int | None = 0
    source: CostSource | None = None
    usage: Usage | None = None
    response_model: str | None = None
    exceeded: int | None = None
    unpriced: tuple[str, ...] = ()

    @property
    def amount_usd(self) -> float | None:
        """The one figure to show, in dollars: an estimate where there is nothing better."""
        amount = self.settled
        if self.source == "estimated" and amount is not None:
            amount += self.uncertain or 0
        return None if amount is None else usd(amount)


class Cut(NamedTuple):
    """The moment at which an attempt was cut off: on the loop's clock, and in nanoseconds since the epoch."""

    at: float
    at_ns: int


class Failure:
    """The failure of an attempt, and its meaning for the call.

    Attributes:
        error: the error, as callers see it.
        fails_over: True if the next link may be tried.
        not_billed: True if the provider does not bill it.
    """

    __slots__ = ("_classify", "_snapshot", "error", "fails_over", "not_billed")

    def __init__(
        self,
        error: BaseException,
        classify: Callable[[BaseException], ErrorSnapshot],
        fails_over: bool,
        not_billed: bool,
        snapshot: ErrorSnapshot | None = None,
    ) -> None:
        self.error = error
        self.fails_over = fails_over
        self.not_billed = not_billed
        self._classify = classify
        self._snapshot = snapshot

    @property
    def snapshot(self) -> ErrorSnapshot:
        """The full classification. It is worked out when first asked for: most failures are never looked at."""
        if self._snapshot is None:
            self._snapshot = self._classify(self.error)
        return self._snapshot


class AttemptFacts(Protocol):
    """An attempt, as listeners see it."""

    @property
    def number(self) -> int:
        """Its place among the call's attempts, from 1."""
        ...

    @property
    def link(self) -> Link:
        """The link that it tried."""
        ...

    @property
    def trigger(self) -> AttemptTrigger:
        """The reason for its start."""
        ...

    @property
    def timeout_ms(self) -> float | None:
        """Its time-out; ``None`` without one."""
        ...

    @property
    def status(self) -> AttemptStatus | None:
        """Its status; ``None`` while it runs."""
        ...

    @property
    def skip_reason(self) -> SkipReason | None:
        """The reason for skipping its link, if it was skipped."""
        ...

    @property
    def started(self) -> float:
        """The time of its start, on the loop's clock."""
        ...

    @property
    def ended(self) -> float | None:
        """The time at which it ended, timed out or was cut off, on the loop's clock."""
        ...

    @property
    def cut(self) -> Cut | None:
        """The time at which it was cut off, if it was."""
        ...

    @property
    def has_value(self) -> bool:
        """True if its function gave a result, accepted or not."""
        ...

    @property
    def duration_ms(self) -> float:
        """Its duration, until it ended or was cut off."""
        ...

    @property
    def cost(self) -> Cost:
        """Its cost, computed when first read. Read it only after the attempt has ended."""
        ...

    @property
    def failure(self) -> Failure | None:
        """Its failure, if it failed."""
        ...

    @property
    def items(self) -> int | None:
        """The number of items that a stream's reader has got; ``None`` for a plain function."""
        ...

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """The model's reasons to stop, as far as a stream's items give them."""
        ...

    @property
    def first_item_s(self) -> float | None:
        """The time to a stream's first item; ``None`` without one."""
        ...

    @property
    def cleanup_s(self) -> float | None:
        """The time that it took to end after it was cut off, if it was."""
        ...


class CallFacts(Protocol):
    """A call, as listeners see it."""

    @property
    def attempts(self) -> Sequence[AttemptFacts]:
        """Its attempts in the order of their starts, skipped links included."""
        ...

    @property
    def outcome(self) -> CallOutcome:
        """Its outcome."""
        ...

    @property
    def winner(self) -> AttemptFacts | None:
        """The attempt whose result the caller gets."""
        ...

    @property
    def error(self) -> BaseException | None:
        """The error that it raises."""
        ...

    @property
    def is_exhausted(self) -> bool:
        """True if it raises one of routeware's errors because every link failed."""
        ...

    @property
    def began(self) -> float:
        """The time of its start, on the loop's clock."""
        ...

    @property
    def ended(self) -> float:
        """The time of its end, on the loop's clock."""
        ...

    @property
    def race_after_s(self) -> float | None:
        """The race threshold in force; ``None`` without racing."""
        ...

    @property
    def race_source(self) -> str | None:
        """The source of the threshold."""
        ...

    @property
    def swapped(self) -> bool:
        """True if a latency target sent it to the backup first."""
        ...

    @property
    def stream_end(self) -> StreamEnd | None:
        """The end of a stream; ``None`` for a plain call."""
        ...

    @property
    def session_spent_usd(self) -> float | None:
        """The dollars that its session has spent so far; ``None`` without a session."""
        ...


def sums_of(call: CallFacts, costs: Sequence[Cost] | None = None) -> tuple[float | None, float | None, float | None]:
    """Add up what the attempts of ``call`` cost, in dollars; ``None`` for a sum that is unknown.

    Args:
        call: the call.
        costs: what each attempt cost, if it is at hand.

    Returns:
        What is settled, what is uncertain, and both of all but the winner.
    """
    attempts = call.attempts
    if len(attempts) == 1 and attempts[0] is call.winner:  # most calls, in half of the time
        settled_now, uncertain_now, *_ = attempts[0].cost if costs is None else costs[0]
        if settled_now is None or uncertain_now is None:
            return None if attempts[0].has_value else 0.0, None, 0.0
        return usd(settled_now), usd(uncertain_now), 0.0
    settled = uncertain = wasted = 0
    known = answer_known = waste_known = True
    winner = call.winner
    for attempt, cost in zip(attempts, [one.cost for one in attempts] if costs is None else costs, strict=True):
        settled_now, uncertain_now, *_ = cost
        if settled_now is None or uncertain_now is None:
            known = False
            if attempt is not winner:
                waste_known = False
            if attempt.has_value:
                answer_known = False
            continue
        settled += settled_now
        uncertain += uncertain_now
        if attempt is not winner:
            wasted += settled_now + uncertain_now
    return (
        usd(settled) if answer_known else None,
        usd(uncertain) if known else None,
        usd(wasted) if waste_known else None,
    )


def failed_attempt(call: CallFacts, error: BaseException) -> AttemptFacts | None:
    """Find the attempt that ``error`` is about, or was raised from; ``None`` if it is about none.

    Links may raise one object. The last of them to end is meant.
    """
    found = [
        attempt
        for attempt in call.attempts
        if attempt.failure is not None
        and (attempt.failure.error is error or attempt.failure.error is error.__cause__)  # an error may define __eq__
    ]
    return max(reversed(found), key=lambda attempt: attempt.ended or 0.0, default=None)


def report_broken(broken: set[str], listener: str, error: BaseException) -> None:
    """Log that ``listener`` failed, once, without text or traceback: these may quote a provider."""
    if listener not in broken:
        broken.add(listener)
        said = "%s failed (%s); calls go on without it", listener, type(error).__qualname__
        try:
            logger.warning(*said)
        except FOREIGN:
            # The log itself is what is broken. What Python falls back on without a log has no filter of the program.
            if logging.lastResort is not None:
                logging.lastResort.handle(
                    logging.LogRecord(logger.name, logging.WARNING, "", 0, said[0], said[1:], None)
                )
