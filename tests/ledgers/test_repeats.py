"""What a ledger has not heard is told again, in order, and counted once; what it never hears is in the log."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

import routeware
from routeware import MemoryLedger, RoutewareError
from routeware.budget import CURRENT_SESSION, Balance, Reservation, Tally
from tests.fakes.clock import JumpingLoop, run_jumping
from tests.fakes.ledgers import Remote, stands_at, usd
from tests.fakes.providers import answers, pause, reports, script, stopwatch
from tests.fakes.teardown import started

A_CENT = 10_000_000


class Watched(Remote):
    """A ledger that remembers by which id it was told what, and what it stood at then."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.ids: list[str] = []
        self.sums: list[Balance] = []

    async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
        answer = await super().settle(id, tallies, settled, uncertain)
        self.ids.append(id)
        self.sums += answer
        return answer


async def reserved(nanos: int = 25 * A_CENT) -> Reservation:
    """A reservation in the current session, held here and elsewhere."""
    reservation = Reservation(CURRENT_SESSION.get())
    reservation.hold(nanos)
    await reservation.hold_remotely(nanos)
    return reservation


async def test_a_remote_ledger_is_corrected_twice_each_time_under_an_id_of_its_own() -> None:
    """Every correction is the difference to the one before, and counts once."""
    ledger = Watched()

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        reservation = await reserved()
        reservation.settle(0, 25 * A_CENT)
        reservation.settle(10 * A_CENT, 0)
        reservation.settle(30 * A_CENT, 0)
        await pause(1)
        reservation.settle(30 * A_CENT, 0)
        assert reservation.undelivered is None, "the same again is no news"
        reservation.settle(20 * A_CENT, 0)

    assert ledger.sums == [
        Balance(0, 25 * A_CENT, 0),
        Balance(10 * A_CENT, 0, 0),
        Balance(30 * A_CENT, 0, 0),
        Balance(20 * A_CENT, 0, 0),
    ]
    assert len(set(ledger.ids)) == 4
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.2, 0, 0)


async def test_a_ledger_of_each_session_knows_a_hold_by_another_id() -> None:
    """Two ledger objects may stand before one server, which would take the second hold for the first again."""
    server = MemoryLedger()
    months, days = Remote(), Remote()
    months.books = days.books = server

    async with routeware.session("month", ledger=months), routeware.session("day", limit_usd=1, ledger=days):
        reservation = await reserved()
        assert await server.tally(Tally("month")) == Balance(reserved=25 * A_CENT)
        assert await server.tally(Tally("day", 10**9)) == Balance(reserved=25 * A_CENT)
        reservation.settle(10 * A_CENT, 0)

    assert await server.tally(Tally("month")) == await server.tally(Tally("day", 10**9)) == Balance(10 * A_CENT)


async def test_corrections_of_a_ledger_that_is_away_arrive_in_their_order() -> None:
    """None overtakes what it corrects: the sum never falls below what was reported."""
    ledger = Watched()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        reservation = await reserved()
        ledger.away = {"settle"}
        reservation.settle(0, 25 * A_CENT)
        await pause(500)
        reservation.settle(10 * A_CENT, 0)
        assert reservation.undelivered is not None
        await pause(500)
        assert reservation.undelivered is None, "the repeats are the session's business"
        ledger.away = set()
        reservation.settle(5 * A_CENT, 0)

    assert ledger.sums == [Balance(0, 25 * A_CENT, 0), Balance(10 * A_CENT), Balance(5 * A_CENT)]


async def test_an_inner_session_waits_for_a_message_that_is_repeated() -> None:
    """What was spent in it has arrived when it is left, where the ledger comes back in time."""
    ledger = Remote()
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        async with routeware.session("request"):
            reservation = await reserved()
            ledger.away = {"settle"}
            reservation.settle(10 * A_CENT, 0)
            asyncio.get_running_loop().call_later(2, ledger.away.clear)
        assert 2_000 <= took() <= 4_000
        assert usd(await stands_at(ledger)) == (0.1, 0, 0)


async def test_an_inner_session_that_waited_long_enough_gives_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    """It is left after 5 seconds, and the outermost goes on repeating."""
    ledger = Remote()
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        async with routeware.session("request"):
            reservation = await reserved()
            ledger.away = {"settle"}
            reservation.settle(10 * A_CENT, 0)
        assert took() == 5_000
        assert caplog.text == ""
        await pause(10_000)
        ledger.away = set()
        await pause(2_000)
        assert usd(await stands_at(ledger)) == (0.1, 0, 0)


async def test_a_report_after_its_message_was_given_up_brings_both(caplog: pytest.LogCaptureFixture) -> None:
    """What could not be told stays: the correction without it would be below the truth."""
    ledger = Watched()
    async with routeware.session("day", limit_usd=1, ledger=ledger):
        reservation = await reserved()
        ledger.away = {"settle"}
        reservation.settle(0, 25 * A_CENT)
    assert "could not be reached" in caplog.text

    ledger.away = set()
    reservation.settle(10 * A_CENT, 0)
    await pause(1)

    assert ledger.sums == [Balance(0, 25 * A_CENT, 0), Balance(10 * A_CENT)]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RoutewareError("it may have been counted and forgotten"), "counted and forgotten"),
        (ValueError("sk-live-1234"), "ValueError"),
    ],
)
async def test_what_a_ledger_refuses_for_good_is_said_in_its_own_words(
    error: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Our errors' texts are ours; those of others may quote anything, and only their class is named."""

    class Refusing(Remote):
        async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
            raise error

    async with routeware.session("day", limit_usd=1, ledger=Refusing()):
        (await reserved()).settle(10 * A_CENT, 0)

    assert said in caplog.text
    assert "$0.100000000 settled" in caplog.text
    assert "sk-live-1234" not in caplog.text


async def test_a_correction_takes_nothing_away_that_the_ledger_refused_to_count() -> None:
    """Its sum would fall below what was reported, even below nothing."""

    class Refusing(Watched):
        async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
            if settled == uncertain == 20 * A_CENT:
                raise ZeroDivisionError
            return await super().settle(id, tallies, settled, uncertain)

    ledger = Refusing()
    async with routeware.session("day", limit_usd=1, ledger=ledger):
        reservation = await reserved()
        reservation.settle(20 * A_CENT, 20 * A_CENT)
        reservation.settle(30 * A_CENT, 0)
        reservation.settle(5 * A_CENT, 0)
        reservation.settle(0, 0)

    # The first 20 and 20 are missing, as the log says; 10 were added, and no more than these 10 are taken away.
    assert [(sums.settled, sums.uncertain) for sums in ledger.sums] == [
        (10 * A_CENT, 0),
        (5 * A_CENT, 0),
        (0, 0),
    ]


async def test_a_settlement_whose_answer_is_cancelled_by_the_ledger_is_told_again() -> None:
    """It may have been counted, and is counted once."""

    class Cancelling(Watched):
        async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
            answer = await super().settle(id, tallies, settled, uncertain)
            if len(self.ids) < 3:
                raise asyncio.CancelledError
            return answer

    ledger = Cancelling()
    async with routeware.session("day", limit_usd=1, ledger=ledger):
        (await reserved()).settle(10 * A_CENT, 0)

    assert len(set(ledger.ids)) == 1
    assert ledger.sums == [Balance(settled=10 * A_CENT)] * 3


def closed_after(settling: Callable[[Reservation], None]) -> tuple[Remote, Reservation]:
    """Settle when the loop has stopped and is about to be closed, in a session that is never left."""
    ledger = Remote()
    held: list[Reservation] = []

    async def main() -> None:
        await routeware.session("day", limit_usd=1, ledger=ledger).__aenter__()
        held.append(await reserved())

    loop = asyncio.new_event_loop()  # a jumping one takes nothing from outside
    loop.run_until_complete(main())
    settling(held[0])
    loop.close()
    return ledger, held.pop()


def test_a_message_that_its_loop_never_sent_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It was handed over to the loop, which never ran again: whoever drops the reservation drops the message."""
    ledger, reservation = closed_after(lambda one: one.settle(10 * A_CENT, 5 * A_CENT))

    del reservation
    gc.collect()

    assert "the loop is closed" in caplog.text
    assert "$0.100000000 settled, $0.050000000 uncertain" in caplog.text
    assert usd(asyncio.run(stands_at(ledger))) == (0, 0, 0.25)


def test_a_message_is_told_from_the_next_loop_where_there_is_one(caplog: pytest.LogCaptureFixture) -> None:
    """A report that comes then brings with it what the closed loop did not tell."""
    ledger, reservation = closed_after(lambda one: one.settle(0, 25 * A_CENT))

    async def later() -> tuple[float, float, float]:
        reservation.settle(10 * A_CENT, 0)
        await pause(1)
        return usd(await stands_at(ledger))

    assert run_jumping(later()) == (0.1, 0, 0)
    assert "could not be told" not in caplog.text


def test_from_another_loop_it_is_tried_once(caplog: pytest.LogCaptureFixture) -> None:
    """The session that would wait for repeats is gone with its loop."""
    ledger, reservation = closed_after(lambda _: None)

    async def later() -> None:
        ledger.away = {"settle"}
        reservation.settle(10 * A_CENT, 0)
        await pause(10_000)

    run_jumping(later())

    assert "it could not be reached" in caplog.text
    assert usd(asyncio.run(stands_at(ledger))) == (0, 0, 0.25)


def test_with_no_loop_left_the_log_says_what_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """At once, where the loop is known to be closed."""
    ledger, reservation = closed_after(lambda _: None)

    reservation.settle(10 * A_CENT, 0)

    assert "the loop is closed" in caplog.text
    assert usd(asyncio.run(stands_at(ledger))) == (0, 0, 0.25)


def test_a_repeat_that_is_cancelled_ends_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """A loop that closes cancels it, in its pause as in a try: it may not pass for one that has told the ledger."""
    ledger = Remote(settle_ms=1_000)
    repeats: list[asyncio.Task[Any]] = []

    async def main(pause_ms: float) -> None:
        ledger.away = {"settle"}
        await routeware.session("day", limit_usd=1, ledger=ledger).__aenter__()
        (await reserved()).settle(10 * A_CENT, 0)
        await pause(10)
        ledger.away = set()
        await pause(pause_ms)
        repeats.extend(asyncio.all_tasks() - {asyncio.current_task()})

    for pause_ms in (10, 500):
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(main(pause_ms))

    assert len(repeats) >= 2
    assert all(task.cancelled() for task in repeats)
    assert caplog.text.count("the loop is closing") == 2
    assert caplog.text.count("$0.100000000 settled, $0.000000000 uncertain") == 2


def test_a_hold_that_is_lost_with_its_loop_is_logged_as_nothing_spent(caplog: pytest.LogCaptureFixture) -> None:
    """Its attempt never started: the ledger was to be told 0, and its lease has to end what it may hold."""
    ledger = Remote(hold_ms=[1_000])

    async def asking() -> None:
        spending = await routeware.session("day", limit_usd=1, ledger=ledger).__aenter__()
        await Reservation(spending).hold_remotely(25 * A_CENT)

    asked, _ = started(asking)
    asked.close()
    gc.collect()

    assert "the loop is closed" in caplog.text
    assert "$0.000000000 settled, $0.000000000 uncertain" in caplog.text
    assert usd(asyncio.run(stands_at(ledger))) == (0, 0, 0.25)


def test_a_loop_that_closes_during_the_first_try_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """The ledger may have heard it, or not: a later report brings it again, and it counts once."""
    ledger = Watched(settle_ms=1_000)
    held: list[Reservation] = []

    async def main() -> None:
        await routeware.session("day", limit_usd=1, ledger=ledger).__aenter__()
        held.append(await reserved())
        held[0].settle(10 * A_CENT, 5 * A_CENT)
        await pause(10)

    async def later() -> None:
        held[0].settle(15 * A_CENT, 0)
        await pause(5_000)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())
    gc.collect()
    assert caplog.text.count("the loop is closing") == 1
    assert "the loop is closed" not in caplog.text
    run_jumping(later())

    assert ledger.sums == [Balance(10 * A_CENT, 5 * A_CENT), Balance(15 * A_CENT)]
    assert len(ledger.ids) == 2


async def test_a_call_that_ends_while_its_ledger_is_away_is_told_in_one_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not again for every try."""
    ledger = Remote()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        ledger.away = {"settle"}
        await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()

    assert caplog.text.count("could not be told") == 1
