"""The caller's cancellation without races, and those that only look like it."""

from __future__ import annotations

import asyncio
import contextlib

import async_solipsism
import pytest

from routeware import (
    Attempt,
    ProviderCancelledError,
    record_of,
)
from tests.fakes.providers import (
    answers,
    busy,
    cancelled_at,
    cancels_itself,
    cleans_up,
    converts,
    fails,
    hangs,
    in_a_group,
    script,
    statuses,
    stubborn,
)


async def test_the_callers_cancellation_is_never_a_failure() -> None:
    """Everything is cancelled and awaited, and the cancellation goes on."""
    providers = script(a=cleans_up(30, hangs()), b=answers(0))

    task, took = await cancelled_at(providers.ask()(), 20)

    assert task.cancelled()
    assert took == 50
    assert list(providers.started) == ["a"]
    assert providers.records[0].outcome == "cancelled"
    assert statuses(providers.records[0]) == {"a": "cancelled"}


async def test_a_cancellation_carries_the_record_and_no_notes() -> None:
    """It is not ours to write on."""
    ask = script(a=hangs()).ask()
    seen: list[asyncio.CancelledError] = []

    async def caller() -> None:
        try:
            await ask()
        except asyncio.CancelledError as error:
            seen.append(error)
            raise

    await cancelled_at(caller(), 20)

    record = record_of(seen[0])
    assert record is not None
    assert record.outcome == "cancelled"
    assert getattr(seen[0], "__notes__", []) == []


async def test_a_provider_that_cancels_itself_has_failed() -> None:
    """Category cancelled, and eligible by default."""
    outcome = await script(a=cancels_itself(10), b=answers(10)).ask().outcome()

    assert outcome.value == "b"
    assert outcome.record.attempts[0].error.category == "cancelled"
    assert statuses(outcome.record)["a"] == "failed"


async def test_a_cancellation_that_nobody_asked_for_does_not_come_out() -> None:
    """It would pass for the caller's own: `ProviderCancelledError` from it is raised instead."""
    with pytest.raises(ProviderCancelledError) as raised:
        await script(a=busy(), b=cancels_itself()).ask()()

    assert raised.value.label == "b"
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_an_ineligible_cancellation_does_not_come_out_either() -> None:
    """Nor where the rules do not fail over on it."""
    providers = script(a=cancels_itself(), b=answers(0))

    with pytest.raises(ProviderCancelledError):
        await providers.ask(on_error_kinds=["auth"])()

    assert list(providers.started) == ["a"]


async def test_a_swallowed_cancellation_starts_nothing_more() -> None:
    """A provider function turned the caller's cancellation into an error: that error is the call's."""
    error = ConnectionResetError("closed by cancel")
    providers = script(a=converts(hangs(), error), b=answers(0))

    task, took = await cancelled_at(providers.ask()(), 20)

    assert not task.cancelled()
    assert task.exception() is error
    assert took == 20
    assert list(providers.started) == ["a"]


async def test_a_swallowed_cancellation_gives_what_the_attempt_gave() -> None:
    """Or into a value: that value is the call's, as it would be the bare call's."""
    providers = script(a=converts(hangs(), "late"), b=answers(0))

    task, _ = await cancelled_at(providers.ask()(), 20)

    assert task.result() == "late"


async def test_a_cancellation_that_was_swallowed_earlier_is_history() -> None:
    """The count at entry is what is compared with: failover and time-outs work as ever."""

    async def caller() -> object:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        ask = script(a=hangs(), b=busy(), c=answers(0)).ask(timeouts={"a": 100})
        return await ask()

    task, took = await cancelled_at(caller(), 20)

    assert task.result() == "c"
    assert took == 120


async def test_a_cancellation_while_an_earlier_one_is_counted_is_taken_for_the_callers() -> None:
    """Nothing tells it from one of the caller's that is raised late: to be raised is what it asks for."""

    async def caller() -> object:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        return await script(a=cancels_itself(), b=answers(0)).ask()()

    task, _ = await cancelled_at(caller(), 20)

    assert task.cancelled()


async def test_cancelled_at_the_moment_of_a_time_out() -> None:
    """The caller's cancellation is above the timer's own: CancelledError comes out, and b is not started."""
    for moment in (99.9995, 100, 100.0005):
        providers = script(a=cleans_up(1, hangs()), b=answers(100))

        task, _ = await cancelled_at(providers.ask(timeouts={"a": 100})(), moment)

        assert task.cancelled()
        assert "b" not in providers.started


async def test_cancelled_while_a_time_out_cleans_up() -> None:
    """The timer has rung, and then the caller cancels: it is the caller's."""
    providers = script(a=stubborn(50, hangs()), b=answers(100))

    task, took = await cancelled_at(providers.ask(timeouts={"a": 100})(), 120)

    assert task.cancelled()
    assert took == 150
    assert "b" not in providers.started


async def test_cancelled_at_the_moment_of_the_deadline() -> None:
    """The same for the call's own time."""
    task, _ = await cancelled_at(script(a=cleans_up(1, hangs())).ask(deadline_ms=100)(), 100)

    assert task.cancelled()


async def test_a_failed_task_group_is_a_failure_like_any_other() -> None:
    """It cancels its own task to end it, and may leave the count one too high: failover goes on all the same."""
    group = in_a_group(busy(10), hangs())

    outcome = await script(a=group, b=group, c=answers(0)).ask(on_error_kinds=["any"]).outcome()

    assert outcome.value == "c"
    assert statuses(outcome.record) == {"a": "failed", "b": "failed", "c": "succeeded"}


async def test_a_task_group_inside_an_error_is_a_failure_like_any_other() -> None:
    """The group may be in the cause or context chain of what was raised."""

    async def wraps(attempt: Attempt) -> object:
        try:
            return await in_a_group(busy(10), hangs())(attempt)
        except ExceptionGroup as group:
            raise ConnectionResetError("the group failed") from group

    assert await script(a=wraps, b=answers(0)).ask()() == "b"


async def test_a_task_group_times_out_like_any_other() -> None:
    """Its children are cut off with it."""
    providers = script(a=in_a_group(hangs(), hangs()), b=answers(0))

    assert await providers.ask(timeouts={"a": 100})() == "b"
    assert providers.ended["a"] == 100


async def test_a_task_group_that_is_cancelled_is_cancelled() -> None:
    """Nothing of it runs on."""
    task, took = await cancelled_at(script(a=in_a_group(hangs(), hangs()), b=answers(0)).ask()(), 30)

    assert task.cancelled()
    assert took == 30


@pytest.mark.parametrize("racing", [None, 50])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_passes_straight_through(error: type[BaseException], racing: float | None) -> None:
    """KeyboardInterrupt and SystemExit are no provider's failure."""
    providers = script(a=fails(60, error()), b=hangs(), c=answers(0))

    async def main() -> None:
        await providers.ask(race_after_ms=racing, on_error_kinds="any")()

    with pytest.raises(error), asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        runner.run(main())

    assert "c" not in providers.started
