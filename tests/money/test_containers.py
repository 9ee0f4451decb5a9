"""Calls that make calls: the money is the inner ones'."""

from __future__ import annotations

import asyncio

import routeware
from routeware import (
    Attempt,
)
from tests.fakes.providers import answers, hangs, pays, reports, script


async def test_an_attempt_that_makes_calls_itself_is_a_container() -> None:
    """Its reservation is released at the first of them: the money is theirs."""
    seen: list[float] = []
    inner = script(x=reports(0.5, answers(0))).ask(usd={"x": 0.75})

    async with routeware.session(limit_usd=1) as spending:

        async def nest(attempt: Attempt) -> object:
            seen.append(spending.reserved_usd)
            result = await inner()
            seen.append(spending.reserved_usd)
            return result

        record = (await script(a=nest).ask(usd={"a": 0.75}, per_call_usd=0.75).outcome()).record

    assert seen == [0.75, 0]
    assert (spending.spent_usd, spending.uncertain_usd) == (0.5, 0)
    assert (record.cost_usd, record.uncertain_usd) == (0, 0)


async def test_a_container_costs_what_is_reported_on_it() -> None:
    """Besides what the inner calls cost."""
    inner = pays(0.5)

    async def nest(attempt: Attempt) -> object:
        attempt.report_cost(0.125)
        return await inner()

    async with routeware.session() as spending:
        record = (await script(a=nest).ask(usd={"a": 1}).outcome()).record

    assert record.cost_usd == 0.125
    assert spending.spent_usd == 0.625


async def test_nothing_is_read_from_a_containers_result() -> None:
    """It is the inner call's, and was paid for there."""
    reply = {"usage": {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}}
    price = {"input_usd_per_mtok": 1000.0, "output_usd_per_mtok": 1000.0}
    inner = script(x=answers(0, reply)).ask(links={"x": {"price": price}})

    async def nest(attempt: Attempt) -> object:
        return await inner()

    async with routeware.session() as spending:
        assert await script(a=nest).ask(links={"a": {"price": price}})() is reply

    assert (spending.spent_usd, spending.uncertain_usd) == (2, 0)


async def test_a_container_that_fails_costs_nothing_of_its_own() -> None:
    """What may have cost is booked where it was spent."""
    inner = script(x=hangs()).ask(usd={"x": 0.25}, timeouts={"x": 10})

    async def nest(attempt: Attempt) -> object:
        return await inner()

    async with routeware.session() as spending:
        assert await script(a=nest, b=reports(0.5, answers(0))).ask(usd={"a": 1, "b": 1})() == "b"

    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0.5, 0.25, 0)


async def test_inner_calls_do_not_count_against_the_outer_calls_cap() -> None:
    """`per_call_usd` bounds its own attempts."""

    async def nest(attempt: Attempt) -> object:
        await pays(5)()
        raise ConnectionRefusedError

    providers = script(a=nest, b=answers(0))

    assert await providers.ask(usd={"a": 0.25, "b": 0.25}, per_call_usd=0.25)() == "b"


async def test_a_container_may_make_calls_from_tasks() -> None:
    """They know where they are called from: context follows into tasks."""

    async def nest(attempt: Attempt) -> object:
        return await asyncio.gather(pays(0.25)(), pays(0.5)())

    async with routeware.session(limit_usd=1) as spending:
        record = (await script(a=nest).ask(usd={"a": 1}).outcome()).record

    assert spending.spent_usd == 0.75
    assert (record.cost_usd, record.uncertain_usd) == (0, 0)
