"""Prices and projections that say nothing, or nonsense: unknown is not zero, and never passes a cap as if it were."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

import routeware
from routeware import Attempt, Link, MemoryLedger, PolicyError, Price, Usage, record_of
from tests.fakes.providers import (
    MTOK,
    HTTPStatusError,
    answers,
    busy,
    cancelled_at,
    fails,
    hangs,
    script,
    statuses,
    uses,
)
from tests.fakes.tracing import Traces


class Tariff:
    """A tariff that says what it is told to; also the book that it stands in."""

    def __init__(self, cost: Callable[[Usage], Any]) -> None:
        self.cost = cost

    def find(self, provider: str, model: str) -> Tariff:
        return self

    def cost_usd(self, usage: Usage, at: datetime) -> Any:
        return self.cost(usage)

    def price(self, at: datetime) -> Price | None:
        return None


def breaks(usage: Usage) -> float:
    """A catalogue without an entry for today."""
    raise LookupError("sk-live-1234")


NONSENSE = [float("nan"), float("inf"), float("-inf"), -1.0, -1e-12, "0.25", True, 10**400, [0.25]]

TOKENS = {"input_tokens": 3, "output_tokens": 4}


@pytest.mark.parametrize("amount", NONSENSE)
@pytest.mark.parametrize("in_session", [False, True])
async def test_an_amount_that_is_none_is_unknown(
    amount: object, in_session: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is there, its cost is not; nothing is booked, least of all a negative amount."""
    ask = script(a=uses(answers(0), **TOKENS)).ask(options={"prices": Tariff(lambda _usage: amount)})

    if in_session:
        async with routeware.session() as spending:
            outcome = await ask.outcome()
        assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0, 0, 0)
    else:
        outcome = await ask.outcome()

    assert outcome.value == "a"
    assert (outcome.record.cost_usd, outcome.record.uncertain_usd) == (None, None)
    assert outcome.record.attempts[0].cost_usd is None
    assert outcome.record.attempts[0].usage == Usage(**TOKENS)
    assert any("tariff" in record.getMessage() for record in caplog.records if record.name == "routeware")


async def test_what_a_tariff_raised_is_logged_by_class(caplog: pytest.LogCaptureFixture) -> None:
    """Without its text."""
    ask = script(a=uses(answers(0), **TOKENS)).ask(options={"prices": Tariff(breaks)})

    assert (await ask.outcome()).record.cost_usd is None

    assert "LookupError" in caplog.text
    assert "sk-live-1234" not in caplog.text


def cancels(*_args: object) -> float:
    """A catalogue or a hook whose own plumbing was cancelled."""
    raise asyncio.CancelledError


async def test_a_tariff_that_raises_a_cancellation_loses_no_answer() -> None:
    """It is nobody's: the caller's would come at an await."""
    ask = script(a=uses(answers(0), **TOKENS)).ask(options={"prices": Tariff(cancels)})

    outcome = await ask.outcome()

    assert (outcome.value, outcome.record.outcome, outcome.record.cost_usd) == ("a", "succeeded", None)


async def test_an_estimate_that_raises_a_cancellation_loses_no_answer() -> None:
    """Asked for booking alone, it is as if there were none."""
    ask = script(a=answers(0)).ask(usd={"a": 0.25})
    ask.estimate(cancels)

    assert (await ask.outcome()).value == "a"


async def test_a_negative_cost_makes_no_room() -> None:
    """The attempt is booked at its projection instead."""
    book = Tariff(lambda usage: 0.25 if usage.output_tokens != 4 else -10.0)
    ask = script(a=uses(answers(0), **TOKENS)).ask(options={"prices": book})

    async with routeware.session(limit_usd=1) as spending:
        await ask()

    assert spending.remaining_usd == 0.75
    assert (spending.spent_usd, spending.uncertain_usd) == (0, 0.25)


CAPS: list[dict[str, Any]] = [{"per_call_usd": 0}, {"per_call_usd": 1}, {"session_usd": 1}, {}]


@pytest.mark.parametrize("on_exceed", ["abort", "skip", "warn"])
@pytest.mark.parametrize("settings", CAPS)
@pytest.mark.parametrize("cost", [lambda _usage: None, breaks, lambda _usage: float("nan"), lambda _usage: -1.0])
async def test_an_unknown_projection_does_not_pass_a_cap(
    cost: Callable[[Usage], Any], settings: dict[str, Any], on_exceed: str
) -> None:
    """It is a `PolicyError` that names both remedies, whichever cap it is; nothing is called."""
    providers = script(a=answers(0))
    ask = providers.ask(options={"prices": Tariff(cost)}, on_exceed=on_exceed, **settings)

    async with routeware.session(limit_usd=None if settings else 1) as spending:
        with pytest.raises(PolicyError, match=r"estimate.*allow_unpriced") as raised:
            await ask()

    assert providers.started == {}
    assert raised.value.key == "chain[0].price"
    assert spending.reserved_usd == 0
    record = record_of(raised.value)
    assert record is not None
    assert record.attempts == ()


@pytest.mark.parametrize("settings", CAPS)
async def test_an_unknown_projection_may_be_let_through(settings: dict[str, Any]) -> None:
    """`allow_unpriced` says that somebody knows."""
    ask = script(a=answers(0)).ask(options={"prices": Tariff(lambda _usage: None)}, allow_unpriced=True, **settings)

    async with routeware.session(limit_usd=None if settings else 1) as spending:
        record = (await ask.outcome()).record

    assert (record.cost_usd, record.uncertain_usd) == (None, None)
    assert spending.reserved_usd == 0


async def test_an_estimate_in_dollars_stands_in_for_a_tariff_that_says_nothing() -> None:
    """The other remedy."""
    ask = script(a=answers(0)).ask(options={"prices": Tariff(lambda _usage: None)}, per_call_usd=1)
    ask.estimate(lambda _link: 0.25)

    assert (await ask.outcome()).record.uncertain_usd == 0.25


async def test_without_a_cap_an_unknown_projection_refuses_nobody() -> None:
    """A session with a ledger reserves all the same: nothing, for it knows nothing."""
    ask = script(a=answers(0)).ask(options={"prices": Tariff(lambda _usage: None)})

    async with routeware.session("day", ledger=MemoryLedger()) as spending:
        assert await ask() == "a"

    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0, 0, 0)


def first_only() -> Callable[[Usage], float | None]:
    """A tariff that knows what the first attempt may cost, and nothing after that."""
    known = [0.25]
    return lambda _usage: known.pop() if known else None


async def test_an_unknown_projection_in_a_race_refuses_the_backup() -> None:
    """The extra attempt is what is not worth the risk; the running one answers."""
    traces = Traces()
    providers = script(a=answers(100), b=answers(0))
    ask = providers.ask(options={**traces.options, "prices": Tariff(first_only())}, race_after_ms=10, per_call_usd=1)

    assert await ask() == "a"

    assert list(providers.started) == ["a"]
    assert traces.events == ["llm.routing.race_skipped"]
    assert traces.event("llm.routing.race_skipped")["reason"] == "unpriced"
    assert traces.event("llm.routing.race_skipped")["link"] == "b"


async def test_an_unknown_projection_stops_the_failover() -> None:
    """With the provider's error as its context."""
    error = HTTPStatusError(503)
    providers = script(a=fails(0, error), b=answers(0))

    with pytest.raises(PolicyError) as raised:
        await providers.ask(options={"prices": Tariff(first_only())}, per_call_usd=1)()

    assert list(providers.started) == ["a"]
    assert raised.value.__context__ is error
    assert statuses(record_of(raised.value)) == {"a": "failed"}


async def test_an_estimate_of_the_output_gets_its_input_from_the_text() -> None:
    """What the hook does not say is not nothing."""
    ask = script(a=answers(0)).ask(links={"a": {"price": MTOK}}, per_call_usd=1_000_000)
    ask.estimate(lambda _link, _prompt: Usage(output_tokens=10))

    short = (await ask.outcome("why")).record.uncertain_usd
    again = script(a=answers(0)).ask(links={"a": {"price": MTOK}}, per_call_usd=1_000_000)
    again.estimate(lambda _link, _prompt: Usage(output_tokens=10))
    long = (await again.outcome("why " * 1000)).record.uncertain_usd

    assert short is not None
    assert long is not None
    assert 10 < short < 50
    assert long > 900


async def test_an_estimate_of_the_input_gets_its_output_from_the_link() -> None:
    """The built-in projection's other half."""
    ask = script(a=answers(0)).ask(links={"a": {"price": MTOK, "max_output_tokens": 20}}, per_call_usd=1000)
    ask.estimate(lambda _link, _prompt: Usage(input_tokens=7))

    assert (await ask.outcome("a prompt of some length")).record.uncertain_usd == 27


async def test_an_estimate_that_is_partial_does_not_pass_a_cap() -> None:
    """5000 tokens of output at a dollar each."""
    providers = script(a=answers(0))
    ask = providers.ask(links={"a": {"price": MTOK}}, per_call_usd=0.01)
    ask.estimate(lambda _link: Usage(output_tokens=5000))

    with pytest.raises(routeware.BudgetExceededError) as raised:
        await ask()

    assert raised.value.projected_usd >= 5000
    assert providers.started == {}


async def test_an_empty_estimate_is_the_built_in_projection() -> None:
    """It says nothing at all."""
    price = {"price": MTOK, "max_output_tokens": 20}
    told = script(a=answers(0)).ask(links={"a": price})
    built_in = script(a=answers(0)).ask(links={"a": price})
    told.estimate(lambda _link, _prompt: Usage())

    assert (await told.outcome("why")).record.uncertain_usd == (await built_in.outcome("why")).record.uncertain_usd


@pytest.mark.parametrize("amount", [float("nan"), -1.0, "0.25", None, float("inf")])
async def test_an_estimate_that_is_no_amount_comes_out(amount: Any) -> None:
    """Before its attempt starts: the hook is the caller's own."""
    providers = script(a=answers(0))
    ask = providers.ask(usd={"a": 0.25}, per_call_usd=1)
    ask.estimate(lambda _link: amount)

    with pytest.raises(PolicyError, match="estimate"):
        await ask()

    assert providers.started == {}


async def test_what_estimate_raises_on_a_failover_keeps_the_providers_error() -> None:
    """Both are worth knowing."""
    error = HTTPStatusError(503)
    ask = script(a=fails(0, error), b=answers(0)).ask(usd={"a": 0.25, "b": 0.25}, per_call_usd=1)

    def knows_a(link: Link) -> float:
        if link.provider != "a":
            raise LookupError(link.provider)
        return 0.25

    ask.estimate(knows_a)
    with pytest.raises(LookupError) as raised:
        await ask()

    assert raised.value.__context__ is error
    assert statuses(record_of(raised.value)) == {"a": "failed"}


@pytest.mark.parametrize("racing", [None, 10])
async def test_a_tariff_that_breaks_when_the_caller_is_gone_harms_nobody(racing: float | None) -> None:
    """The cancellation goes on, and nothing stays reserved."""
    known = [True]

    def cost(usage: Usage) -> float:
        if not known:
            raise LookupError("gone")
        return 0.25

    async def run(attempt: Attempt) -> object:
        known.clear()
        return await hangs()(attempt)

    ask = script(a=run, b=busy()).ask(options={"prices": Tariff(cost)}, race_after_ms=racing, per_call_usd=1)
    async with routeware.session(limit_usd=1) as spending:
        task, _ = await cancelled_at(ask(), 50)

    assert task.cancelled()
    assert (spending.uncertain_usd, spending.reserved_usd) == (0.25, 0)


async def test_a_broken_tariff_is_no_error_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """A warning: somebody should look, and nobody is stopped."""
    await script(a=uses(answers(0), **TOKENS)).ask(options={"prices": Tariff(lambda _usage: "free")})()

    assert {record.levelno for record in caplog.records if record.name == "routeware"} == {logging.WARNING}
