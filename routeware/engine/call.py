"""One call: what it was asked to do, and where it stands. Every field is assigned here only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from routeware.budget import CURRENT_SESSION, Session
from routeware.engine.caller import CallerTask
from routeware.engine.execution import Execution
from routeware.engine.listeners import Listeners, listen
from routeware.engine.prepared import PreparedLink, PreparedPolicy
from routeware.engine.race_state import Race
from routeware.engine.registrations import Registrations
from routeware.engine.rehearsal import REHEARSAL
from routeware.engine.tactics import Tactics, drawn
from routeware.errors import BudgetExceededError, ExhaustedError
from routeware.health import LinkStates
from routeware.observers import Failure
from routeware.pricing import text_tokens
from routeware.records import AttemptTrigger, CallOutcome, StreamEnd
from routeware.telemetry import CallTrace, Metrics

if TYPE_CHECKING:
    from routeware.threshold import Decision

__all__ = ["Call"]

# Reading a member off its enum costs as much as an attribute of a slot.
_INITIAL, _FAILOVER, _RETRY = AttemptTrigger.INITIAL, AttemptTrigger.FAILOVER, AttemptTrigger.RETRY
# Methods of imported objects are bound anew at each call of them.
_current_session, _running_loop, _current_task = CURRENT_SESSION.get, asyncio.get_running_loop, asyncio.current_task


@attrs.define(init=False, eq=False, repr=False, weakref_slot=False)
class Call:
    """One call, from entering the decorated function to leaving it."""

    prepared: PreparedPolicy  # its policy
    owner: object  # the instance that a method was called on, or ``UNBOUND``
    args: tuple[Any, ...]  # what was passed
    kwargs: Mapping[str, Any]  # the same, by name
    loop: asyncio.AbstractEventLoop  # the loop that it runs on
    caller: CallerTask  # the task that it is made in, and the timer of attempts that run there
    began: float  # when it began, on the loop's clock
    deadline: float | None  # when the whole call is out of time, on the same clock
    # its links in the order in which they are tried; in a further round, those of the round
    links: tuple[PreparedLink, ...]
    cursor: int  # the place in them of the next link to try
    attempts_left: int  # how many attempts may still be started in this round
    attempts: list[Execution]  # all attempts, skipped links included, in the order of their starts
    health: LinkStates | None  # the health of its links; ``None`` without cooldown
    tactics: Tactics | None  # its drawn links, latency target and further rounds, once it has any
    race_after_s: float | None  # the threshold in force; ``None`` without racing
    race: Race | None  # its attempts in flight, where it can race
    # starts a stream's attempts; ``None`` for a plain call
    driver: Callable[[Call, Race, Execution], asyncio.Task[None]] | None
    session: Session | None  # the innermost session
    payer: Session | None  # the same, once it was found open: the call is booked in it
    listeners: Listeners | None  # its listeners; ``None`` without any
    is_plain: bool  # True as long as nothing but its caller learns how it ends, and nothing but its chain is in flight
    failure: BaseException | None  # the error of the attempt that failed last, as callers see it
    fatal: BaseException | None  # the first error that is not failed over
    refusal: BudgetExceededError | None  # the newest refusal of a budget; without a value before there is one
    winner: Execution | None  # the attempt whose result the caller gets
    error: BaseException | None  # what the call raises
    outcome: CallOutcome  # how it ends
    ended: float  # when it ended, on the loop's clock; without a value before
    _tokens: tuple[int, int | None]
    _stream_end: StreamEnd | None
    _deadline_in_all: float | None  # without the bound on a stream's first item

    def __init__(
        self,
        prepared: PreparedPolicy,
        owner: object,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        attributes: Mapping[str, Any] | None,
    ) -> None:
        self.prepared = prepared
        self.owner = owner
        self.args = args
        self.kwargs = kwargs
        self.loop = loop = _running_loop()
        task = _current_task(loop)
        if task is None:
            raise RuntimeError("a routed function has to be awaited in an asyncio task")
        # The task is let go of at the end: it may keep the error that this call raises, and that its traceback, and so
        # this call.
        self.caller = CallerTask(loop, task)
        self.cursor = 0
        self.is_plain = prepared.registrations.is_plain
        self.began = now = loop.time()
        self.deadline = None if prepared.deadline_s is None else now + prepared.deadline_s
        self.links = prepared.links or prepared.ask_prices()
        self.attempts_left = prepared.most_attempts
        self.race_after_s = prepared.race_after_s
        self.attempts = []
        self.health = self.tactics = self.race = self.driver = self.payer = None
        self.failure = self.fatal = self.error = self.winner = None
        self.outcome = "failed"
        if prepared.is_elaborate or REHEARSAL.is_on:
            self._set_out(prepared)
        self.session = session = _current_session()
        self.listeners = listeners = listen(prepared, session, attributes, now)
        if listeners is not None:
            self.is_plain = False

    def _set_out(self, prepared: PreparedPolicy) -> None:
        """Draw the order of its links, and find what its policy asks of it besides a chain."""
        is_alone = REHEARSAL.is_on and REHEARSAL.begin(prepared.registrations, prepared.tracing.name)
        self.is_plain = prepared.registrations.is_plain  # who looked may have registered a hook
        if prepared.spreads:
            self.links = drawn(prepared, self.links)
            self.tactics = Tactics(self.links, prepared.retries)
        if is_alone:
            self.links, self.attempts_left, self.deadline, self.race_after_s = self.links[:1], 1, None, None
            self.tactics = Tactics(self.links, 0)
            return
        if prepared.health is not None:
            self.health = prepared.health.states(self.loop)
        if prepared.learner is not None and not self._is_unusual():
            self.tactics = tactics = Tactics(self.links, prepared.retries)
            self.race_after_s = tactics.ask(prepared.learner, self).race_after_s
            self.links = tactics.chain
            self.is_plain = False

    def _is_unusual(self) -> bool:
        """Say whether one of the first two links cools: what a latency target knows is of the usual order."""
        states = self.health
        if states is None:
            return False
        return any(states.cooling_until(one.label, self.began) is not None for one in self.links[:2])

    # What follows from the facts.

    @property
    def registrations(self) -> Registrations:
        """Those of the decorated function."""
        return self.prepared.registrations

    @property
    def tokens(self) -> tuple[int, int | None]:
        """The tokens of the text in the arguments, and the bound on output among them; counted once."""
        try:
            return self._tokens
        except AttributeError:
            text = text_tokens(self.args, self.kwargs)
            self._tokens = text, self.prepared.registrations.output_argument(self.args, self.kwargs)
            return self._tokens

    @property
    def decision(self) -> Decision | None:
        """The answer of the learner of the policy's target; ``None`` without a target."""
        return None if self.tactics is None else self.tactics.decision

    @property
    def stream_end(self) -> StreamEnd | None:
        """The end of a stream; ``None`` before, and for a plain call."""
        return None if self.driver is None else self._stream_end

    @property
    def is_observed(self) -> bool:
        """True if a listener, a learner or a session learns how it ends."""
        return (
            (self.listeners is not None and self.listeners.hear_ends)
            or self.payer is not None
            or self.prepared.is_capped
            or (self.tactics is not None and self.tactics.decision is not None)
        )

    @property
    def is_capped(self) -> bool:
        """True if a cap is in force."""
        return self.prepared.is_capped or (self.payer is not None and self.payer.capped)

    @property
    def is_remote(self) -> bool:
        """True if a ledger outside of this process counts it."""
        return self.payer is not None and self.payer.remote

    @property
    def trace(self) -> CallTrace | None:
        """Its spans; ``None`` where nothing traces."""
        return None if self.listeners is None else self.listeners.trace

    @property
    def meters(self) -> Metrics | None:
        """Its meters; ``None`` where nothing reads them."""
        return None if self.listeners is None else self.listeners.meters

    @property
    def race_source(self) -> str | None:
        """The source of the race threshold; ``None`` without racing."""
        if self.decision is not None:
            return self.decision.source.value
        return None if self.race_after_s is None else "fixed"

    def next_trigger(self) -> AttemptTrigger:
        """Say why the next attempt is started, with nothing in flight."""
        if self.failure is None:
            return _INITIAL
        return _RETRY if self.tactics is not None and self.tactics.rounds_begun else _FAILOVER

    @property
    def may_begin_round(self) -> bool:
        """True if it may go through the chain once more, as far as its policy goes."""
        rounds_left = self.prepared.retries if self.tactics is None else self.tactics.rounds_left
        return rounds_left > 0 and self.started < self.prepared.max_attempts

    @property
    def is_at_the_end_of_a_round(self) -> bool:
        """True if no link is left in this round, and a further one may cure what has failed."""
        return not self.attempts_left and self.failure is not None and self.may_begin_round

    @property
    def started(self) -> int:
        """The number of attempts that were started. Skipped links are none."""
        return sum(one.skip_reason is None for one in self.attempts)

    @property
    def has_ended(self) -> bool:
        """True if nothing is in flight any more, and its listeners learn of it."""
        try:
            return self.ended is not None
        except AttributeError:
            return False

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
        """Its session's spending by now; ``None`` without a session."""
        return None if self.session is None else self.session.spent_usd

    # What happens to it.

    def check_in(self, payer: Session | None) -> None:
        """Take note of the session that pays for it, if any."""
        self.is_plain = False
        self.payer = payer

    def start(self, execution: Execution, ledger_wait_s: float | None = None) -> None:
        """Take the next link for ``execution``; from here on it counts, and its time runs.

        Args:
            execution: an attempt that was admitted.
            ledger_wait_s: how long it has waited for a ledger; ``None`` where none had to be asked.
        """
        now = self.loop.time()
        self.cursor += 1
        self.attempts_left -= 1
        self.attempts.append(execution)
        link = execution.prepared
        if self.attempts_left and (self.health is None or not self.health.troubled):
            timeout_s: float | None = link.followed_timeout_s
        elif self.prepared.is_elaborate and self._may_go_on(execution, now):
            timeout_s = link.followed_timeout_s
        else:
            timeout_s = link.timeout_s
        due = None if timeout_s is None else now + timeout_s
        if self.deadline is not None and (due is None or self.deadline < due):
            due = self.deadline
        execution.start(now, due)
        if self.listeners is not None and self.listeners.trace is not None:
            trace, streams = self.listeners.trace, self.driver is not None
            execution.carry(trace.start_attempt(execution, link.spans, streams, ledger_wait_s))

    def _may_go_on(self, execution: Execution, now: float) -> bool:
        """Say whether a link follows that does not cool; after an attempt at a cooling link, any link will do."""
        states = self.health
        if not self.attempts_left or states is None or self.may_begin_round:
            return self.attempts_left > 0 or self.may_begin_round
        if not states.troubled or execution.is_last_resort:
            return True
        return any(states.cooling_until(one.label, now) is None for one in self.links[self.cursor :])

    def reorder(self, links: Sequence[PreparedLink]) -> None:
        """Try the links that are left in another order."""
        self.links = (*self.links[: self.cursor], *links)

    def pass_over(self, execution: Execution) -> None:
        """Record a link that is put off because it cools."""
        execution.skip(self.loop.time(), "cooldown")
        self.attempts.append(execution)

    def plan_rounds(self) -> Tactics:
        """Give what is known of its further rounds."""
        if self.tactics is None:
            self.tactics = Tactics(self.prepared.links, self.prepared.retries)
        return self.tactics

    def begin_round(self, links: Sequence[PreparedLink]) -> None:
        """Go through these links once more."""
        self.plan_rounds().begin_round()
        self.links = tuple(links)
        self.cursor = 0
        self.attempts_left = min(len(self.links), self.prepared.max_attempts - self.started)

    def skip(self, execution: Execution, refusal: BudgetExceededError) -> None:
        """Leave the next link behind without an attempt, because a budget refuses it."""
        self.refusal = refusal
        self.cursor += 1
        self.attempts_left = min(self.attempts_left, len(self.links) - self.cursor)
        execution.skip(self.loop.time(), "budget")
        self.attempts.append(execution)

    def record_failure(self, failure: Failure) -> None:
        """Take note of the error of an attempt that failed. The first one that is not failed over ends the call."""
        self.failure = failure.error
        if not failure.fails_over and self.fatal is None:
            self.fatal = failure.error

    def open_race(self, race: Race) -> None:
        """Make room for attempts in flight beside one another."""
        race.open(self.prepared.policy.latency.race_width)
        self.is_plain = False
        self.race = race

    def succeed(self, winner: Execution) -> None:
        """Take note of the attempt whose result the caller gets. Its time no longer runs."""
        self.caller.cancel()
        self.winner = winner
        self.outcome = "succeeded"

    def stream_by(self, driver: Callable[[Call, Race, Execution], asyncio.Task[None]]) -> None:
        """Run its attempts by ``driver``; until the first item, the bound on that holds, too."""
        self.driver = driver
        self._stream_end = None
        self._deadline_in_all = self.deadline
        bound_ms = self.prepared.policy.latency.first_item_deadline_ms
        if bound_ms is None or REHEARSAL.first_link_only:
            return
        if self.deadline is None or self.began + bound_ms / 1000 < self.deadline:
            self.deadline = self.began + bound_ms / 1000

    def lift_first_item_deadline(self) -> None:
        """Take note that a stream has its first item: only the deadline of the whole call holds from now on."""
        self.deadline = self._deadline_in_all

    def break_off(self, end: StreamEnd, error: BaseException | None, outcome: CallOutcome) -> None:
        """Take note of how a stream ended: an attempt that was read stays the selected one."""
        self._stream_end = end
        self.error = error
        self.outcome = outcome

    def fail(self, error: BaseException, outcome: CallOutcome | None = None) -> None:
        """Take note of what it raises, and how that is called where it is no failure of a provider."""
        self.caller.cancel()
        self.is_plain = False
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
        for attempt in self.attempts:
            attempt.forget()
        # No circle of call and attempts is left to the garbage collector.
        self.attempts.clear()
        self.winner = None
        if self.failure is not None or not self.is_plain:
            self.failure = self.fatal = self.refusal = self.error = self.race = None

    # Listeners.

    def emit(self, event: str, level: int = logging.DEBUG, **fields: object) -> None:
        """Leave an event on the call's span and in the log."""
        log, trace = self.prepared.log, self.trace
        log.event(event, level, fields)
        if trace is not None:
            trace.event(f"{log.prefix}.{event}", fields)
