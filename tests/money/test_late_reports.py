"""What is said of an attempt's cost late: after a time-out, after its call, after its session."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import pytest

import routeware
from routeware import Attempt, BudgetExceededError, Link, PolicyError, Price, RoutingPolicy, Session, Usage, routed
from tests.fakes.providers import answers, hangs, pause, reports, script, statuses, stubborn


def figures(spending: Session) -> tuple[float, float, float]:
    """Settled, uncertain and reserved, in dollars."""
    return spending.spent_usd, spending.uncertain_usd, spending.reserved_usd


async def test_a_report_after_a_straggler_has_ended_corrects_its_session() -> None:
    """It was booked at its projection when it ended; now it is known what it cost."""
    providers = script(a=stubborn(1000, hangs()), b=reports(0, answers(0)))

    async with routeware.session(limit_usd=1) as spending:
        await providers.ask(race_after_ms=10, usd={"a": 0.25, "b": 0.25})()
        await pause(2000)
        assert figures(spending) == (0, 0.25, 0)

        providers.attempts["a"].report_cost(0.125)

        assert figures(spending) == (0.125, 0, 0)


async def test_a_report_after_a_time_out_is_in_the_record_of_a_call_that_still_runs() -> None:
    """Nothing of that attempt is uncertain any more."""

    async def hears_of_the_bill(attempt: Attempt) -> str:
        await pause(100)
        providers.attempts["a"].report_cost(0.125)
        attempt.report_cost(0.5)
        return "b"

    providers = script(a=hangs(), b=hears_of_the_bill)

    async with routeware.session(limit_usd=1) as spending:
        outcome = await providers.ask(usd={"a": 0.25, "b": 0.5}, timeouts={"a": 50}).outcome()

    first, _ = outcome.record.attempts
    assert (first.cost_usd, first.cost_source) == (0.125, "reported")
    assert (outcome.record.cost_usd, outcome.record.uncertain_usd, outcome.record.wasted_usd) == (0.625, 0, 0.125)
    assert figures(spending) == (0.625, 0, 0)


@pytest.mark.parametrize(("reported", "booked"), [(0.125, (0.125, 0, 0)), (None, (0, 0.25, 0))])
async def test_a_session_that_gives_a_straggler_up_books_what_is_known_of_it(
    reported: float | None, booked: tuple[float, float, float]
) -> None:
    """What it said it costs, to the nano-dollar; its projection where it said nothing."""
    slow = stubborn(60_000, hangs())
    providers = script(a=slow if reported is None else reports(reported, slow), b=reports(0, answers(0)))

    async with routeware.session(limit_usd=1) as spending:
        await providers.ask(race_after_ms=10, usd={"a": 0.25, "b": 0.25})()

    assert figures(spending) == booked
    await pause(120_000)
    assert figures(spending) == booked


class LastError(BaseException):
    """What no `except Exception` stops."""


async def test_what_a_straggler_raises_in_the_end_is_nobodys() -> None:
    """Its call is over: it is read, so that the loop does not complain of it, and booked."""

    async def gives_up(attempt: Attempt) -> object:
        raise LastError

    async with routeware.session(limit_usd=1) as spending:
        providers = script(a=stubborn(1000, hangs(), then=gives_up), b=reports(0, answers(0)))
        assert await providers.ask(race_after_ms=10, usd={"a": 0.25, "b": 0.25})() == "b"

    assert figures(spending) == (0, 0.25, 0)


async def test_a_loser_that_makes_a_call_while_it_cleans_up_is_no_container() -> None:
    """It had been asked, and may be billed; what it pays for afterwards comes on top."""

    async def tells_somebody(attempt: Attempt) -> object:
        return await script(x=reports(0.125, answers(0))).ask(usd={"x": 0.125})()

    providers = script(a=stubborn(10, hangs(), then=tells_somebody), b=reports(0, answers(0)))

    async with routeware.session(limit_usd=1) as spending:
        outcome = await providers.ask(race_after_ms=10, usd={"a": 0.25, "b": 0.25}).outcome()

    assert statuses(outcome.record) == {"a": "race_lost", "b": "succeeded"}
    assert outcome.record.uncertain_usd == 0.25
    assert figures(spending) == (0.125, 0.25, 0)


async def test_all_that_is_said_of_tokens_is_kept() -> None:
    """Every kind of them."""
    said = {
        "input_tokens": 50,
        "output_tokens": 40,
        "cached_input_tokens": 30,
        "cache_write_tokens": 20,
        "reasoning_tokens": 10,
    }

    async def run(attempt: Attempt) -> str:
        attempt.report_usage(**said)
        return "a"

    outcome = await script(a=run).ask().outcome()

    assert outcome.record.attempts[0].usage == Usage(**said)


def dawdling(seed: int, report: Callable[[], object]) -> None:
    """Report, and let the other thread go first at some lines of the engine and not at others."""
    chance, before = random.Random(seed), sys.gettrace()

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line" and "engine" in frame.f_code.co_filename and chance.random() < 0.3:
            time.sleep(0.0002)
        return trace

    sys.settrace(trace)
    try:
        report()
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("when", ["running", "settled"])
async def test_two_threads_that_report_at_once_lose_nothing(when: str) -> None:
    """One says what was used, the other one what it cost; the session and the record have both."""
    reply = {"model": "m", "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    seeds = itertools.count()
    with ThreadPoolExecutor(2) as threads:

        def report(attempt: Attempt) -> None:
            said = [lambda: attempt.report(reply), lambda: attempt.report_cost(0.5)]
            wait([threads.submit(dawdling, next(seeds), one) for one in said])

        async def run(attempt: Attempt) -> str:
            if when == "running":
                report(attempt)
            return "a"

        for _ in range(40):
            providers = script(a=run)
            async with routeware.session() as spending:
                outcome = await providers.ask().outcome()
                if when == "settled":
                    report(providers.attempts["a"])

            assert spending.spent_usd == 0.5
            if when == "running":
                assert outcome.record.attempts[0].usage == Usage(input_tokens=7, output_tokens=3)


async def test_projections_learn_from_an_answer_that_came_after_its_call() -> None:
    """Of a loser that ignored its cancellation."""
    link = {"model": "m", "price": {"output_usd_per_mtok": 1000}}
    policy = {"chain": [{"provider": "a", **link}, {"provider": "b", **link}], "latency": {"race_after_ms": 10}}

    @routed(RoutingPolicy.from_dict(policy))
    async def ask(attempt: Attempt) -> dict[str, Any]:
        if attempt.provider == "a":
            with suppress(asyncio.CancelledError):
                await pause(10_000)
            await pause(1000)
        return {"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 5000}}

    async with routeware.session():
        await ask()
        await pause(2000)

    async with routeware.session(limit_usd=1):
        with pytest.raises(BudgetExceededError) as refused:
            await ask()
    assert (refused.value.label, refused.value.projected_usd) == ("a:m", 5)


async def test_a_report_while_an_attempt_is_settled_counts() -> None:
    """Another thread reports between the look at what was reported and the booking."""

    class Slow:
        """A tariff during which the other thread reports."""

        def cost_usd(self, _usage: Usage, _at: datetime, /) -> float:
            attempts[0].report_cost(0.5)
            return 0.25

        def price(self, _at: datetime, /) -> None:
            return None

    attempts: list[Attempt] = []

    @routed(RoutingPolicy(chain=["a:m"]), prices={"a:m": Slow()})
    async def ask(attempt: Attempt) -> str:
        attempts.append(attempt)
        attempt.report_usage(input_tokens=7, output_tokens=3)
        return "a"

    async with routeware.session() as spending:
        outcome = await ask.outcome()

    assert spending.spent_usd == 0.5
    assert outcome.record.cost_usd == 0.5


class Result(Mapping[str, Any]):
    """A result that is reported on while it is read, as another thread may do."""

    def __init__(self, usage: dict[str, int], attempt: Attempt) -> None:
        self.said = {"model": "m", "usage": usage}
        self.attempts = [attempt]

    def __getitem__(self, name: str) -> Any:
        while self.attempts:
            self.attempts.pop().report_usage(input_tokens=1000, output_tokens=9000)
        return self.said[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.said)

    def __len__(self) -> int:
        return len(self.said)


async def test_a_report_while_a_result_is_read_outranks_it() -> None:
    """Of a function and of a stream: what is said on purpose counts, whichever comes first."""
    link = Link(provider="a", model="m", price=Price(output_usd_per_mtok=1000))

    @routed(RoutingPolicy(chain=[link]))
    async def ask(attempt: Attempt) -> Result:
        return Result({"prompt_tokens": 10, "completion_tokens": 3}, attempt)

    @routed(RoutingPolicy(chain=[link]))
    async def stream(attempt: Attempt) -> AsyncIterator[Result]:
        yield Result({"prompt_tokens": 10, "completion_tokens": 3}, attempt)

    async with routeware.session() as spending:
        record = (await ask.outcome()).record
        assert [item async for item in stream()]

    assert record.attempts[0].usage == Usage(input_tokens=1000, output_tokens=9000)
    assert spending.spent_usd == 18


async def test_an_amount_that_is_none_is_refused_by_its_name() -> None:
    """Whoever reads the error has called `report_cost`."""
    attempt = Attempt(Link(provider="a", model="m"), 2)

    with pytest.raises(ValueError, match=r"^report_cost: ") as refused:
        attempt.report_cost(-1)

    assert not isinstance(refused.value, PolicyError)


@pytest.mark.parametrize(
    "report",
    [
        lambda one: one.report_cost(-1),
        lambda one: one.report_cost("0.1"),
        lambda one: one.report_usage(input_tokens=-1),
        lambda one: one.report_usage(service_tier=3),
    ],
)
async def test_a_wrong_report_does_not_make_a_paid_answer_free(report: Callable[[Attempt], None]) -> None:
    """The provider was called, whatever is wrong with what its function says of it."""

    async def run(attempt: Attempt) -> str:
        report(attempt)
        return "a"

    async with routeware.session() as spending:
        with pytest.raises(ValueError, match=r"^(report_cost: |input_tokens: |service_tier is )"):
            await script(a=run).ask(usd={"a": 0.25})()

    assert figures(spending) == (0, 0.25, 0)


def test_an_attempt_can_be_made_for_a_test_of_a_provider_function() -> None:
    """It knows its link and its place, and takes reports."""
    link = Link(provider="a", model="m", label="first", max_output_tokens=10)

    attempt = Attempt(link, 2)
    attempt.report_usage(input_tokens=1)

    assert (attempt.link, attempt.number) == (link, 2)
    assert (attempt.provider, attempt.model, attempt.label, attempt.max_output_tokens) == ("a", "m", "first", 10)
    assert repr(attempt) == "<attempt 2 at first>"
    assert attempt.report(link) is link


class Dated:
    """A tariff that depends on the day, and remembers which was asked for."""

    def __init__(self, *, broken: bool = False) -> None:
        self.days: list[datetime] = []
        self.broken = broken

    def find(self, provider: str, model: str) -> Dated:
        return self

    def cost_usd(self, usage: Usage, at: datetime) -> float | None:
        self.days.append(at)
        return 0.25

    def price(self, at: datetime) -> Price | None:
        self.days.append(at)
        if self.broken:
            raise LookupError("sk-live-1234")
        return Price(request_usd=0.25)


async def test_a_tariff_is_asked_about_a_moment_that_needs_no_guessing() -> None:
    """In UTC, and with its time zone: a tariff elsewhere compares it with its own."""
    book = Dated()

    outcome = await script(a=answers(0)).ask(options={"prices": book}).outcome()

    assert outcome.record.attempts[0].price == Price(request_usd=0.25)
    assert len(book.days) >= 2
    assert {at.tzinfo for at in book.days} == {UTC}


async def test_a_tariff_that_cannot_say_its_price_is_named_by_its_error(caplog: pytest.LogCaptureFixture) -> None:
    """The class alone: its text may hold anything."""
    outcome = await script(a=answers(0)).ask(options={"prices": Dated(broken=True)}).outcome()

    assert outcome.record.attempts[0].price is None
    line, unread = [record for record in caplog.records if record.levelno == logging.WARNING]
    if "LookupError" in unread.getMessage():
        line, unread = unread, line
    assert "LookupError" in line.getMessage()
    assert "no usage can be read" in unread.getMessage()
    assert "sk-live-1234" not in caplog.text
