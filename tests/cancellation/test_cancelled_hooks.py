"""A CancelledError out of a hook is the hook's failure: nobody cancelled the caller."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import routeware
from tests.fakes.ledgers import Remote
from tests.fakes.providers import answers, busy, hangs, reports, script, statuses
from tests.fakes.tracing import Traces


def warnings(caplog: pytest.LogCaptureFixture) -> str:
    """Return everything that routeware logged as a warning or worse."""
    return "".join(caplog.handler.format(one) for one in caplog.records if one.name == "routeware")


def cancels(*_arguments: object) -> Any:
    """Raise what a torn-down pool raises."""
    raise asyncio.CancelledError


async def test_on_call_does_not_cancel_its_caller(caplog: pytest.LogCaptureFixture) -> None:
    """The answer is given, and the hook is named in the log."""
    assert await script(a=answers(10)).ask(options={"on_call": cancels})() == "a"

    assert "on_call" in warnings(caplog)
    assert "CancelledError" in warnings(caplog)


async def test_on_call_does_not_replace_the_error_of_a_failed_call() -> None:
    """The provider's own error comes out, as without a hook."""
    error = ConnectionResetError()

    async def reset(attempt: object) -> None:
        raise error

    with pytest.raises(ConnectionResetError) as raised:
        await script(a=reset).ask(options={"on_call": cancels})()

    assert raised.value is error


@pytest.mark.parametrize("race_after_ms", [None, 50])
async def test_classify_does_not_cancel_the_call(race_after_ms: float | None, caplog: pytest.LogCaptureFixture) -> None:
    """Classification goes on without the hook, and the call fails over."""
    providers = script(a=busy(10), b=answers(10))

    answer = await providers.ask(race_after_ms=race_after_ms, options={"classify": cancels})()

    assert answer == "b"
    assert "classify" in warnings(caplog)
    assert statuses(providers.records[0]) == {"a": "failed", "b": "succeeded"}


class Cancelling(Remote):
    """A ledger whose second hold is cancelled by its own client, as a pool being torn down does it."""

    async def hold(self, id: str, tallies: Any, nanos: int, /) -> Any:
        if self.holds == 1:
            self.holds += 1
            raise asyncio.CancelledError
        return await super().hold(id, tallies, nanos)


async def test_a_ledger_that_cancels_itself_refuses_the_backup_only() -> None:
    """The attempt that is running goes on, and its answer is the call's."""
    ledger, traces = Cancelling(), Traces()
    providers = script(a=reports(0.125, answers(200)), b=answers(0))

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        ask = providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=50, options=traces.options)
        outcome = await ask.outcome()

        assert outcome.value == "a"
        assert statuses(outcome.record) == {"a": "succeeded"}
    assert (spending.spent_usd, spending.reserved_usd) == (0.125, 0)
    assert traces.events == ["llm.routing.race_skipped"]


async def test_a_ledger_that_cancels_itself_keeps_its_place_for_a_failover() -> None:
    """The backup was refused, not tried: when the running attempt fails, it is asked for again."""
    ledger = Cancelling()
    providers = script(a=busy(200), b=reports(0.125, answers(10)))

    async with routeware.session("day", limit_usd=1, ledger=ledger) as spending:
        outcome = await providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=50).outcome()

    assert outcome.value == "b"
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.125, 0, 0)


async def test_a_cancellation_of_the_caller_while_a_hook_cancels_is_the_callers() -> None:
    """What the hook raises hides nothing."""
    ask = script(a=hangs()).ask(options={"on_call": cancels})
    task = asyncio.ensure_future(ask())
    await asyncio.sleep(0.01)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
