"""A ledger that goes on for a little while the one behind it cannot be reached, used by itself."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

import routeware
from routeware import BudgetExceededError, LedgerUnavailableError, PolicyError
from routeware.budget import Balance, OfflineLedger, Tally
from routeware.testing.ledgers import LedgerSuite
from tests.fakes.clock import JumpingLoop, run_jumping
from tests.fakes.ledgers import EVERYTHING, Remote, Replaceable, stands_at, usd
from tests.fakes.providers import answers, pause, reports, script, stopwatch

T = TypeVar("T")

DAY = Tally("day", 10**9)
A_CENT = 10_000_000


class TestOfflineLedger(LedgerSuite):
    """While the ledger behind it can be reached, it answers as that one does."""

    @asynccontextmanager
    async def opening(self) -> AsyncIterator[OfflineLedger]:
        yield OfflineLedger(Replaceable(), 0.5)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return run_jumping(work)


@pytest.mark.parametrize("spare", [-1, float("nan"), "refuse", True])
def test_what_may_be_spent_meanwhile_is_an_amount(spare: Any) -> None:
    """The error names the argument."""
    with pytest.raises(PolicyError) as raised:
        OfflineLedger(Remote(), spare)

    assert raised.value.key == "spare_usd"


async def test_it_holds_and_settles_by_itself_and_tells_the_ledger_when_it_is_back() -> None:
    """What it answers counts what the ledger does not know yet."""
    behind = Remote()
    ledger = OfflineLedger(behind, 0.5)
    await ledger.tally(DAY)
    await behind.settle("other", [DAY], 3 * A_CENT, 0)

    behind.away = set(EVERYTHING)
    assert list(await ledger.hold("a", [DAY], 20 * A_CENT)) == [Balance(reserved=20 * A_CENT)]
    assert list(await ledger.settle("a", [DAY], 10 * A_CENT, 5 * A_CENT)) == [Balance(10 * A_CENT, 5 * A_CENT, 0)]
    assert await stands_at(behind) == Balance(3 * A_CENT, 0, 0)
    behind.away = set()
    await pause(3_000)

    assert await stands_at(behind) == Balance(13 * A_CENT, 5 * A_CENT, 0)
    assert await ledger.tally(DAY) == Balance(13 * A_CENT, 5 * A_CENT, 0)


async def test_what_cost_nothing_is_not_told_to_a_ledger_that_was_not_even_asked() -> None:
    """It knows nothing of it; where it was asked and did not answer, it may hold it."""
    behind = Watched()
    ledger = OfflineLedger(behind, 0.5)
    behind.away = set(EVERYTHING)
    for id in ("asked", "not asked"):
        await ledger.hold(id, [DAY], A_CENT)
        await ledger.settle(id, [DAY], 0, 0)

    behind.away = set()
    await pause(3_000)

    assert behind.told == [Balance()]


async def test_a_hold_that_is_refused_here_is_given_back_where_it_may_have_been_granted() -> None:
    """The ledger acted, and its reply was lost; the spare amount has no room: without a settlement it would stay."""

    class Deaf(Remote):
        async def hold(self, id: str, tallies: Any, nanos: int, /) -> Any:
            await super().hold(id, tallies, nanos)
            raise LedgerUnavailableError("the reply was lost")

    behind = Deaf()
    ledger = OfflineLedger(behind, 0.125)
    with pytest.raises(BudgetExceededError):
        await ledger.hold("a", [DAY], 25 * A_CENT)
    assert await stands_at(behind) == Balance(reserved=25 * A_CENT)

    await pause(3_000)

    assert await stands_at(behind) == Balance()


async def test_what_was_told_frees_the_spare_amount() -> None:
    """It is what may be spent without the ledger's knowing, at any time."""
    behind = Remote()
    ledger = OfflineLedger(behind, 0.5)

    for number in range(3):
        behind.away = set(EVERYTHING)
        await ledger.hold(f"a{number}", [DAY], 25 * A_CENT)
        await ledger.settle(f"a{number}", [DAY], 25 * A_CENT, 0)
        behind.away = set()
        await pause(5_000)

    assert await stands_at(behind) == Balance(settled=75 * A_CENT)


async def test_a_correction_waits_behind_what_it_corrects() -> None:
    """Otherwise the ledger's sum would fall below what was reported."""
    behind = Watched()
    ledger = OfflineLedger(behind, 0.5)
    behind.away = set(EVERYTHING)
    await ledger.hold("a", [DAY], 25 * A_CENT)
    await ledger.settle("a", [DAY], 0, 25 * A_CENT)

    behind.away = set()
    await ledger.settle("correction", [DAY], 10 * A_CENT, -25 * A_CENT)
    await pause(5_000)

    assert await stands_at(behind) == Balance(settled=10 * A_CENT)
    assert [told.uncertain for told in behind.told] == [25 * A_CENT, 0]


class Watched(Remote):
    """A ledger that remembers what it stood at after every settlement."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Balance] = []

    async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
        answer = await super().settle(id, tallies, settled, uncertain)
        self.told += answer
        return answer


async def test_a_hold_that_the_ledger_granted_is_settled_there_or_not_at_all() -> None:
    """What it knows, it has to hear: the caller asks again."""
    behind = Remote()
    ledger = OfflineLedger(behind, 0.5)
    await ledger.hold("a", [DAY], 25 * A_CENT)

    behind.away = set(EVERYTHING)
    with pytest.raises(LedgerUnavailableError):
        await ledger.settle("a", [DAY], 10 * A_CENT, 0)
    behind.away = set()
    await ledger.settle("a", [DAY], 10 * A_CENT, 0)

    assert await stands_at(behind) == Balance(settled=10 * A_CENT)


async def test_closing_tries_once_more_and_leaves_the_rest_to_others(caplog: pytest.LogCaptureFixture) -> None:
    """The next that stands before the same ledger tells it; the log says what was not told, once."""
    behind = Remote()
    ledger = OfflineLedger(behind, 0.5)
    behind.away = set(EVERYTHING)
    await ledger.hold("a", [DAY], 25 * A_CENT)
    await ledger.settle("a", [DAY], 10 * A_CENT, 0)
    await pause(500)
    took = stopwatch()

    await ledger.aclose()
    await ledger.aclose()

    assert took() == 0, "nobody waits for the pause between two tries"
    assert caplog.text.count("$0.100000000 settled") == 1
    assert "next session that reaches it" in caplog.text
    behind.away = set()
    await pause(2_000)
    another = OfflineLedger(behind, 0.5)
    await another.hold("b", [DAY], 0)
    await pause(1)
    assert await stands_at(behind) == Balance(settled=10 * A_CENT)


async def test_closing_again_tries_again() -> None:
    """What could not be told the first time is told then."""
    behind = Remote()
    ledger = OfflineLedger(behind, 0.5)
    behind.away = set(EVERYTHING)
    await ledger.hold("a", [DAY], 25 * A_CENT)
    await ledger.settle("a", [DAY], 10 * A_CENT, 0)
    await ledger.aclose()

    behind.away = set()
    await ledger.aclose()

    assert await stands_at(behind) == Balance(settled=10 * A_CENT)


async def test_closing_what_has_nothing_to_tell_does_nothing() -> None:
    """Nor does closing twice."""
    ledger = OfflineLedger(Remote(), 0.5)

    await ledger.aclose()
    await ledger.aclose()

    assert await ledger.tally(DAY) == Balance()


async def test_sessions_may_share_one_that_was_made_by_hand() -> None:
    """It is a ledger like any other, and closed by its owner; nested sessions count in it once."""
    behind = Remote()
    ledger = OfflineLedger(behind, 0.5)
    call = script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})

    async with (
        routeware.session("month", ledger=ledger) as month,
        routeware.session("day", limit_usd=1, ledger=ledger) as day,
    ):
        behind.away = set(EVERYTHING)
        await call()
        assert (month.spent_usd, day.spent_usd, day.reserved_usd) == (0.125, 0.125, 0)
    behind.away = set()
    await ledger.aclose()

    assert usd(await stands_at(behind)) == usd(await stands_at(behind, "month", None)) == (0.125, 0, 0)


async def test_a_ledger_that_breaks_while_it_is_told_is_not_told_again(caplog: pytest.LogCaptureFixture) -> None:
    """What stands behind in the queue is told all the same."""

    class Broken(Remote):
        async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
            if id == "a":
                raise ZeroDivisionError("sk-live-1234")
            return await super().settle(id, tallies, settled, uncertain)

    behind = Broken()
    ledger = OfflineLedger(behind, 0.5)
    behind.away = set(EVERYTHING)
    for id in ("a", "b"):
        await ledger.hold(id, [DAY], A_CENT)
        await ledger.settle(id, [DAY], A_CENT, 0)

    behind.away = set()
    await pause(5_000)

    assert await stands_at(behind) == Balance(settled=A_CENT)
    assert "ZeroDivisionError" in caplog.text
    assert "sk-live-1234" not in caplog.text


def test_a_loop_that_closes_with_something_untold_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """It stays for the next session that reaches the ledger, on another loop."""
    behind = Remote()

    telling: list[asyncio.Task[Any]] = []

    async def spend() -> None:
        ledger = OfflineLedger(behind, 0.5)
        behind.away = set(EVERYTHING)
        await ledger.hold("a", [DAY], 25 * A_CENT)
        await ledger.settle("a", [DAY], 10 * A_CENT, 0)
        await pause(10)
        telling.extend(asyncio.all_tasks() - {asyncio.current_task()})

    async def come_back() -> Balance:
        behind.away = set()
        await pause(2_000)
        async with routeware.session("day", limit_usd=1, ledger=behind, on_unavailable=0.5):
            await script(a=answers(0)).ask(usd={"a": 0})()
        return await stands_at(behind)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(spend())

    assert "the loop is closing" in caplog.text
    assert telling
    assert all(task.cancelled() for task in telling), "whoever cancels the task sees that it was cancelled"
    assert run_jumping(come_back()) == Balance(settled=10 * A_CENT)


def test_two_loops_do_not_tell_a_ledger_at_once() -> None:
    """One of them has begun: the other leaves it to that one, and neither tells anything twice."""
    told: list[str] = []
    inside, go = threading.Event(), threading.Event()

    class Behind(Remote):
        async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
            told.append(id)
            inside.set()
            await asyncio.to_thread(go.wait, 20)
            return await super().settle(id, tallies, settled, uncertain)

    behind = Behind()

    async def spend() -> None:
        ledger = OfflineLedger(behind, 0.5)
        behind.away = set(EVERYTHING)
        await ledger.hold("a", [DAY], 25 * A_CENT)
        await ledger.settle("a", [DAY], 10 * A_CENT, 0)
        behind.away = set()
        await ledger.aclose()

    async def meanwhile() -> None:
        ledger = OfflineLedger(behind, 0.5)
        behind.away = set(EVERYTHING)
        await ledger.hold("b", [DAY], A_CENT)
        await ledger.settle("b", [DAY], A_CENT, 0)
        behind.away = set()
        await ledger.aclose()

    first = threading.Thread(target=asyncio.run, args=(spend(),))
    first.start()
    assert inside.wait(20)
    asyncio.run(meanwhile())
    assert told == ["a"]
    go.set()
    first.join()

    assert told == ["a", "b"]
    assert asyncio.run(stands_at(behind)) == Balance(settled=11 * A_CENT)


async def test_what_is_known_of_a_name_lasts_no_longer_than_its_sessions() -> None:
    """A service has a name for every tenant."""
    behind = Remote()
    ledger = OfflineLedger(behind, 0.5)

    behind.away = set(EVERYTHING)
    for number in range(10):
        async with routeware.session(f"tenant-{number}", ledger=behind, on_unavailable=0.5):
            pass
    gc.collect()

    assert not list(ledger._outage._allowances)


async def test_the_spare_amount_is_one_for_all_that_stand_before_a_ledger() -> None:
    """Two of them spend it once."""
    behind = Remote()
    one, other = OfflineLedger(behind, 0.5), OfflineLedger(behind, 0.5)

    behind.away = set(EVERYTHING)
    await one.hold("a", [DAY], 30 * A_CENT)
    with pytest.raises(BudgetExceededError) as raised:
        await other.hold("b", [DAY], 30 * A_CENT)
    await one.settle("a", [DAY], 0, 0)
    await other.hold("c", [DAY], 50 * A_CENT)
    await other.settle("c", [DAY], 0, 0)

    assert (raised.value.limit_usd, raised.value.committed_usd) == (0.5, 0.3)
    behind.away = set()
    await one.aclose()
    await other.aclose()
    assert await stands_at(behind) == Balance()


async def test_what_a_long_outage_has_left_is_told_side_by_side() -> None:
    """One after another it would take a round trip each; corrections still come behind what they correct."""
    behind = Watched()
    behind.settle_ms = 20
    ledger = OfflineLedger(behind, 500)
    tally = Tally("day")
    behind.away = set(EVERYTHING)
    for number in range(1_000):
        await ledger.hold(f"{number}", [tally], A_CENT)
        await ledger.settle(f"{number}", [tally], 0, A_CENT)
    await ledger.settle("correction", [tally], A_CENT, -A_CENT)
    took = stopwatch()

    behind.away = set()
    await ledger.aclose()

    assert took() <= 300
    assert await stands_at(behind, limit=None) == Balance(A_CENT, 999 * A_CENT)
    assert len(behind.told) == 1_001
    assert behind.told[-1] == Balance(A_CENT, 999 * A_CENT)


async def test_what_comes_after_a_correction_is_told_after_it() -> None:
    """In the order in which it was said."""
    behind = Watched()
    ledger = OfflineLedger(behind, 0.5)
    behind.away = set(EVERYTHING)
    for id, cost in (("a", 3), ("b", 5)):
        await ledger.hold(id, [DAY], cost * A_CENT)
        await ledger.settle(id, [DAY], cost * A_CENT, 0)
        await ledger.settle(f"correction of {id}", [DAY], -A_CENT, 0)

    behind.away = set()
    await ledger.aclose()

    assert [told.settled // A_CENT for told in behind.told] == [3, 2, 7, 6]


async def test_two_on_one_loop_tell_a_ledger_in_turn() -> None:
    """The second waits until the first has told its round, and tells what is left."""
    behind = Watched()
    behind.settle_ms = 100
    one, other = OfflineLedger(behind, 0.5), OfflineLedger(behind, 0.5)
    behind.away = set(EVERYTHING)
    for ledger, id in ((one, "a"), (other, "b")):
        await ledger.hold(id, [DAY], A_CENT)
        await ledger.settle(id, [DAY], A_CENT, 0)

    behind.away = set()
    await asyncio.gather(one.aclose(), other.aclose())

    assert behind.told == [Balance(A_CENT), Balance(2 * A_CENT)]
