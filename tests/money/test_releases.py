"""What was set aside for an attempt that never starts is given back, whatever kept it from starting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

import routeware
from routeware import Attempt, BudgetExceededError, DeadlineExceededError, Session
from routeware.budget import Balance, Tally
from tests.fakes.ledgers import Remote
from tests.fakes.providers import answers, busy, cancelled_at, hangs, pause, reports, script, stopwatch


def figures(spending: Session) -> tuple[float, float, float]:
    """Settled, uncertain and reserved, in dollars."""
    return spending.spent_usd, spending.uncertain_usd, spending.reserved_usd


class SlowToHear(Remote):
    """A message takes 50 ms to get there, and only then changes anything."""

    async def settle(self, id: str, tallies: Any, settled: int, uncertain: int, /) -> Any:
        await pause(50)
        return await super().settle(id, tallies, settled, uncertain)


async def hops(turns: int) -> None:
    """Let the loop turn so many times."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_cancelled_before_a_ledger_was_asked_nothing_stays_reserved() -> None:
    """The next link waits until the ledger has heard of the one before; the session around had set aside for it."""
    providers = script(a=busy(), b=answers(0))

    async with (
        routeware.session(limit_usd=1) as around,
        routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=1000)),
    ):
        task, _ = await cancelled_at(providers.ask(usd={"a": 0.25, "b": 0.25})(), 50)

        assert task.cancelled()
        assert figures(around) == (0, 0, 0)

    assert list(providers.started) == ["a"]


async def test_out_of_time_before_a_ledger_was_asked_nothing_stays_reserved() -> None:
    """The same, where it is the deadline that comes meanwhile."""
    providers = script(a=busy(), b=answers(0))

    async with (
        routeware.session(limit_usd=1) as around,
        routeware.session("day", limit_usd=1, ledger=Remote(settle_ms=1000)),
    ):
        with pytest.raises(DeadlineExceededError):
            await providers.ask(usd={"a": 0.25, "b": 0.25}, deadline_ms=50)()

        assert figures(around) == (0, 0, 0)

    assert list(providers.started) == ["a"]


@pytest.mark.parametrize("turns", range(8))
async def test_an_answer_in_the_turn_in_which_a_backup_is_granted_leaves_nothing_reserved(turns: int) -> None:
    """The backup has been started and has lost, or it never was and costs nothing: there is nothing in between."""
    ledger = Remote(hold_ms=[0, 50])

    async def answers_at_100(attempt: Attempt) -> str:
        attempt.report_cost(0.125)
        await pause(100)
        await hops(turns)
        return "a"

    providers = script(a=answers_at_100, b=hangs())

    async with (
        routeware.session(limit_usd=1) as around,
        routeware.session("day", limit_usd=1, ledger=ledger) as day,
    ):
        assert await providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=50)() == "a"

    assert figures(around) == (0.125, 0.25 if "b" in providers.started else 0, 0)
    assert figures(day) == figures(around)
    assert await ledger.books.tally(Tally("day", 10**9)) == Balance(
        125_000_000, 250_000_000 if "b" in providers.started else 0, 0
    )


@pytest.mark.parametrize("turns", range(6))
async def test_a_caller_that_cancels_as_the_deadline_passes_is_obeyed(turns: int) -> None:
    """While a ledger thinks: a cancellation that was taken is never turned into another error."""
    ask = script(a=answers(0)).ask(usd={"a": 0.25}, deadline_ms=100)
    taken: list[bool] = []

    async with routeware.session("day", limit_usd=1, ledger=Remote(hold_ms=[500])) as spending:
        task = asyncio.ensure_future(ask())
        await pause(100)
        await hops(turns)
        taken.append(task.cancel())
        await asyncio.wait([task])

    assert [task.cancelled()] == taken
    if not task.cancelled():
        assert isinstance(task.exception(), DeadlineExceededError)
    assert figures(spending) == (0, 0, 0)


async def test_an_inner_call_waits_until_its_containers_money_is_back() -> None:
    """A ledger that hears of it late would refuse the inner call for what its own container had set aside."""
    inner = script(x=reports(0.5, answers(0)))
    took = stopwatch()

    async def nest(attempt: Attempt) -> object:
        return await inner.ask(usd={"x": 0.75})()

    async with routeware.session("day", limit_usd=1, ledger=SlowToHear()) as spending:
        assert await script(a=nest).ask(usd={"a": 0.75})() == "x"

    assert took() >= 50
    assert figures(spending) == (0.5, 0, 0)


async def test_a_container_holds_nothing_and_has_cost_nothing_while_it_runs() -> None:
    """To the nano-dollar: what is booked while it makes its calls is theirs alone."""
    seen: list[Sequence[float]] = []

    async with routeware.session(limit_usd=1) as spending:

        async def nest(attempt: Attempt) -> object:
            result = await script(x=reports(0.5, answers(0))).ask(usd={"x": 0.5})()
            seen.append(figures(spending))
            return result

        await script(a=nest).ask(usd={"a": 0.5})()

    assert seen == [(0.5, 0, 0)]


async def test_what_a_ledger_refused_does_not_count_against_the_calls_own_cap() -> None:
    """A link is skipped: the next one finds all the room that there was."""
    providers = script(a=answers(0), b=reports(0.25, answers(0)))

    async with routeware.session("day", limit_usd=0.25, ledger=Remote()):
        ask = providers.ask(usd={"a": 0.5, "b": 0.25}, per_call_usd=0.5, on_exceed="skip")

        assert await ask() == "b"


async def test_a_refusal_by_a_ledger_names_the_link() -> None:
    """As one by this process does."""
    async with routeware.session("day", limit_usd=0.25, ledger=Remote()):
        with pytest.raises(BudgetExceededError) as raised:
            await script(a=answers(0)).ask(usd={"a": 0.5})()

    assert (raised.value.kind, raised.value.session_name, raised.value.label) == ("session", "day", "a")


async def test_what_costs_nothing_runs_where_nothing_is_left() -> None:
    """Equality passes, in a ledger elsewhere too."""
    async with routeware.session("day", limit_usd=0.25, ledger=Remote()) as spending:
        await script(a=reports(0.25, answers(0))).ask(usd={"a": 0.25})()

        assert await script(free=answers(0)).ask(usd={"free": 0})() == "free"
        assert figures(spending) == (0.25, 0, 0)


async def test_a_warning_goes_on_where_the_sum_is_kept_elsewhere() -> None:
    """`warn` softens the cap that stands in the policy, wherever the session is counted."""
    async with routeware.session("day", ledger=Remote()) as spending:
        ask = script(a=reports(0.5, answers(0))).ask(usd={"a": 0.5}, session_usd=0.25, on_exceed="warn")

        assert await ask() == "a"
        assert figures(spending) == (0.5, 0, 0)


@pytest.mark.parametrize("turns", range(12))
async def test_a_backup_for_nothing_that_comes_too_late_leaves_nothing_in_the_ledger(turns: int) -> None:
    """It set nothing aside, but the ledger remembers that it was asked until it hears otherwise."""
    ledger = Remote(hold_ms=[0, 10])

    async def primary(_attempt: Attempt) -> str:
        await pause(20)
        await hops(turns)
        return "a"

    providers = script(a=primary, b=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=ledger):
        assert await providers.ask(usd={"a": 0.25, "b": 0}, race_after_ms=10)() in "ab"

    assert ledger.holds == 2
    assert not ledger.books._held
