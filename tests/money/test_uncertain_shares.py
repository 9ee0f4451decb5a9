"""What is booked for an attempt that was cut off before anything was answered: the link's share of its projection."""

from __future__ import annotations

import asyncio

import pytest

import routeware
from routeware import Attempt, Link, Price, RoutingPolicy, record_of, routed
from tests.fakes.providers import pause

PROJECTED = 0.01


def link(provider: str = "a", share: float = 0.25, **settings: float) -> Link:
    """Build a link whose attempts are projected at a cent."""
    price = Price(output_usd_per_mtok=10)
    return Link(provider=provider, model="m", price=price, max_output_tokens=1000, uncertain_share=share, **settings)


async def uncertain(error: BaseException, share: float = 0.25) -> float | None:
    """Return what is uncertain after an attempt that raises ``error``."""

    @routed(RoutingPolicy(chain=[link(share=share)]))
    async def ask(attempt: Attempt) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await ask()
    record = record_of(raised.value)
    assert record is not None
    return record.uncertain_usd


@pytest.mark.parametrize("error", [ConnectionResetError(), TimeoutError()])
async def test_a_connection_that_was_cut_is_booked_at_the_share(error: BaseException) -> None:
    """Those whose bills say that their provider does not charge for it need not keep a tenant's budget unspent."""
    assert await uncertain(error) == PROJECTED / 4
    assert await uncertain(error, share=0) == 0
    assert await uncertain(error, share=1) == PROJECTED


async def test_what_failed_over_an_answer_is_booked_in_full() -> None:
    """The provider has answered, and bills that, whatever became of it here."""
    assert await uncertain(KeyError("choices")) == PROJECTED


async def test_an_answer_without_usage_is_booked_in_full() -> None:
    """It was there."""

    @routed(RoutingPolicy(chain=[link()]))
    async def ask(attempt: Attempt) -> str:
        return "yes"

    assert (await ask.outcome()).record.uncertain_usd == PROJECTED


async def test_losers_time_outs_and_cancellations_are_booked_at_the_share() -> None:
    """Each was cut off by us, with nothing answered; a session counts the same."""

    @routed(RoutingPolicy(chain=[link("a"), link("b", share=1)], latency={"race_after_ms": 10}))
    async def race(attempt: Attempt) -> str:
        await pause(1000 if attempt.provider == "a" else 5)
        attempt.report_cost(0)
        return attempt.provider

    @routed(RoutingPolicy(chain=[link("a", timeout_ms=50)]))
    async def slow(attempt: Attempt) -> None:
        await pause(1000)

    async with routeware.session("t") as spending:
        assert (await race.outcome()).record.uncertain_usd == PROJECTED / 4
        assert spending.uncertain_usd == PROJECTED / 4
        with pytest.raises(TimeoutError):
            await slow()
        assert spending.uncertain_usd == PROJECTED / 2
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await slow()
        assert spending.uncertain_usd == pytest.approx(PROJECTED * 3 / 4)


async def test_what_was_reported_before_the_cut_counts_in_full() -> None:
    """The share is for what is unknown."""

    @routed(RoutingPolicy(chain=[link()]))
    async def ask(attempt: Attempt) -> None:
        attempt.report_usage(input_tokens=0, output_tokens=500)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError) as raised:
        await ask()

    record = record_of(raised.value)
    assert record is not None
    assert (record.cost_usd, record.uncertain_usd) == (PROJECTED / 2, 0)
