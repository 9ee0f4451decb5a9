"""A ledger that cannot be reached: nothing is spent in silence, nothing is counted twice, and it is told in the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import routeware
from routeware import BudgetExceededError, LedgerUnavailableError, PolicyError
from tests.fakes.clock import JumpingLoop
from tests.fakes.ledgers import EVERYTHING, Remote, stands_at, usd
from tests.fakes.providers import answers, busy, cancelled_at, hangs, pause, reports, script, stopwatch


def asks(cost: float) -> Callable[[], Awaitable[object]]:
    """A call that is projected at a quarter and costs this, as often as it is asked for."""

    async def call() -> object:
        return await script(a=reports(cost, answers(0))).ask(usd={"a": 0.25})()

    return call


async def test_what_an_attempt_cost_is_told_when_the_ledger_is_back() -> None:
    """The caller has the answer at once; the reservation there is replaced later, and once."""
    ledger = Remote()

    async def takes_the_ledger_away(attempt: Any) -> object:
        ledger.away = {"settle"}
        return await reports(0.125, answers(10))(attempt)

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        assert await script(a=takes_the_ledger_away).ask(usd={"a": 0.25})() == "a"
        await pause(60_000)
        assert usd(await stands_at(ledger)) == (0, 0, 0.25)
        ledger.away = set()
        await pause(2_000)
        assert usd(await stands_at(ledger)) == (0.125, 0, 0)
        assert (spending.spent_usd, spending.reserved_usd) == (0.125, 0)


async def test_leaving_the_session_waits_for_a_ledger_that_comes_back() -> None:
    """A short absence loses nothing."""
    ledger = Remote()
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        await script(a=reports(0.125, answers(10))).ask(usd={"a": 0.25})()
        ledger.away = {"settle"}
        await script(a=reports(0.125, answers(10))).ask(usd={"a": 0.25})()
        asyncio.get_running_loop().call_later(1, ledger.away.clear)

    assert took() <= 3_500
    assert usd(await stands_at(ledger)) == (0.25, 0, 0)


async def test_a_message_that_cannot_be_told_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """With its amounts: the session gives it up after 5 seconds, and what was reserved stays so there."""
    ledger = Remote()
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        ledger.away = {"settle"}
        await script(a=reports(0.125, answers(10))).ask(usd={"a": 0.25})()

    assert took() <= 5_100
    assert "$0.125000000" in caplog.text
    assert usd(await stands_at(ledger)) == (0, 0, 0.25)


async def test_a_session_inside_leaves_its_messages_to_the_one_around() -> None:
    """Only the outermost session gives them up."""
    ledger = Remote()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        async with routeware.session("request"):
            ledger.away = {"settle"}
            await script(a=reports(0.125, answers(10))).ask(usd={"a": 0.25})()
        await pause(60_000)
        ledger.away = set()

    assert usd(await stands_at(ledger)) == (0.125, 0, 0)


async def test_a_session_whose_leaving_is_cancelled_repeats_nothing_for_ever() -> None:
    """The task that would, ends."""
    ledger = Remote()

    async def body() -> None:
        async with routeware.session("day", limit_usd=1, ledger=ledger):
            ledger.away = {"settle"}
            await script(a=reports(0.125, answers(10))).ask(usd={"a": 0.25})()

    task, took = await cancelled_at(body(), 2_000)

    assert task.cancelled()
    assert took <= 2_100


async def test_a_straggler_after_its_session_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits any more, so nothing is repeated."""
    ledger = Remote()
    calling: list[asyncio.Task[object]] = []

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        calling.append(asyncio.create_task(script(a=reports(0.125, answers(10_000))).ask(usd={"a": 0.25})()))
        await pause(10)
    ledger.away = {"settle"}
    await calling[0]

    assert "could not be told" in caplog.text
    await pause(100)


async def test_a_failover_does_not_wait_for_the_ledger_to_come_back() -> None:
    """What the failed attempt gave back is told when it can be; the next asks for its own."""
    ledger = Remote()

    async def fails_and_takes_half_the_ledger_with_it(attempt: Any) -> object:
        ledger.away = {"settle"}
        return await busy()(attempt)

    providers = script(a=fails_and_takes_half_the_ledger_with_it, b=reports(0.125, answers(0)))
    took = stopwatch()

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        assert await providers.ask(usd={"a": 0.25, "b": 0.25})() == "b"
        assert took() <= 2_000
        ledger.away = set()
        await pause(3_000)

    assert usd(await stands_at(ledger)) == (0.125, 0, 0)


async def test_a_session_may_spend_a_little_while_its_ledger_is_away() -> None:
    """What it said beforehand, and no more; the session's figures count it, and the ledger is told of it."""
    ledger = Remote()
    ask = asks(0.125)

    async with routeware.session("day", limit_usd=10, ledger=ledger, on_unavailable=0.5) as spending:
        ledger.away = set(EVERYTHING)
        for _ in range(3):
            await ask()
        assert (spending.spent_usd, spending.reserved_usd, spending.remaining_usd) == (0.375, 0, 9.625)
        with pytest.raises(BudgetExceededError) as raised:
            await ask()
        assert raised.value.limit_usd == 0.5
        assert raised.value.committed_usd == 0.375
        assert usd(await stands_at(ledger, limit=10)) == (0, 0, 0)

        ledger.away = set()
        await pause(5_000)
        assert usd(await stands_at(ledger, limit=10)) == (0.375, 0, 0)
        assert (spending.spent_usd, spending.remaining_usd) == (0.375, 9.625)
        ledger.away = set(EVERYTHING)
        for _ in range(3):
            await ask()
        ledger.away = set()

    assert usd(await stands_at(ledger, limit=10)) == (0.75, 0, 0)


async def test_nothing_may_be_spent_meanwhile_unless_it_is_said() -> None:
    """Refusing is the default; 0 is an amount that refuses, too."""
    for on_unavailable, error in (("refuse", LedgerUnavailableError), (0, BudgetExceededError)):
        ledger, providers = Remote(), script(a=answers(0))
        async with routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable=on_unavailable):
            ledger.away = set(EVERYTHING)
            with pytest.raises(error):
                await providers.ask(usd={"a": 0.25})()
        assert providers.started == {}


async def test_a_hold_whose_reply_was_lost_is_replaced_by_what_was_spent_meanwhile() -> None:
    """The ledger may have acted: the same id settles it, so it counts once."""

    class Deaf(Remote):
        async def hold(self, id: str, tallies: Any, nanos: int, /) -> Any:
            await self.books.hold(id, tallies, nanos)
            raise LedgerUnavailableError("the reply was lost")

    ledger = Deaf()
    async with routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable=0.5):
        await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()

    assert usd(await stands_at(ledger)) == (0.125, 0, 0)


async def test_the_limit_holds_by_what_was_last_seen() -> None:
    """What may be spent meanwhile does not lift it; nor the policy's cap on the session."""
    ledger = Remote()
    ask = asks(0.25)
    capped = script(a=answers(0)).ask(usd={"a": 0.25}, session_usd=0.75)

    async with routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable=100) as spending:
        await ask()
        await ask()
        ledger.away = set(EVERYTHING)
        await ask()
        with pytest.raises(BudgetExceededError) as raised:
            await capped()
        assert (raised.value.limit_usd, raised.value.committed_usd) == (0.75, 0.75)
        await ask()
        with pytest.raises(BudgetExceededError) as raised:
            await ask()
        assert (raised.value.limit_usd, raised.value.committed_usd) == (1, 1)
        assert spending.remaining_usd == 0
        ledger.away = set()


async def test_a_ledger_that_is_away_is_not_asked_at_every_call() -> None:
    """Once in a second, so that calls do not wait for its time-out one after the other."""
    ledger = Remote()

    async with routeware.session("day", limit_usd=10, ledger=ledger, on_unavailable=5):
        ledger.away = set(EVERYTHING)
        before = ledger.holds
        for _ in range(10):
            await script(a=reports(0.01, answers(50))).ask(usd={"a": 0.25})()
        assert ledger.holds == before + 1
        ledger.away = set()
        await pause(3_000)
        await script(a=reports(0.01, answers(50))).ask(usd={"a": 0.25})()
        assert ledger.holds == before + 2

    assert usd(await stands_at(ledger, limit=10)) == (0.11, 0, 0)


async def test_what_may_be_spent_meanwhile_is_of_the_name_and_not_of_each_session() -> None:
    """One session for each request: together they spend no more, and the ledger is asked once in a second."""
    ledger = Remote()
    ask = asks(0.125)
    asked = 0

    async def request() -> float:
        async with routeware.session("tenant", limit_usd=10, ledger=ledger, on_unavailable=0.5) as spending:
            await ask()
            return spending.spent_usd

    def count(what: str) -> None:
        nonlocal asked
        asked += what != "settle"
        raise LedgerUnavailableError("away")

    ledger._ask = count  # type: ignore[method-assign]
    requests = [asyncio.create_task(request()) for _ in range(8)]
    await asyncio.wait(requests, timeout=0.5)
    del ledger._ask  # type: ignore[method-assign]
    ended = await asyncio.gather(*requests, return_exceptions=True)

    assert len([one for one in ended if isinstance(one, float)]) == 2, "what two set aside at once fills it"
    assert len([one for one in ended if isinstance(one, BudgetExceededError)]) == 6
    assert asked <= 8 + 1
    await pause(2_000)
    assert await request() == 0.375, "theirs is told by the next, and its own"
    assert usd(await stands_at(ledger, "tenant", 10)) == (0.375, 0, 0)


async def test_what_a_session_could_not_tell_is_told_by_the_next_that_reaches_the_ledger() -> None:
    """A session for each request, and an outage that outlasts many: leaving waits for nothing, nothing is lost."""
    ledger = Remote()
    took = stopwatch()

    async def request() -> None:
        async with routeware.session("day"), routeware.session("tenant", ledger=ledger, on_unavailable=5):
            await asks(0.125)()

    await request()
    ledger.away = set(EVERYTHING)
    for _ in range(10):
        await request()
    assert took() <= 1_000
    await pause(60_000)
    ledger.away = set()
    assert usd(await stands_at(ledger, "tenant", None)) == (0.125, 0, 0)
    await request()

    assert usd(await stands_at(ledger, "tenant", None)) == (1.5, 0, 0)
    async with routeware.session("tenant", ledger=ledger, on_unavailable=5) as spending:
        assert (spending.spent_usd, spending.reserved_usd) == (1.5, 0)


async def test_catching_up_stops_where_the_ledger_is_gone_again() -> None:
    """And goes on with the next chance; each message counts once."""
    ledger = Remote()

    async def request(cost: float = 0.125) -> None:
        async with routeware.session("tenant", ledger=ledger, on_unavailable=5):
            await asks(cost)()

    await request()
    ledger.away = set(EVERYTHING)
    for _ in range(3):
        await request()
    await pause(2_000)
    ledger.away = {"settle"}
    await request()
    ledger.away = set()
    await pause(2_000)
    await request()
    await request()

    assert usd(await stands_at(ledger, "tenant", None))[0] == 0.125 * 6


async def test_a_ledger_without_weak_references_has_a_stopgap_for_each_session() -> None:
    """There is nothing to remember it by."""

    class Slotted:
        __slots__ = ("inner",)

        def __init__(self) -> None:
            self.inner = Remote()

        async def hold(self, *asked: Any) -> Any:
            return await self.inner.hold(*asked)

        async def settle(self, *asked: Any) -> Any:
            return await self.inner.settle(*asked)

        async def tally(self, *asked: Any) -> Any:
            return await self.inner.tally(*asked)

    ledger = Slotted()
    async with routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable=0.25) as spending:
        ledger.inner.away = set(EVERYTHING)
        await asks(0.125)()
        assert spending.spent_usd == 0.125
        ledger.inner.away = set()

    assert usd(await stands_at(ledger.inner)) == (0.125, 0, 0)


async def test_a_session_can_be_entered_while_its_ledger_is_away() -> None:
    """Where it may spend meanwhile; the ledger hears of the limit when it is back."""
    ledger = Remote()
    ledger.away = set(EVERYTHING)
    ask = asks(0.125)

    with pytest.raises(LedgerUnavailableError):
        async with routeware.session("day", limit_usd=1, ledger=ledger):
            pass
    async with routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable=0.25):
        await ask()
        ledger.away = set()
        await pause(3_000)
        await ask()
        with pytest.raises(PolicyError):
            await stands_at(ledger, limit=2)

    assert usd(await stands_at(ledger)) == (0.25, 0, 0)


async def test_another_limit_is_found_when_the_ledger_is_back() -> None:
    """The call says so, before anything is started."""
    ledger = Remote()
    await stands_at(ledger, limit=2)
    ledger.away = set(EVERYTHING)
    providers = script(a=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=ledger, on_unavailable=1):
        ledger.away = set()
        await pause(2_000)
        with pytest.raises(PolicyError) as raised:
            await providers.ask(usd={"a": 0.25})()

    assert raised.value.key == "limit_usd"
    assert providers.started == {}


async def test_of_nested_sessions_the_one_that_refuses_decides() -> None:
    """In one ledger, every one of them has to allow it; each is counted by its own amount."""
    ledger = Remote()
    ask = asks(0.25)

    async with routeware.session("month", ledger=ledger):  # noqa: SIM117 - nesting is what is tested
        async with routeware.session("day", ledger=ledger, on_unavailable=1):
            ledger.away = set(EVERYTHING)
            with pytest.raises(LedgerUnavailableError):
                await ask()
            ledger.away = set()

    async with routeware.session("month", ledger=ledger, on_unavailable=0.25) as month:  # noqa: SIM117 - likewise
        async with routeware.session("day", ledger=ledger, on_unavailable=1) as day:
            ledger.away = set(EVERYTHING)
            await ask()
            with pytest.raises(BudgetExceededError) as raised:
                await ask()
            assert raised.value.session_name == "month"
            assert (day.spent_usd, month.spent_usd) == (0.25, 0.25)
            ledger.away = set()

    assert usd(await stands_at(ledger, "day", None)) == usd(await stands_at(ledger, "month", None)) == (0.25, 0, 0)


async def test_a_session_entered_inside_itself_may_spend_meanwhile_once() -> None:
    """One name, one amount."""
    ledger = Remote()
    ask = asks(0.25)

    async with routeware.session("day", ledger=ledger, on_unavailable=0.25) as outer:  # noqa: SIM117 - likewise
        async with routeware.session("day", ledger=ledger, on_unavailable=0.25) as inner:
            ledger.away = set(EVERYTHING)
            await ask()
            with pytest.raises(BudgetExceededError):
                await ask()
            assert (outer.spent_usd, inner.spent_usd) == (0.25, 0.25)
            ledger.away = set()

    assert usd(await stands_at(ledger, limit=None)) == (0.25, 0, 0)


async def test_an_attempt_that_is_cancelled_meanwhile_is_uncertain_and_told() -> None:
    """As with a ledger that is there."""
    ledger = Remote()

    async with routeware.session("day", ledger=ledger, on_unavailable=1) as spending:
        ledger.away = set(EVERYTHING)
        await cancelled_at(script(a=hangs()).ask(usd={"a": 0.25})(), 20)
        assert (spending.uncertain_usd, spending.reserved_usd) == (0.25, 0)
        ledger.away = set()

    assert usd(await stands_at(ledger, limit=None)) == (0, 0.25, 0)


async def test_a_ledger_that_breaks_is_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """An error that is not about reaching it is not tried again."""

    class Broken(Remote):
        async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
            raise ZeroDivisionError

    caplog.set_level(logging.WARNING)
    async with routeware.session("day", ledger=Broken()):
        await script(a=reports(0.25, answers(0))).ask(usd={"a": 0.25})()

    assert "ZeroDivisionError" in caplog.text


def test_a_loop_that_closes_leaves_no_cost_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """A session that nobody left, and a message that was still to be told."""

    async def main() -> None:
        ledger = Remote()
        await routeware.session("day", ledger=ledger).__aenter__()
        ledger.away = {"settle"}
        await script(a=reports(0.125, answers(0))).ask(usd={"a": 0.25})()
        await pause(1_000)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main())

    assert "the loop is closing" in caplog.text
    assert "$0.125000000" in caplog.text


@pytest.mark.parametrize("value", ["spend", "", -1, float("nan"), float("inf"), True, None])
def test_what_to_do_meanwhile_is_refuse_or_an_amount(value: Any) -> None:
    """Anything else is refused by name."""
    with pytest.raises(PolicyError) as raised:
        routeware.session("day", ledger=Remote(), on_unavailable=value)
    assert raised.value.key == "on_unavailable"
