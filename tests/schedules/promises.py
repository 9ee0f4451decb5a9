"""What holds in every world: one result or one error, no money, task, timer or span left, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections import Counter

import attrs
from hypothesis import HealthCheck, settings

from routeware import (
    AttemptStatus,
    AttemptTimeoutError,
    BudgetExceededError,
    CallRecord,
    DeadlineExceededError,
    NoSessionError,
    ProviderCancelledError,
    ResultRejectedError,
)
from routeware.money import nanos
from tests.fakes.providers import HTTPStatusError
from tests.schedules.stage import SPANS, Ended, ScriptedError, Seen
from tests.schedules.worlds import GRACE_MS, World

__all__ = ["ULP_MS", "check", "cost_of", "more", "without_ties"]

THEIRS = (ScriptedError, HTTPStatusError, ConnectionError, ExceptionGroup)
OURS = (
    AttemptTimeoutError,
    DeadlineExceededError,
    BudgetExceededError,
    ProviderCancelledError,
    ResultRejectedError,
    NoSessionError,
)
OUTCOMES: dict[type[BaseException], str] = {
    asyncio.CancelledError: "cancelled",
    DeadlineExceededError: "deadline_exceeded",
    BudgetExceededError: "budget_exceeded",
}
ULP_MS = 1e-3
more = settings(
    max_examples=max(300, settings().max_examples),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def check(world: World, seen: Seen) -> None:
    """All that has to hold in every world."""
    assert seen.complaints == []
    assert seen.timers == []
    assert seen.tasks == []
    assert len(seen.ended) == len(world.calls)
    for ended in seen.ended:
        one_result_or_one_error(ended)
        cancelled_exactly_when_the_caller_was(ended)
        the_record_says_the_same(world, ended)
        nobody_waits_for_ever(world, ended)
    every_call_has_one_record(seen)
    every_span_was_ended_once(seen)
    nothing_is_reserved(world, seen)
    no_cap_was_passed(world, seen)
    the_costs_add_up(world, seen)


def one_result_or_one_error(ended: Ended) -> None:
    """A result that was not rejected, or an error that somebody knows."""
    if ended.error is None:
        assert ended.result in ("answer", "late")
    else:
        assert isinstance(ended.error, (*THEIRS, *OURS, asyncio.CancelledError)), repr(ended.error)


def cancelled_exactly_when_the_caller_was(ended: Ended) -> None:
    """Only a provider function in the caller's own task can swallow the cancellation."""
    if isinstance(ended.error, asyncio.CancelledError):
        assert ended.cancelled_ms is not None
    elif ended.cancelled_ms is not None:
        assert any(plan.swallows for plan in ended.in_own_task)


def the_record_says_the_same(world: World, ended: Ended) -> None:
    """Outcome, winner, numbers, and how many were in flight at once."""
    record = ended.record
    if record is None:
        assert isinstance(ended.error, NoSessionError) or not ended.began
        return
    expected = "succeeded" if ended.error is None else OUTCOMES.get(type(ended.error), "failed")
    assert record.outcome == expected
    assert [attempt.number for attempt in record.attempts] == list(range(1, len(record.attempts) + 1))
    assert (record.selected is None) == (ended.error is not None)
    if record.selected is not None:
        assert record.attempts[record.selected].status is AttemptStatus.SUCCEEDED
    started = [attempt for attempt in record.attempts if attempt.status is not AttemptStatus.SKIPPED]
    assert len(started) <= (world.max_attempts or len(world.links))
    assert most_at_once(record) <= (world.race_width if world.may_race else 1)
    assert len({attempt.label for attempt in record.attempts}) == len(record.attempts), "a link was tried twice"


def most_at_once(record: CallRecord) -> int:
    """How many attempts were in flight at the same time."""
    moments = []
    for attempt in record.attempts:
        if attempt.status is not AttemptStatus.SKIPPED and attempt.duration_ms > ULP_MS:
            moments += [(attempt.started_ms, 1), (attempt.started_ms + attempt.duration_ms - ULP_MS, -1)]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def nobody_waits_for_ever(world: World, ended: Ended) -> None:
    """Where providers do not run in the caller's own task, ignoring a cancellation costs 250 ms at most."""
    if any(plan.lingers_ms for plan in ended.in_own_task):
        return
    if world.deadline_ms is not None:
        assert ended.took_ms <= world.deadline_ms + GRACE_MS + ULP_MS
    if isinstance(ended.error, asyncio.CancelledError):
        assert ended.cancelled_ms is not None
        assert ended.took_ms <= ended.cancelled_ms + GRACE_MS + ULP_MS


def every_call_has_one_record(seen: Seen) -> None:
    """`on_call` was called once per call, with the record that came out."""
    known = [id(ended.record) for ended in seen.ended if ended.record is not None]
    assert set(known) <= {id(record) for record in seen.records}
    assert len(seen.records) == len({id(record) for record in seen.records})
    assert len(known) <= len(seen.records) <= len(seen.ended)


def every_span_was_ended_once(seen: Seen) -> None:
    """One per call and one per attempt that was started."""
    assert Counter(SPANS.ended) == Counter(SPANS.started)
    assert set(Counter(SPANS.started).values()) <= {1}
    attempts = [attempt for record in seen.records for attempt in record.attempts]
    started = [attempt for attempt in attempts if attempt.status is not AttemptStatus.SKIPPED]
    if not any(isinstance(ended.error, NoSessionError) for ended in seen.ended):
        assert len(SPANS.started) == len(seen.records) + len(started)
    assert seen.starts <= len(started)


def nothing_is_reserved(world: World, seen: Seen) -> None:
    """Once the sessions were left; and leaving them took five seconds each at most."""
    for session in seen.sessions:
        assert session.reserved_usd == 0
        assert session.remaining_usd is None or session.remaining_usd >= 0
    assert seen.left_ms <= 5000 * len(world.wallets) + ULP_MS


def no_cap_was_passed(world: World, seen: Seen) -> None:
    """Where no attempt cost more than its projection, and nobody said `warn`."""
    if seen.over:
        return
    for number, committed in seen.committed:
        limit = world.wallets[number].limit_usd
        assert limit is None or committed <= limit
    if world.on_exceed == "warn":
        return
    innermost = len(world.wallets) - 1
    if world.session_usd is not None and all(call.depth == innermost + 1 for call in world.calls):
        assert all(committed <= world.session_usd for number, committed in seen.committed if number == innermost)
    if world.per_call_usd is not None:
        for record in seen.records:
            assert cost_of(record) <= nanos(world.per_call_usd)


def the_costs_add_up(world: World, seen: Seen) -> None:
    """To the nano-dollar, where no straggler corrected the books after its record was written."""
    if any(plan.reports is not None or plan.when_cancelled not in ("clean_up", "stubborn") for plan in seen.lingered):
        return
    for place, session in enumerate(seen.sessions):
        inside = [ended.record for ended in seen.ended if ended.call.depth > first_place(world, place)]
        expected = sum(cost_of(record) for record in inside if record is not None)
        assert nanos(session.spent_usd) + nanos(session.uncertain_usd) == expected


def first_place(world: World, place: int) -> int:
    """Where the tally of a session was entered first: from there on everything counts in it."""
    tally = world.wallets[place].tally
    return next(n for n, wallet in enumerate(world.wallets) if n == place or (tally and wallet.tally == tally))


def cost_of(record: CallRecord) -> int:
    """Settled and uncertain, in nano-dollars. Every link of a world has a price."""
    assert record.cost_usd is not None
    assert record.uncertain_usd is not None
    return nanos(record.cost_usd) + nanos(record.uncertain_usd)


def without_ties(world: World) -> World:
    """An answer at the very moment of a time-out is one or the other, and either is right."""
    return attrs.evolve(
        world,
        links=tuple(attrs.evolve(link, timeout_ms=_off(link.timeout_ms, 0.371)) for link in world.links),
        timeout_ms=_off(world.timeout_ms, 0.433),
        deadline_ms=_off(world.deadline_ms, 0.719),
        race_after_ms=_off(world.race_after_ms, 0.117),
    )


def _off(ms: float | None, by: float) -> float | None:
    return None if ms is None else ms + by
