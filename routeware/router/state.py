"""Where one call stands."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from routeware.attempt import Hooks, Run, Scope
from routeware.budget import Reservation
from routeware.errors import BudgetExceededError
from routeware.race import Alarm
from routeware.records import CallOutcome
from routeware.router.plan import Plan
from routeware.threshold import Decision

__all__ = ["Asking", "Call"]


class Asking:
    """A backup whose projection a remote ledger is being asked for, in a task of its own."""

    __slots__ = ("run", "task")

    def __init__(self, run: Run, task: asyncio.Task[None]) -> None:
        self.run = run
        self.task = task


class Call(Scope):
    """One call: what it was asked to do, and where it stands.

    Attributes:
        entry: how many cancellations of the caller's task were pending when the call began.
        outer: what the attempt that this call is made in held, given back to make room for this call.
        left_counted: how many cancellations of its task are nobody's: a TaskGroup has left them counted.
        cursor: the place in the chain of the next link to try.
        started: how many attempts were started.
        runs: all attempts, skipped links included, in the order of their starts.
        flying: attempts in flight, in tasks of their own, in the order of their starts.
        leaving: attempts that were cut off or timed out, and whose tasks have not been seen to end.
        race_after_s: the threshold in force for this call; ``None`` without racing.
        race_source: where it came from.
        decision: what the learner of the policy's target said; ``None`` without a target.
        latest_start: when the newest attempt was started, on the loop's clock.
        attempts_left: how many attempts may still be started: neither links nor attempts have run out.
        racing: whether a race may still be started before the next ordinary start.
        failure: the failure that ended last, as callers see it.
        fatal: the first failure that is not failed over.
        refusal: the newest refusal of a budget.
        deadline: when the whole call is out of time, on the loop's clock.
        heard: whether spans or log lines of this call go anywhere.
        counted: whether anybody will see what attempts cost, without asking for the record.
        remote: whether a ledger outside of this process counts this call.
        untidy: whether messages to ledgers, or results that nobody gets, may be left to clear away.
    """

    outcome: CallOutcome = "failed"
    outer: Reservation | None = None
    left_counted: int = 0
    cursor: int = 0
    started: int = 0
    latest_start: float = 0.0
    race_after_s: float | None = None
    race_source: str | None = None
    decision: Decision | None = None
    racing: bool = False
    asking: Asking | None = None
    failure: BaseException | None = None
    fatal: BaseException | None = None
    refusal: BudgetExceededError | None = None
    winner: Run | None = None
    deadline: float | None = None
    ended: float = 0.0
    heard: bool = False
    counted: bool = False
    untidy: bool = False
    remote: bool = False

    def __init__(
        self,
        plan: Plan,
        hooks: Hooks,
        owner: object,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        attributes: Mapping[str, Any] | None,
    ) -> None:
        self.plan = plan
        self.lanes = plan.lanes or plan.ask_prices()
        self.hooks = hooks
        self.owner = owner
        self.args = args
        self.kwargs = kwargs
        self.attributes = attributes
        self.loop = loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a routed function has to be awaited in an asyncio task")
        self.entry = task.cancelling()
        self.alarm = Alarm(loop, task)
        self.began = loop.time()
        if plan.deadline_s is not None:
            self.deadline = self.began + plan.deadline_s
        if plan.learner is not None:
            self._follow(plan.learner.decide())
        elif plan.race_after_s is not None:
            self.race_after_s, self.race_source = plan.race_after_s, "fixed"
        self.attempts_left = plan.max_attempts
        self.runs: list[Run] = []
        self.flying: list[Run] = []
        self.leaving: list[Run] = []

    def _follow(self, decision: Decision) -> None:
        """Race as the learner decided; in an outage of the primary, the first two links change places."""
        self.decision = decision
        self.race_after_s, self.race_source = decision.race_after_s, decision.source.value
        if decision.swap:
            first, second, *rest = self.lanes
            self.lanes = (second, first, *rest)

    def cancelling(self) -> int:
        """How many cancellations of the caller's task are pending.

        The task is not kept: it may keep the error that this call raises, and that its traceback, and so this call.
        """
        task = asyncio.current_task(self.loop)
        return 0 if task is None else task.cancelling()

    def give_back(self, run: Run) -> None:
        """Free what was reserved for an attempt that is not started after all."""
        reservation = run.reservation
        if reservation is not None:
            self.committed -= reservation.held
            reservation.settle(0, 0)  # also where nothing is held: a ledger keeps the question's id until then

    def drop(self, asking: Asking) -> None:
        """Stop asking for a backup's projection; what is granted all the same is given back."""

        def answered(task: asyncio.Future[None]) -> None:
            if not task.cancelled():
                task.exception()
            self.give_back(asking.run)

        asking.task.cancel()
        asking.task.add_done_callback(answered)
        assert self.session is not None
        self.session.keep(asking.task)

    def forget(self) -> None:
        """Hold no exception and no result: after a call, what it raised or gave is the caller's alone."""
        self.failure = self.fatal = self.refusal = self.winner = None
        for run in self.runs:
            run.failure = None
            if not run.straggling:
                run.error = run.result = None
        self.runs = []  # no circle of call and attempts is left to the garbage collector

    def pass_over(self) -> None:
        """Leave the next link behind without an attempt."""
        self.cursor += 1
        self.attempts_left = min(self.attempts_left, len(self.lanes) - self.cursor)

    def may_race(self) -> bool:
        """Whether a running attempt may still be raced."""
        return self.racing and self.attempts_left > 0 and self.fatal is None
