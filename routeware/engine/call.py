"""One call: what it was asked to do, and where it stands. Every field is assigned here only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from routeware.budget import CURRENT_SESSION, Session
from routeware.engine.attempt import live_execution
from routeware.engine.execution import Execution
from routeware.engine.flight import Race
from routeware.engine.listeners import Listeners, listen
from routeware.engine.prepared import DEFAULT_TIMEOUT_MS, PreparedLink, PreparedPolicy
from routeware.engine.registrations import Registrations, Request
from routeware.engine.rehearsal import REHEARSAL
from routeware.engine.timers import ReusableTimeout
from routeware.errors import BudgetExceededError, ExhaustedError, NoSessionError
from routeware.health import LinkStates
from routeware.policy import Link, drawn_order
from routeware.records import AttemptTrigger, CallOutcome, StreamEnd
from routeware.telemetry import CallTrace, Meters
from routeware.threshold import Decision, Size

__all__ = ["Call", "Driver"]

# Reading a member off its enum costs as much as an attribute of a slot.
_INITIAL, _FAILOVER, _RETRY = AttemptTrigger.INITIAL, AttemptTrigger.FAILOVER, AttemptTrigger.RETRY


class Driver(Protocol):
    """Runs the attempts of a stream."""

    def launch(self, call: Call, execution: Execution) -> None:
        """Run an attempt that was started, in a task of its own."""
        ...


class Call(Request):
    """One call, from entering the decorated function to leaving it.

    Attributes:
        prepared: its policy.
        chain: its links in order, before any is passed over.
        links: the same in the order in which they are tried; in a further round, those of the round.
        health: which of them keep failing; ``None`` without cooldown.
        round: how many further rounds through the chain it has begun.
        rounds_left: how many more it may begin.
        session: the innermost session.
        is_capped: True if a cap is in force.
        is_remote: True if a ledger outside of this process counts it.
        is_observed: True if a listener or a session is told how it ends.
        race: its attempts in flight, where it can race.
        listeners: who listens to it; ``None`` where nobody does.
        timeout: the timer of attempts that run in the caller's own task.
        cancel_baseline: how many cancellations of the caller's task were pending when the call began.
        stale_cancels: how many pending ones are nobody's: a library has left them counted.
        deadline: when the whole call is out of time, on the loop's clock.
        cursor: the place in the chain of the next link to try.
        attempts_left: how many attempts may still be started: neither links nor attempts have run out.
        attempts: all attempts, skipped links included, in the order of their starts.
        latest_start: when the newest attempt was started, on the loop's clock; ``None`` before the first start.
        race_after_s: the threshold in force; ``None`` without racing.
        driver: runs its attempts, where it is a stream; ``None`` for a plain call.
        stream_end: how a stream ended; ``None`` before, and for a plain call.
        decision: what the learner of the policy's target said; ``None`` without a target.
        size: the size of the request, where the learner wants to know it; ``None`` is unknown.
        failure: the error of the attempt that failed last, as callers see it.
        fatal: the first error that is not failed over.
        refusal: the newest refusal of a budget.
        winner: the attempt whose result the caller gets.
        error: what the call raises.
        outcome: how it ends.
        ended: when it ended, on the loop's clock; below 0 before.
    """

    __slots__ = (
        "attempts",
        "attempts_left",
        "began",
        "cancel_baseline",
        "chain",
        "cursor",
        "deadline",
        "decision",
        "driver",
        "ended",
        "error",
        "failure",
        "fatal",
        "health",
        "is_capped",
        "is_observed",
        "is_remote",
        "latest_start",
        "links",
        "listeners",
        "loop",
        "outcome",
        "prepared",
        "race",
        "race_after_s",
        "refusal",
        "round",
        "rounds_left",
        "session",
        "size",
        "stale_cancels",
        "stream_end",
        "timeout",
        "winner",
    )

    def __init__(
        self,
        prepared: PreparedPolicy,
        registrations: Registrations,
        owner: object,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        is_alone = REHEARSAL.is_on and REHEARSAL.begin(registrations, prepared.tracing.name)
        Request.__init__(self, registrations, owner, args, kwargs)  # super() takes as long as the assignments
        self.prepared = prepared
        self.links: tuple[PreparedLink, ...] = prepared.links or prepared.ask_prices()
        if prepared.spreads:
            order = drawn_order([one.link for one in self.links], prepared.spreads, prepared.spread_key)
            self.links = tuple([self.links[at] for at in order])
        self.loop = loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a routed function has to be awaited in an asyncio task")
        # The task is not kept: it may keep the error that this call raises, and that its traceback, and so this call.
        self.timeout = ReusableTimeout(loop, task)
        self.cancel_baseline = task.cancelling()
        self.stale_cancels = 0
        self.began = loop.time()
        self.deadline = None if prepared.deadline_s is None else self.began + prepared.deadline_s
        self.race_after_s: float | None = None
        self.decision: Decision | None = None
        self.health = None if prepared.health is None else prepared.health.states(loop)
        self.size: Size = None
        if is_alone:
            self.links, self.deadline, self.health = self.links[:1], None, None
        elif prepared.learner is not None and not self._is_unusual():
            if prepared.learner.by_size:
                self.size = self.measure_size()
            self._follow(prepared.learner.decide(self.size))
        elif prepared.race_after_s is not None:
            self.race_after_s = prepared.race_after_s
        self.chain = self.links
        self.round = 0
        self.rounds_left = 0 if is_alone else prepared.retries
        self.session: Session | None = None
        self.is_capped = self.is_remote = self.is_observed = False
        self.cursor = 0
        # In each round every link is tried at most once.
        self.attempts_left = min(prepared.max_attempts, len(self.links))
        self.attempts: list[Execution] = []
        self.latest_start: float | None = None
        self.ended = -1.0
        self.failure: BaseException | None = None
        self.fatal: BaseException | None = None
        self.error: BaseException | None = None
        self.refusal: BudgetExceededError | None = None
        self.winner: Execution | None = None
        self.outcome: CallOutcome = "failed"
        self.race: Race | None = None
        self.listeners: Listeners | None = None
        self.driver: Driver | None = None
        self.stream_end: StreamEnd | None = None

    def _follow(self, decision: Decision) -> None:
        """Race as the learner decided; in an outage of the primary, the first two links change places."""
        self.decision = decision
        self.race_after_s = decision.race_after_s
        if decision.swap:
            first, second, *rest = self.links
            self.links = (second, first, *rest)

    def _is_unusual(self) -> bool:
        """Say whether one of the first two links cools: what a latency target knows is of the usual order."""
        states = self.health
        if states is None:
            return False
        return any(states.cooling_until(one.label, self.began) is not None for one in self.links[:2])

    # Where it begins.

    def begin(self, attributes: Mapping[str, Any] | None) -> None:
        """Find its session and its listeners."""
        self.session = CURRENT_SESSION.get()
        self.listeners = listen(self.prepared, self.session, attributes, self.began)
        self.is_observed = self.listeners is not None or self.decision is not None

    def check_in(self) -> None:
        """See which caps are in force, and refuse what cannot be capped.

        Raises:
            SessionClosedError: the session was left before.
            NoSessionError: the policy caps a session, and none is open.
            PolicyError: a session's cap is in force, and a link has no price.
        """
        session, prepared = self.session, self.prepared
        self.is_capped = prepared.is_capped
        self.is_observed = True
        if session is None:
            if prepared.session_cap is not None:
                raise NoSessionError(
                    f"{prepared.policy.label} sets budget.session_usd, and no session is open: call inside"
                    " `async with routeware.session(...)`"
                )
            return
        session.check_open()
        self.pay_by(session)
        self.is_remote = session.remote
        if session.capped and not prepared.is_capped:
            self.is_capped = True
            prepared.refuse_unpriced(str(session))

    def enter_container(self) -> None:
        """Tell the attempt that this call is made in, if any, that it does not pay for what is paid for here."""
        outer = live_execution()
        if outer is not None:
            outer.bill.open_container()

    # What follows from the facts.

    @property
    def trace(self) -> CallTrace | None:
        """Its spans; ``None`` where nothing traces."""
        return None if self.listeners is None else self.listeners.trace

    @property
    def meters(self) -> Meters | None:
        """What it is measured with; ``None`` where nothing reads them."""
        return None if self.listeners is None else self.listeners.meters

    @property
    def committed(self) -> int:
        """What it has committed so far, in nano-dollars, for its own cap."""
        return sum(one.bill.committed for one in self.attempts if one.has_bill)

    @property
    def is_booked(self) -> bool:
        """True if what an attempt cost has to be known as soon as it has ended: a budget counts it."""
        return self.is_capped or self.payer is not None

    @property
    def race_source(self) -> str | None:
        """Where the race threshold came from; ``None`` without racing."""
        if self.decision is not None:
            return self.decision.source.value
        return None if self.race_after_s is None else "fixed"

    @property
    def may_start(self) -> bool:
        """True if neither links nor attempts have run out, and no error has ended the call."""
        return self.attempts_left > 0 and self.fatal is None

    @property
    def trigger(self) -> AttemptTrigger:
        """Why the next attempt is started, with nothing in flight."""
        if self.round:
            return _RETRY
        return _INITIAL if self.latest_start is None else _FAILOVER

    @property
    def started(self) -> int:
        """How many attempts were started. Skipped links are none."""
        return sum(one.skip_reason is None for one in self.attempts)

    @property
    def has_passed_over(self) -> bool:
        """True if a link that was passed over, because it cools, is left behind the next one."""
        if self.health is None:
            return False
        passed = [one.prepared for one in self.attempts if one.skip_reason == "cooldown"]
        return any(one in passed for one in self.links[self.cursor + 1 :])

    @property
    def has_ended(self) -> bool:
        """True if nothing is in flight any more, and its listeners are being told."""
        return self.ended >= 0.0

    @property
    def is_exhausted(self) -> bool:
        """True if it raises an error of ours because every link failed."""
        return isinstance(self.error, ExhaustedError)

    @property
    def swapped(self) -> bool:
        """True if a latency target sent it to the backup first."""
        return self.decision is not None and self.decision.swap

    @property
    def session_spent_usd(self) -> float | None:
        """What its session has spent by now; ``None`` without a session."""
        return None if self.session is None else self.session.spent_usd

    def cancelling(self) -> int:
        """Count the pending cancellations of the caller's task."""
        task = asyncio.current_task(self.loop)
        return 0 if task is None else task.cancelling()

    # What happens to it.

    def start(self, execution: Execution) -> None:
        """Take the next link for ``execution``; from here on it counts, and its time runs."""
        now = self.loop.time()
        self.cursor += 1
        self.attempts_left -= 1
        self.attempts.append(execution)
        self.latest_start = now
        prepared = execution.prepared
        timeout_ms = prepared.timeout_ms
        states, may_follow = self.health, self.attempts_left or self.rounds_left
        if (
            timeout_ms is None
            and may_follow
            and (states is None or not states.troubled or self._may_go_on(states, execution, now))
        ):
            timeout_ms = DEFAULT_TIMEOUT_MS
        due = None if timeout_ms is None else now + timeout_ms / 1000
        deadline = self.deadline
        if deadline is not None and (due is None or deadline < due):
            timeout_ms = (deadline - now) * 1000
        execution.start(now, due, timeout_ms)
        if self.listeners is not None and self.listeners.trace is not None:
            trace = self.listeners.trace
            execution.carry(
                trace.start_attempt(
                    execution, prepared.span_name, prepared.span_attributes, streams=self.driver is not None
                )
            )

    def _may_go_on(self, states: LinkStates, execution: Execution, now: float) -> bool:
        """Say whether a link follows that does not cool; among cooling ones, any link that follows will do."""
        if execution.is_last_resort or self.rounds_left:
            return True
        return any(states.cooling_until(one.label, now) is None for one in self.links[self.cursor :])

    def reorder(self, links: Sequence[PreparedLink]) -> None:
        """Try the links that are left in another order."""
        self.links = (*self.links[: self.cursor], *links)

    def pass_over(self, link: PreparedLink) -> bool:
        """Record a link that is put off because it cools; give False if it was recorded before."""
        if any(one.prepared is link and one.skip_reason == "cooldown" for one in self.attempts):
            return False
        execution = Execution(link, self, len(self.attempts) + 1, self.trigger)
        execution.skip(self.loop.time(), "cooldown")
        self.attempts.append(execution)
        return True

    def begin_round(self, links: Sequence[PreparedLink]) -> None:
        """Go through these links once more."""
        self.round += 1
        self.rounds_left -= 1
        self.links = tuple(links)
        self.cursor = 0
        self.attempts_left = min(len(self.links), self.prepared.max_attempts - self.started)

    def give_up_rounds(self) -> None:
        """Begin no further round."""
        self.rounds_left = 0

    def skip(self, execution: Execution, refusal: BudgetExceededError) -> None:
        """Leave the next link behind without an attempt, because a budget refuses it."""
        self.refusal = refusal
        self.cursor += 1
        self.attempts_left = min(self.attempts_left, len(self.links) - self.cursor)
        execution.skip(self.loop.time(), "budget")
        self.attempts.append(execution)

    def record_failure(self, error: BaseException, *, fails_over: bool) -> None:
        """Take note of the error of an attempt that failed. The first one that is not failed over ends the call."""
        self.failure = error
        if not fails_over and self.fatal is None:
            self.fatal = error

    def open_race(self) -> Race:
        """Make room for attempts in flight beside one another."""
        self.race = race = Race()
        return race

    def excuse_cancel(self) -> None:
        """Take note that one pending cancellation of the caller's task is nobody's."""
        self.cancel_baseline += 1
        self.stale_cancels += 1

    def succeed(self, winner: Execution) -> None:
        """Take note of the attempt whose result the caller gets."""
        self.winner = winner
        self.outcome = "succeeded"

    def stream_by(self, driver: Driver) -> None:
        """Run its attempts by ``driver``; until the first item, the bound on that holds, too."""
        self.driver = driver
        bound_ms = self.prepared.policy.latency.first_item_deadline_ms
        if bound_ms is None or REHEARSAL.first_link_only:
            return
        if self.deadline is None or self.began + bound_ms / 1000 < self.deadline:
            self.deadline = self.began + bound_ms / 1000

    @property
    def deadline_ms(self) -> float:
        """The bound that its deadline is made of."""
        return 0.0 if self.deadline is None else round((self.deadline - self.began) * 1000, 6)

    def break_off(self, end: StreamEnd, error: BaseException | None, outcome: CallOutcome) -> None:
        """Take note of how a stream ended after its first item: the attempt that was read stays the selected one."""
        self.stream_end = end
        self.error = error
        self.outcome = outcome

    def fail(self, error: BaseException, outcome: CallOutcome | None = None) -> None:
        """Take note of what it raises, and how that is called where it is no failure of a provider."""
        self.winner = None
        self.error = error
        if outcome is not None:
            self.outcome = outcome

    def refuse(self, outcome: CallOutcome) -> None:
        """Take note of what ends it, before the error of that is raised."""
        self.outcome = outcome

    def end(self) -> None:
        """Take note that nothing is in flight any more."""
        self.ended = self.loop.time()

    def forget(self) -> None:
        """Hold no exception and no result: after a call, what it raised or gave is the caller's alone."""
        self.failure = self.fatal = self.refusal = self.winner = self.error = None
        for attempt in self.attempts:
            attempt.forget()
        # No circle of call and attempts is left to the garbage collector.
        self.attempts = []
        self.race = None

    # Who is told.

    def note_cooling(self, link: Link, *, cooling: bool, category: str | None = None) -> None:
        """Measure that a link has begun to cool, or has answered again."""
        meters = self.meters
        if meters is not None:
            meters.cooling(link, cooling=cooling, category=category)

    def emit(self, event: str, level: int = logging.DEBUG, **fields: object) -> None:
        """Leave an event on the call's span and in the log."""
        log, trace = self.prepared.log, self.trace
        log.event(event, level, fields)
        if trace is not None:
            trace.event(f"{log.prefix}.{event}", fields)
