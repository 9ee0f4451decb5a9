"""Sessions that are left in another order than they were entered, or elsewhere: nothing runs unbooked in between."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

import routeware
from routeware import Session, SessionClosedError, current_session
from tests.fakes.providers import answers, hangs, pause, pays, reports, script, stubborn

ORDERS = list(itertools.permutations(range(3)))


async def leave(session: Session) -> None:
    """What ``async with`` does at its end."""
    await session.__aexit__(None, None, None)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("root", [None, 1, 2])
async def test_whatever_the_order_of_leaving_nothing_runs_unbooked(order: tuple[int, ...], root: int | None) -> None:
    """After every step a call is either booked in all that are open around it, or it is refused."""
    call = pays(0.25)
    sessions = [routeware.session(str(number), limit_usd=100, root=number == root) for number in range(3)]
    for session in sessions:
        await session.__aenter__()
    open_ones = list(sessions)

    for place in order:
        await leave(sessions[place])
        open_ones.remove(sessions[place])
        before = sum(session.spent_usd for session in open_ones)
        here = current_session()
        assert here is None or here in open_ones
        assert (here is None) == (not open_ones)
        if here is None:
            continue
        try:
            await call()
        except SessionClosedError:
            assert sum(session.spent_usd for session in open_ones) == before
        else:
            assert here.spent_usd > 0

    assert current_session() is None


@pytest.mark.parametrize("order", ORDERS)
async def test_when_all_are_left_the_context_is_clean(order: tuple[int, ...]) -> None:
    """New sessions and calls without one work as ever."""
    sessions = [routeware.session(str(number)) for number in range(3)]
    for session in sessions:
        await session.__aenter__()
    for place in order:
        await leave(sessions[place])

    assert await pays(0.25)() == "done"
    async with routeware.session("new", limit_usd=1) as new:
        assert current_session() is new
        await pays(0.25)()
    assert new.spent_usd == 0.25
    assert [session.spent_usd for session in sessions] == [0, 0, 0]


async def test_inside_two_of_which_the_outer_was_left_calls_are_refused() -> None:
    """Booking it in the inner one only would lose it in the outer one's sum."""
    one, two = routeware.session("one", limit_usd=1), routeware.session("two", limit_usd=1)
    await one.__aenter__()
    await two.__aenter__()
    await leave(one)

    with pytest.raises(SessionClosedError, match="one"):
        await pays(0.25)()
    with pytest.raises(SessionClosedError, match="one"):
        await routeware.session("three").__aenter__()

    assert current_session() is two
    await leave(two)
    assert current_session() is None


async def test_a_fresh_start_inside_a_session_that_was_left_works() -> None:
    """`root=True` counts in nothing around it, so that nothing around it stands in its way."""
    one = routeware.session("one")
    two = routeware.session("two")
    await one.__aenter__()
    await two.__aenter__()
    await leave(one)

    async with routeware.session("fresh", root=True) as fresh:
        await pays(0.25)()

    assert fresh.spent_usd == 0.25
    assert current_session() is two
    await leave(two)


async def in_a_session(name: str, **settings: Any) -> AsyncIterator[Session]:
    """A generator that holds a session open, as fixtures and dependencies of web frameworks do."""
    async with routeware.session(name, **settings) as spending:
        yield spending


async def test_a_generators_session_that_ends_inside_another_comes_back_to_nobody() -> None:
    """Its end must not bring back a session that was left, nor end the one that is current."""
    generator = in_a_session("generator")
    held = await anext(generator)
    async with routeware.session("outer", limit_usd=1) as outer:
        await generator.aclose()  # type: ignore[attr-defined]  # an async generator's own
        assert current_session() is outer

    assert current_session() is None
    assert await pays(0.25)() == "done"
    assert (held.spent_usd, outer.spent_usd) == (0, 0)


async def test_a_generators_session_that_outlives_the_one_around_it() -> None:
    """The other way round: it was opened inside, and ends after."""
    async with routeware.session("around") as around:
        generator = in_a_session("generator")
        inner = await anext(generator)
    assert current_session() is inner
    with pytest.raises(SessionClosedError, match="around"):
        await pays(0.25)()

    await generator.aclose()  # type: ignore[attr-defined]  # an async generator's own

    assert current_session() is None
    assert around.spent_usd == 0


async def test_a_session_that_is_left_in_another_task_is_left() -> None:
    """There it is not current; here it still is, and refuses."""
    spending = routeware.session("day", limit_usd=1)
    await spending.__aenter__()

    await asyncio.get_running_loop().create_task(leave(spending))

    with pytest.raises(SessionClosedError, match="day"):
        await pays(0.25)()


async def test_a_session_that_another_task_entered_is_not_left_with_ours() -> None:
    """Leaving ours elsewhere takes nothing from the context that it is left in."""
    ours = routeware.session("ours")
    await ours.__aenter__()

    async def elsewhere() -> None:
        async with routeware.session("theirs", limit_usd=1, root=True) as theirs:
            await leave(ours)
            assert current_session() is theirs
            await pays(0.25)()
            assert theirs.spent_usd == 0.25

    await asyncio.get_running_loop().create_task(elsewhere())


async def test_a_straggler_counts_in_a_session_that_was_left_out_of_turn() -> None:
    """It was started inside both, and each waits for it."""
    one, two = routeware.session("one", limit_usd=1), routeware.session("two", limit_usd=1)
    await one.__aenter__()
    await two.__aenter__()
    late = stubborn(1000, hangs(), then=reports(0.125, answers(0)))
    await script(a=late, b=reports(0.25, answers(0))).ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=10)()

    await leave(one)
    assert (one.spent_usd, one.reserved_usd) == (0.375, 0)
    await leave(two)

    assert (two.spent_usd, two.reserved_usd) == (0.375, 0)
    await pause(1)
