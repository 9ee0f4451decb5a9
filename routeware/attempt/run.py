"""The facts of one attempt while it lasts, and of the call that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from routeware.attempt.handle import CURRENT, Attempt
from routeware.attempt.lane import Hooks, Lane
from routeware.budget import Reservation, Session
from routeware.classify import ErrorSnapshot
from routeware.records import AttemptStatus, AttemptTrigger, CostSource
from routeware.telemetry import CallTrace, Meters

__all__ = ["Run", "Scope", "live_run"]


class Scope:
    """What the attempts of one call share.

    Attributes:
        owner: the instance that the decorated method was called on, or ``UNBOUND``.
        committed: what this call has committed, in nano-dollars, for its own cap.
        capped: whether any cap is in force.
    """

    hooks: Hooks
    loop: asyncio.AbstractEventLoop
    owner: object
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    session: Session | None = None
    booked_in: Session | None = None
    trace: CallTrace | None = None
    meters: Meters | None = None
    committed: int = 0
    capped: bool = False
    # Worked out when first needed, once per call.
    input_tokens: int | None = None
    output_limit: int | None = None


class Run(Attempt):
    """An attempt with all that the engine knows of it; the provider function sees it as an :class:`Attempt`.

    Most of it never changes for most attempts, so it stands on the class: making an attempt costs what differs.

    Attributes:
        lane: the link, prepared.
        scope: the call.
        trigger: why it was started.
        started: when, on the loop's clock.
        ended: when the function ended, or the attempt was cut off or timed out; ``None`` while it runs.
        due: when its own time is up; ``None`` without a time-out.
        task: the task it runs in, where that is not the caller's.
        raced: whether another attempt was in flight beside it.
        cut: whether it was cut off: from then on its cancellation is ours.
        returned: when the function had returned or raised, whatever had been decided about the attempt before.
        called: whether the provider function was called at all.
        apart: whether it runs in a task of its own.
        replied: whether the function gave a result.
        answered: whether that was accepted, too: the attempt succeeded.
        result: what the function gave, where it ``replied``.
        error: what the function raised.
        concluded: whether it has been settled and told, as far as anybody will ask.
        free: whether it failed in a way that the provider does not bill.
        failure: why the attempt failed, as callers see it: ``error``, or an error of ours from it.
    """

    started: float = 0.0
    ended: float | None = None
    due: float | None = None
    task: asyncio.Task[None] | None = None
    apart: bool = False
    status: AttemptStatus | None = None
    cut: bool = False
    called: bool = False
    replied: bool = False
    answered: bool = False
    raced: bool = False
    result: Any = None
    error: BaseException | None = None
    failure: BaseException | None = None
    snapshot: ErrorSnapshot | None = None
    free: bool = False
    # Money, in nano-dollars. ``None`` is unknown.
    reservation: Reservation | None = None
    projection: int | None = None
    projected: bool = False
    container: bool = False
    straggling: bool = False
    booked: bool = False
    concluded: bool = False
    settled: int | None = 0
    uncertain: int | None = 0
    cost_source: CostSource | None = None
    over_projection: bool = False
    # The moment in ns at which its span ends, where that was stamped; how long it took to end after it was cut off.
    end_ns: int | None = None
    returned: float | None = None
    cleanup_s: float | None = None

    def __init__(self, lane: Lane, scope: Scope, number: int, trigger: AttemptTrigger) -> None:
        self.link = lane.link
        self.number = number
        self.lane = lane
        self.scope = scope
        self.trigger = trigger

    @property
    def misused(self) -> bool:
        """Whether the function could not even be called: that is between it and the caller, and nothing ran."""
        return not self.called and self.error is not None

    def _reported(self) -> None:
        usage = self.usage
        if usage is not None and usage.output_tokens is not None:
            habits = self.lane.habits
            habits.largest_output = max(habits.largest_output, usage.output_tokens)
        if self.booked:
            self._correct()

    def take_reports(self) -> bool:
        """Settle at what was reported, where something was that can be priced; says whether that is so."""
        if self.reported_nanos is not None:
            self.settled, self.cost_source = self.reported_nanos, "reported"
            return True
        amount = None if self.usage is None else self.lane.cost(self.usage)
        if amount is None:
            return False
        self.settled, self.cost_source = amount, "priced"
        return True

    def _correct(self) -> None:
        # Reported after it was settled: the session's books are corrected, the span and the record are closed.
        if self.take_reports():
            self.uncertain = 0
            if self.reservation is not None and self.settled is not None:
                self.reservation.settle(self.settled, 0)


def live_run() -> Run | None:
    """The attempt that this code runs in, if it is still running: what calls from here are part of."""
    attempt = CURRENT.get()
    if not isinstance(attempt, Run) or attempt.ended is not None or attempt.replied:
        # One that has its reply (and is asking somebody whether to accept it) has been paid for.
        return None
    return attempt
