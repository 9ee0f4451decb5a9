"""One attempt, from its reservation to its end: its life, its facts, and who may change them.

Every field is assigned here only. Elsewhere a method is called that is named after what happened. The steps that a life
may take stand in one table; being cut off or timed out is a fact beside the life, because the function may still run
for a while, and what it gives then is kept for settling and closing only.
"""

from __future__ import annotations

import asyncio
from typing import Any

import attrs

from routeware.budget import caps
from routeware.engine.cost import FREE, UNKNOWN, Bill, Ending, settle_plain
from routeware.engine.life import LIFE, Life
from routeware.engine.prepared import PreparedLink
from routeware.engine.registrations import Request
from routeware.engine.stream_items import Flow
from routeware.errors import ErrorCategory, ResultRejectedError
from routeware.health import Ticket
from routeware.observers import Cost, Cut, Failure
from routeware.policy import Link
from routeware.pricing import NO_READING, PlainCounts, is_no_reply, plain_counts, read_report, reading_of
from routeware.pricing.chunks import is_unfinished
from routeware.records import AttemptStatus, AttemptTrigger, SkipReason
from routeware.telemetry import NO_SPAN, Span

__all__ = ["Execution"]


_WAITING, _RUNNING, _ANSWERED, _DETACHED, _ENDED = Life

# A member is looked up in its enum in Python, which takes as long as all else that these methods do.
_FAILED, _SUCCEEDED = AttemptStatus.FAILED, AttemptStatus.SUCCEEDED

_UNANSWERED = (ErrorCategory.TIMEOUT, ErrorCategory.TRANSIENT_NETWORK, ErrorCategory.CANCELLED)
"""What an attempt fails with that was cut off, or whose connection was, with nothing answered."""


@attrs.define(init=False, eq=False, repr=False, weakref_slot=False)
class Execution:
    """One attempt, as the engine knows it. Provider functions see it through an :class:`Attempt`."""

    prepared: PreparedLink  # its link, prepared
    request: Request  # what the caller passed
    number: int  # its place among the call's attempts, from 1, skipped links included
    trigger: AttemptTrigger  # why it was started
    life: Life  # how far it has come
    started: float  # when it was started, on the loop's clock; no value before
    # when its time is up, the call's deadline included; ``None`` without a bound; no value before it is started
    due: float | None
    task: asyncio.Task[None] | None  # the task of its own that it runs in; ``None`` in the caller's
    span: Span  # its span
    status: AttemptStatus | None  # how it ended; ``None`` while it is open
    ended: float | None  # when it ended, timed out or was cut off; ``None`` before
    cut: Cut | None  # when it was cut off; from then on its cancellation is ours
    invoked: bool  # True if its function was called at all
    has_value: bool  # True if the function gave a result
    accepted: bool  # True if that was accepted, too: the attempt has succeeded
    reply: object  # what the function reported last; ``None`` where it has reported none
    result: Any  # what the function gave
    error: BaseException | None  # what it raised
    failure: Failure | None  # why the attempt failed, and what that means; ``None`` where it did not
    concluded: bool  # True once it is settled and its listeners have learned of it
    flow: Flow | None  # its items, where it streams
    _bill: Bill | None
    # As long as nothing takes a bill: what it has reported, and what it cost.
    _plain: PlainCounts | None
    _has_learned: bool  # True once projections have learned from that; no value without it
    _cost: Cost | None
    _cleanup_s: float | None
    _skip_reason: SkipReason
    _ticket: Ticket | None  # what it has claimed of its link's health; no value without cooldown

    def __init__(self, prepared: PreparedLink, request: Request, number: int, trigger: AttemptTrigger) -> None:
        # What only some attempts have is assigned when they have it: each assignment here is paid for by all of them.
        self.prepared = prepared
        self.request = request
        self.number = number
        self.trigger = trigger
        self.life = _WAITING
        self.span = NO_SPAN
        self.invoked = self.has_value = self.accepted = self.concluded = False
        self.reply = self.result = None
        self.status = self.ended = self.error = self.failure = self.cut = self.task = self.flow = None
        self._bill = self._plain = self._cost = None

    # What follows from the facts.

    @property
    def link(self) -> Link:
        """The link that it tries."""
        return self.prepared.link

    @property
    def label(self) -> str:
        """The link's label."""
        return self.prepared.link.label

    @property
    def is_misuse(self) -> bool:
        """True if the function could not even be called: that is between it and the caller, and nothing ran."""
        return not self.invoked and self.error is not None

    @property
    def is_over(self) -> bool:
        """True if its own task has ended."""
        return self.task is not None and self.task.done()

    @property
    def is_live(self) -> bool:
        """True while calls that its function makes are part of it. One that has its reply has been paid for."""
        return self.ended is None and not self.has_value

    @property
    def has_failed(self) -> bool:
        """True if it has ended without an answer, or was turned down and cleans up. Only to be asked in flight."""
        return not self.accepted and (self.is_over or self.cut is not None)

    @property
    def skip_reason(self) -> SkipReason | None:
        """The reason for skipping its link; ``None`` if it was not skipped."""
        return self._skip_reason if self.status is AttemptStatus.SKIPPED else None

    @property
    def cleanup_s(self) -> float | None:
        """The time it took to end after it was cut off; ``None`` if it was not, or has not ended."""
        return None if self.cut is None else self._cleanup_s

    @property
    def timeout_ms(self) -> float | None:
        """The time that it has, the call's deadline included; ``None`` without a bound."""
        # Rounded, because differences of clock readings carry the noise of floats.
        return None if self.due is None else round((self.due - self.started) * 1000, 6)

    @property
    def duration_ms(self) -> float:
        """Its duration, until it ended or was cut off; 0 for a skipped link."""
        ended = self.started if self.ended is None else self.ended
        return int((ended - self.started) * 1e9 + 0.5) / 1e6

    # Its life.

    def start(self, now: float, due: float | None) -> None:
        """Take note that it is started: its time runs."""
        self._step(_RUNNING)
        self.started = now
        self.due = due

    def carry(self, span: Span) -> None:
        """Take the span that was started for it."""
        self.span = span

    def run_in(self, task: asyncio.Task[None]) -> None:
        """Take note of the task of its own that it runs in."""
        self.task = task

    def stream_to(self, flow: Flow) -> None:
        """Take note that it streams, and where its items are."""
        self.flow = flow

    @property
    def answered_at(self) -> float | None:
        """The time of its answer, on the loop's clock: a stream's first item, a plain function's end."""
        return self.ended if self.flow is None else self.flow.answered_at

    @property
    def items(self) -> int | None:
        """The number of items that its reader has got; ``None`` for a plain function."""
        return None if self.flow is None else self.flow.items

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """The model's reasons for stopping, as far as a stream has given them."""
        return () if self.flow is None else self.flow.finish_reasons

    @property
    def first_item_s(self) -> float | None:
        """The time its first item took; ``None`` if there was none."""
        if self.flow is None or self.flow.answered_at is None:
            return None
        return self.flow.answered_at - self.started

    def turn_down(self, result: object) -> None:
        """Take note that what a stream began with was turned down."""
        self.result = result
        self.reject()

    def invoke(self) -> None:
        """Take note that its function was called."""
        self.invoked = True

    def report(self, reply: object) -> None:
        """Take a reply that its function reports: what it cost, and what it says if the function then fails."""
        self.reply = reply
        if self.flow is None:
            plain = plain_counts(reply)
            if plain is not None:
                with caps.LOCK:  # threads may report at once, and while it is settled
                    if self._bill is None and self._plain is None and self._cost is None:
                        self._plain, self._has_learned = plain, False
                        return
            self.bill.report(read_report(reply) if plain is None else reading_of(plain))
        else:
            self.flow.tell(reply)
            self.bill.report(read_report(reply), is_unfinished=is_unfinished(reply))

    def sign(self) -> None:
        """Take a report by hand for a sign of life."""
        if self.flow is not None:
            self.flow.sign()

    def give(self, result: object) -> None:
        """Take the result of its function; it still has to be accepted."""
        self.result = result
        self.has_value = True

    def answer(self, result: object) -> None:
        """Take the result of its function, which needs no acceptance: the attempt has succeeded."""
        self.result = result
        self.has_value = self.accepted = True

    def accept(self) -> None:
        """Take note that its result is accepted: the attempt has succeeded."""
        self.accepted = True
        if self.life is _RUNNING:
            self._step(_ANSWERED)

    def reject(self) -> None:
        """Take note that its result was turned down."""
        self.error = ResultRejectedError(self.label, self.result)
        if self.status is None:
            self.status = AttemptStatus.REJECTED

    def throw(self, error: BaseException) -> None:
        """Take what its function raised."""
        self.error = error

    def end(self, now: float) -> None:
        """Take note that its function has ended, or will never be called."""
        self._step(_ENDED)
        if self.ended is None:
            self.ended = now
        else:  # it was cut off
            self._cleanup_s = max(0.0, now - self.ended)

    def time_out(self, failure: Failure) -> None:
        """Fail it, because its time is up. An error that it raised after its timer fired is the cause."""
        self.failure, self.status = failure, _FAILED

    def fail(self, failure: Failure) -> None:
        """Fail it, with what its error means."""
        self.failure = failure
        if self.status is None:
            self.status = _FAILED

    def cut_off(self, cut: Cut, status: AttemptStatus | None = None) -> None:
        """Take note that it is cut off, as ``status`` where nothing else became of it before; cancel its task."""
        if self.status is None:
            self.status = status
        if self.cut is not None:
            return
        self.cut = cut
        self._cleanup_s = None
        if self.task is not None and not self.task.done():
            self.ended = cut.at
            self.task.cancel()

    def clean_up(self, cut: Cut) -> None:
        """Take note that it has failed by now, and that its own task, which is not cancelled, ends its generator."""
        self.cut, self.ended, self._cleanup_s = cut, cut.at, None

    def stop(self) -> None:
        """Take note that it was cancelled in the caller's own task, or that nothing became of it."""
        if self.status is None:
            self.status = AttemptStatus.CANCELLED

    def lose_caller(self) -> None:
        """Take note that its answer came for a caller who has gone away."""
        self.status = AttemptStatus.CANCELLED

    def win(self) -> None:
        """Take note that the caller gets its result. A stream may have failed after its first item all the same."""
        if self.status is None:
            self.status = _SUCCEEDED

    def skip(self, now: float, reason: SkipReason) -> None:
        """Take note that its link is passed over."""
        self._step(_ENDED)
        self._skip_reason = reason
        self.status = AttemptStatus.SKIPPED
        self.started = self.ended = now
        self.concluded = True

    def claim(self, ticket: Ticket) -> None:
        """Keep what its link's health has given it at its start, to be handed back with an outcome."""
        self._ticket = ticket

    @property
    def is_last_resort(self) -> bool:
        """True if its link cools, and was taken because nothing else was left. Only to be asked under a cooldown."""
        return self._ticket is not None and self._ticket.last_resort

    def take_ticket(self) -> Ticket | None:
        """Hand over what was claimed, once. Only to be asked under a cooldown."""
        ticket, self._ticket = self._ticket, None
        return ticket

    def become(self, trigger: AttemptTrigger) -> None:
        """Change why it is started, before it is."""
        self.trigger = trigger

    def conclude(self) -> None:
        """Take note that it is settled and reported to its listeners."""
        self.concluded = True

    def detach(self) -> None:
        """Let the call go on without it; it still runs."""
        self._step(_DETACHED)
        self.bill.detach(self._ending(invoked=True))

    def settle_detached(self) -> None:
        """Book what it cost after it was detached, now that it has ended."""
        self.bill.settle_detached(self._ending(invoked=self.invoked))

    def forget(self) -> None:
        """Hold no error and no result: after a call, what it raised or gave is the caller's alone."""
        if self._bill is not None or self._plain is not None:
            self._learn()  # here, because a call without observers is not concluded
        self.failure = None
        if self.task is None:  # it ran in the caller's task, so it has ended
            self.error = self.result = self.reply = None
        elif self.life is not _DETACHED:
            self.forget_all()

    def forget_all(self) -> None:
        """Hold nothing at all of what it gave, now that it has ended after its call."""
        self.error = self.result = self.reply = None
        if self.flow is not None:
            self.flow.forget()

    def _learn(self) -> None:
        with caps.LOCK:  # a thread that reports now opens a bill, which has to know whether this has been done
            plain = self._plain if self._bill is None else None
            if plain is not None:
                self._has_learned = True
        if plain is None:
            self.bill.learn()
        else:
            self.prepared.stats.outputs.learn(plain[1])

    def _step(self, to: Life) -> None:
        assert to in LIFE[self.life], f"an attempt that is {self.life.value} cannot be {to.value}"
        self.life = to

    # Its money.

    @property
    def bill(self) -> Bill:
        """Its money; made when first needed."""
        return self._bill or self._open_bill()

    def _open_bill(self) -> Bill:
        with caps.LOCK:  # another thread may report now
            bill = self._bill
            if bill is None:
                plain = self._plain
                reading, has_learned = (NO_READING, False) if plain is None else (reading_of(plain), self._has_learned)
                bill = self._bill = Bill(self.prepared, self.request, reading, self._cost, has_learned=has_learned)
            return bill

    @property
    def has_bill(self) -> bool:
        """True if money was held for it, reported by it, or asked about."""
        return self._bill is not None or self._plain is not None

    @property
    def cost(self) -> Cost:
        """Its cost, worked out and settled when first asked for. Only to be read once it has ended."""
        bill = self._bill
        return (self._cost if bill is None else bill.cost) or self.settle()

    def settle(self) -> Cost:
        """Work out what it cost, and replace its reservation by that."""
        bill = self._bill
        if bill is None:
            with caps.LOCK:  # another thread may report now
                cost = None if self._bill is not None else self._settle_without_bill()
            if cost is not None:
                return cost
            bill = self._open_bill()
        if bill.cost is not None:
            return bill.cost
        not_billed = self.failure is not None and self.failure.not_billed
        return bill.settle(self._ending(invoked=self.invoked, not_billed=not_billed))

    def _settle_without_bill(self) -> Cost | None:
        """Settle it, where that takes no bill; ``None`` if it does. The caller holds the lock."""
        if self._cost is None:
            plain = self._plain
            self._cost = self._unbilled_cost() if plain is None else settle_plain(self.prepared, self.request, plain)
        return self._cost

    def _ending(self, *, invoked: bool, not_billed: bool = False) -> Ending:
        if self.flow is not None and self.flow.has_items:
            return self._stream_ending(self.flow)
        share = 1.0 if self.prepared.link.uncertain_share == 1 else self._uncertain_share()
        return Ending(self.result if self.has_value else self.error, self.has_value, invoked, not_billed, share)

    def _stream_ending(self, flow: Flow) -> Ending:
        """Describe the end of a stream of which an item came: the provider bills it, whatever its error says."""
        self.bill.read_items([item for item in flow.samples if not is_no_reply(item)])
        is_whole = (flow.ended_itself or flow.is_complete) and not self.bill.is_unfinished
        return Ending(
            flow.samples[-1],
            has_value=True,
            invoked=True,
            not_billed=False,
            uncertain_share=1.0,
            is_partial=not is_whole,
        )

    def _uncertain_share(self) -> float:
        """Return the share of the projection to book: the link's, if nothing can have been answered."""
        if self.has_value or self.accepted:
            return 1.0
        failure = None if self.cut is not None else self.failure
        unanswered = failure is None or failure.snapshot.category in _UNANSWERED
        return self.prepared.link.uncertain_share if unanswered else 1.0

    def _unbilled_cost(self) -> Cost | None:
        """Give what it cost as long as it has reported nothing, where that takes no bill to tell; else ``None``."""
        if self.flow is not None and self.flow.has_items:
            return None
        if not self.has_value:
            # The provider did not answer, or answered with an error.
            is_free = not self.invoked or (self.failure is not None and self.failure.not_billed)
            return FREE if is_free else None
        if self.prepared.tariff is None and is_no_reply(self.result) and self.request.registrations.estimate is None:
            return UNKNOWN  # a bill would take a third of the time of a record
        return None
