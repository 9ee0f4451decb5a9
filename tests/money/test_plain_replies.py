"""Replies that count input and output only: they are settled by these two numbers, where nothing is held."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

import routeware
from routeware import Attempt, BudgetExceededError, Price, RoutingPolicy, Usage, routed

PRICE = {"input_usd_per_mtok": 1000, "output_usd_per_mtok": 1000, "request_usd": 0.25}


def reply(sent: int = 1000, output: int = 500, **more: Any) -> dict[str, Any]:
    """What most APIs answer."""
    return {"model": "m-2026", "usage": {"prompt_tokens": sent, "completion_tokens": output, **more}}


def asking(*replies: dict[str, Any], fails: bool = False, price: Any = PRICE, **options: Any) -> Any:
    """A routed function over two links, of which the first one reports these replies, and may fail then."""
    links = [{"provider": name, "model": "m", **({"price": price} if price else {})} for name in "ab"]

    @routed(RoutingPolicy.from_dict({"chain": links}), **options)
    async def ask(attempt: Attempt, kept: list[Attempt] | None = None) -> str:
        if kept is not None:
            kept.append(attempt)
        if attempt.provider == "a":
            for each in replies:
                attempt.report(each)
            if fails:
                raise ConnectionError
        return attempt.provider

    return ask


async def test_it_counts_in_every_session_around() -> None:
    """And in the record, with its model."""
    async with routeware.session() as outer, routeware.session() as inner:
        outcome = await asking(reply(total_tokens=1500)).outcome()

    assert (outer.spent_usd, inner.spent_usd, inner.uncertain_usd) == (1.75, 1.75, 0)
    (attempt,) = outcome.record.attempts
    assert (attempt.cost_usd, attempt.cost_source) == (1.75, "priced")
    assert attempt.usage == Usage(input_tokens=1000, output_tokens=500)
    assert (inner.report().attempts[0].spent_usd, outcome.record.cost_usd) == (1.75, 1.75)


async def test_it_counts_once_without_a_record_too() -> None:
    """Of two replies the later one, as ever."""
    async with routeware.session() as spending:
        await asking(reply(), reply(2000, 1000))()

    assert spending.spent_usd == 3.25


async def test_without_a_session_the_record_has_it() -> None:
    """Nothing is charged anywhere."""
    assert (await asking(reply()).outcome()).record.cost_usd == 1.75


@pytest.mark.parametrize("in_session", [True, False])
async def test_what_was_reported_before_a_failure_counts(in_session: bool) -> None:
    """The next link answers, and has reported nothing: its cost may be anything."""
    ask = asking(reply(), fails=True)
    if in_session:
        async with routeware.session() as spending:
            outcome = await ask.outcome()
        assert spending.spent_usd == 1.75
    else:
        outcome = await ask.outcome()

    assert outcome.record.attempts[0].cost_usd == 1.75
    assert outcome.record.attempts[0].usage == Usage(input_tokens=1000, output_tokens=500)


async def test_a_report_after_it_was_settled_corrects_the_session() -> None:
    """By the difference; what it does not say is kept."""
    kept: list[Attempt] = []
    async with routeware.session() as spending:
        await asking(reply())(kept)
        kept[0].report_usage(output_tokens=1500)
        assert spending.spent_usd == 2.75
        kept[0].report_cost(0.5)

    assert spending.spent_usd == 0.5


async def test_what_was_reported_may_be_changed_afterwards() -> None:
    """A reply is read when it is reported, whoever asks what it cost, and when."""
    said = reply()

    @routed(RoutingPolicy.from_dict({"chain": [{"provider": "a", "model": "m", "price": PRICE}]}))
    async def ask(attempt: Attempt) -> None:
        attempt.report(said)
        said["usage"]["prompt_tokens"] = 0
        said.clear()

    assert (await ask.outcome()).record.cost_usd == 1.75


async def test_without_a_price_it_has_usage_and_no_cost() -> None:
    """Unknown is not zero."""
    async with routeware.session() as spending:
        outcome = await asking(reply(), price=None).outcome()

    (attempt,) = outcome.record.attempts
    assert (attempt.cost_usd, attempt.usage) == (None, Usage(input_tokens=1000, output_tokens=500))
    assert (spending.spent_usd, spending.uncertain_usd) == (0, 0)


async def test_a_tariff_of_ones_own_is_asked_with_the_usage() -> None:
    """Only a plain price is worked out from two numbers."""

    class Tenfold:
        def cost_usd(self, usage: Usage, _at: datetime, /) -> float:
            return (usage.output_tokens or 0) / 10

        def price(self, _at: datetime, /) -> Price | None:
            return None

    async with routeware.session() as spending:
        await asking(reply(), price=None, prices={"a:m": Tenfold(), "b:m": Tenfold()})()

    assert spending.spent_usd == 50


async def test_projections_learn_from_it() -> None:
    """Also where nobody asked what it cost."""
    ask = asking(reply(1, 5000))
    await ask()

    async with routeware.session(limit_usd=1):
        with pytest.raises(BudgetExceededError) as refused:
            await ask()
    assert refused.value.projected_usd == 5.25


@pytest.mark.parametrize("observed", [True, False])
async def test_an_attempt_that_repeats_a_report_late_confirms_nothing(observed: bool) -> None:
    """An output that is hard to believe waits for another answer, not for the same one once more."""
    kept: list[Attempt] = []
    ask = asking(reply(1, 50_000))
    await (ask.outcome if observed else ask)(kept)
    kept[0].report(reply(1, 50_000))

    assert await projected(ask) == 0.25 + 1.024

    await ask(kept)
    assert await projected(ask) == 0.25 + 50


async def projected(ask: Any) -> float:
    """What the next call is expected to cost."""
    async with routeware.session(limit_usd=0.001):
        with pytest.raises(BudgetExceededError) as refused:
            await ask()
    return refused.value.projected_usd
