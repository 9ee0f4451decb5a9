"""A session as its own book: what it refers to, what it waits for, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import suppress
from typing import Any

import pytest

import routeware
from routeware import (
    Attempt,
    BudgetExceededError,
    LedgerUnavailableError,
    Link,
    MemoryLedger,
    PolicyError,
    RoutingPolicy,
    SessionClosedError,
    routed,
)
from routeware.budget import CURRENT_SESSION, Balance, PendingReservation, Reservation, Tally
from tests.fakes.ledgers import Remote, stands_at, usd
from tests.fakes.providers import HTTPStatusError, answers, pause, reports, script, stopwatch

A_CENT = 10_000_000


@routed(RoutingPolicy.from_dict({"chain": ["a:m", "b:m"], "budget": {"allow_unpriced": True}}))
async def ask(attempt: Attempt, projection: float) -> str:
    """Fail over once. The fakes keep every attempt, and so its session; this keeps nothing."""
    if attempt.provider == "a":
        raise HTTPStatusError(503)
    attempt.report_cost(0.125)
    return "b"


@ask.estimate
def estimate(_link: Link, projection: float) -> float:
    """Whatever the caller says."""
    return projection


def test_a_session_has_no_attributes_but_its_own() -> None:
    """A slip of the pen is an error, and a session costs no dictionary."""
    spending: Any = routeware.session("day")

    with pytest.raises(AttributeError):
        spending.limit = 5


@pytest.mark.parametrize("kind", ["plain", "nested", "memory", "remote", "offline"])
async def test_a_session_that_was_left_is_freed_without_the_collector(kind: str) -> None:
    """It leaves no circle of references, whatever was called inside and however it ended."""
    ledger = {"memory": MemoryLedger(), "remote": Remote(), "offline": Remote()}.get(kind)
    spare = 0.5 if kind == "offline" else "refuse"

    async def request() -> weakref.ref[object]:
        async with (
            routeware.session("outer"),
            routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable=spare) as spending,
        ):
            await ask(0.25)
            with suppress(BudgetExceededError):
                await ask(5)
            if isinstance(ledger, Remote) and kind == "offline":
                ledger.away = {"hold", "settle", "tally"}
                await ask(0.25)
                ledger.away = set()
            if kind == "nested":
                async with routeware.session("inner"):
                    await ask(0.25)
            return weakref.ref(spending)

    await request()
    await pause(1)
    gc.collect()
    gc.disable()
    try:
        gone = await request()
        await pause(1)
        assert gone() is None
    finally:
        gc.enable()


async def test_a_session_that_could_not_be_entered_may_be_entered_again() -> None:
    """With the limit that it was made with."""
    ledger = Remote()
    spending = routeware.session("day", limit_usd=1, ledger=ledger)
    ledger.away = {"tally"}
    with pytest.raises(LedgerUnavailableError):
        await spending.__aenter__()
    assert routeware.current_session() is None
    ledger.away = set()

    async with spending:
        assert (spending.limit_usd, spending.remaining_usd) == (1, 1)
    assert await stands_at(ledger) == Balance()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_session_is_entered_by_one_task_at_a_time(cancelled: bool) -> None:
    """The second is refused while the first waits for the ledger; one that is cancelled there leaves it free."""

    class Thinking(Remote):
        async def tally(self, tally: Any, /) -> Any:
            await pause(100)
            return await super().tally(tally)

    spending = routeware.session("day", limit_usd=1, ledger=Thinking())
    first = asyncio.ensure_future(spending.__aenter__())
    await pause(10)

    with pytest.raises(SessionClosedError, match="entered before"):
        await spending.__aenter__()
    if cancelled:
        first.cancel()
        await asyncio.wait([first])
        await spending.__aenter__()
    else:
        await first
    await spending.__aexit__(None, None, None)


async def test_a_ledger_that_cancels_itself_while_a_session_is_entered_cannot_be_asked() -> None:
    """Its CancelledError would pass for the caller's own."""

    class Cancelling(Remote):
        async def tally(self, tally: Any, /) -> Any:
            raise asyncio.CancelledError

    with pytest.raises(LedgerUnavailableError):
        await routeware.session("day", ledger=Cancelling()).__aenter__()


async def test_the_caller_that_is_cancelled_while_a_session_is_entered_is_cancelled() -> None:
    """That one is its own."""

    class Thinking(Remote):
        async def tally(self, tally: Any, /) -> Any:
            await pause(100)

    task = asyncio.ensure_future(routeware.session("day", ledger=Thinking()).__aenter__())
    await pause(10)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()


def test_leaving_takes_what_other_threads_have_handed_over(caplog: pytest.LogCaptureFixture) -> None:
    """A report that came before the session was left is told before it is left."""
    ledger = Remote()

    async def main() -> None:
        async with routeware.session("day", limit_usd=1, ledger=ledger):
            reservation = Reservation(CURRENT_SESSION.get())
            reservation.hold(25 * A_CENT)
            await reservation.hold_remotely(25 * A_CENT)
            thread = threading.Thread(target=reservation.settle, args=(10 * A_CENT, 0))
            thread.start()
            thread.join()
        assert usd(await stands_at(ledger)) == (0.1, 0, 0)

    asyncio.run(main())  # a jumping loop takes nothing from other threads

    assert caplog.text == ""


async def test_what_overlapping_sessions_have_reserved_is_warned_about_by_each_for_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One is left while the other's attempt runs; the one that has something reserved says how much."""
    ledger = MemoryLedger()
    async with routeware.session("tenant", ledger=ledger):
        held = Reservation(CURRENT_SESSION.get())
        held.hold(25 * A_CENT)
        async with routeware.session("tenant", ledger=ledger, root=True):
            pass
        assert caplog.text == ""
    assert "session 'tenant' was left with $0.250000000 still reserved" in caplog.text
    held.release()


class Asked(MemoryLedger):
    """A ledger of this process that answers in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = 0

    async def hold(self, id: str, tallies: Any, nanos: int, /) -> Any:
        self.holds += 1
        await pause(10)
        return await super().hold(id, tallies, nanos)


async def test_a_memory_ledger_that_answers_in_its_own_way_is_asked() -> None:
    """A subclass may count, log or wait: it would not be asked if its sums were changed behind its back."""
    ledger = Asked()

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        assert spending.remote
        await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()

    assert ledger.holds == 1
    assert await ledger.tally(Tally("day", 10**9)) == Balance(settled=125_000_000)


async def test_a_memory_ledger_with_another_name_is_as_quick() -> None:
    """A subclass that only adds something answers as its base does."""

    class Named(MemoryLedger):
        label = "here"

    async with routeware.session("day", limit_usd=1, ledger=Named()) as spending:
        assert not spending.remote


async def test_a_pending_reservation_that_is_granted_holds() -> None:
    """It has no failure, and is settled like any other."""
    async with routeware.session("day", limit_usd=1, ledger=Remote(hold_ms=[50])) as spending:
        pending = PendingReservation(spending, Reservation(spending), 25 * A_CENT)
        await asyncio.wait([pending.task])

        assert pending.failure() is None
        assert spending.reserved_usd == 0.25
        pending.reservation.settle(10 * A_CENT, 0)
    assert (spending.spent_usd, spending.reserved_usd) == (0.1, 0)


async def test_a_pending_reservation_that_is_refused_says_why() -> None:
    """The cap of this one hold counts, too."""
    async with routeware.session("day", limit_usd=1, ledger=Remote()) as spending:
        took = stopwatch()
        pending = PendingReservation(spending, Reservation(spending), 25 * A_CENT, 20 * A_CENT)
        await asyncio.wait([pending.task])

        assert took() == 0, "a refusal is not kept back"
        failure = pending.failure()
        assert isinstance(failure, BudgetExceededError)
        assert failure.limit_usd == 0.2


async def test_a_pending_reservation_that_was_cancelled_by_another_says_so() -> None:
    """As a loop does that is closing."""
    async with routeware.session("day", limit_usd=1, ledger=Remote(hold_ms=[50])) as spending:
        pending = PendingReservation(spending, Reservation(spending), 25 * A_CENT)
        await pause(1)
        pending.task.cancel()
        await asyncio.wait([pending.task])

        assert isinstance(pending.failure(), asyncio.CancelledError)
    assert spending.reserved_usd == 0


@pytest.mark.parametrize("after_ms", [1, 60])
async def test_an_abandoned_reservation_is_given_back_whenever_it_was_granted(after_ms: float) -> None:
    """Before or after it was abandoned; leaving the session waits for that."""
    ledger = Remote(hold_ms=[50])
    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        pending = PendingReservation(spending, Reservation(spending), 25 * A_CENT)
        await pause(after_ms)
        pending.abandon()

    assert await stands_at(ledger) == Balance()
    assert spending.reserved_usd == 0


async def test_an_abandoned_reservation_that_was_refused_is_nobodys_error() -> None:
    """Its error is read, so that the loop does not complain of it."""
    async with routeware.session("day", limit_usd=0.125, ledger=Remote()) as spending:
        pending = PendingReservation(spending, Reservation(spending), 25 * A_CENT)
        await asyncio.wait([pending.task])
        pending.abandon()
        await pause(1)

    assert spending.reserved_usd == 0


async def test_money_outside_of_a_session_is_only_remembered() -> None:
    """A call's own cap needs its amounts, and nothing else does."""
    reservation = Reservation(None)

    reservation.hold(5, cap=1)
    assert reservation.held == 5
    reservation.settle(3, 1)

    assert (reservation.held, reservation.settled, reservation.uncertain) == (0, 3, 1)
    assert reservation.undelivered is None


@pytest.mark.parametrize("outside", [None, 1.0])
async def test_a_session_without_a_limit_is_as_capped_as_those_around_it(outside: float | None) -> None:
    """What has no price cannot be capped, whichever of them has the limit."""
    async with routeware.session("outer", limit_usd=outside), routeware.session("inner") as inner:
        assert inner.capped == inner.reserving == (outside is not None)
        if outside is None:
            await script(a=answers(0)).ask()()
        else:
            with pytest.raises(PolicyError, match="price"):
                await script(a=answers(0)).ask()()


async def test_a_session_inside_one_with_a_ledger_reserves_as_that_one_does() -> None:
    """Others count on the ledger's figures, though none of them has a limit."""
    async with routeware.session("day", ledger=MemoryLedger()) as day, routeware.session("request") as request:
        assert (request.capped, request.reserving) == (False, True)
        held = Reservation(request)
        held.hold(25 * A_CENT)
        assert (day.reserved_usd, request.reserved_usd) == (0.25, 0.25)
        held.release()
