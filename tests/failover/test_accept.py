"""Answers that `accept` still looks at: paid for at what they cost, and closed where nobody gets them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import routeware
from routeware import Attempt, DeadlineExceededError, record_of
from tests.fakes.providers import (
    MTOK,
    Closable,
    HTTPStatusError,
    answers,
    cancelled_at,
    hangs,
    pause,
    reports,
    script,
    stubborn,
)

NOBODY = Attempt(routeware.Link(provider="nobody", model="m"), 1)


class Answer(Closable):
    """An answer whose usage can be read."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name
        self.usage = {"prompt_tokens": 3, "completion_tokens": 4}


def judged(judge: Callable[[Any], Awaitable[bool]], **settings: Any) -> tuple[Answer, Any]:
    """An answer that is judged slowly, and a function whose first link gives it; ``b`` answers in 50 ms."""
    held = Answer("held")
    providers = script(a=answers(10, held), b=reports(0, answers(50)))
    links: dict[str, dict[str, Any]] = {"a": {"price": MTOK, "max_output_tokens": 100}, "b": {"price": {}}}
    ask = providers.ask(links=links, **settings)
    ask.accept(judge)
    return held, ask


async def slowly(result: Any) -> bool:
    """Thinks for an hour about the answer that is held."""
    if isinstance(result, Answer):
        await hangs()(NOBODY)
    return True


def paid(record: routeware.CallRecord | None) -> tuple[str, float | None, str | None]:
    """What became of the first link's answer, and what it cost."""
    assert record is not None
    return str(record.attempts[0].status), record.attempts[0].cost_usd, record.attempts[0].cost_source


async def test_an_answer_that_is_held_when_its_race_is_lost_was_paid_for() -> None:
    """Another link was accepted first."""
    held, ask = judged(slowly, race_after_ms=20)

    outcome = await ask.outcome()

    assert outcome.value == "b"
    assert paid(outcome.record) == ("race_lost", 7, "priced")
    assert outcome.record.uncertain_usd == 0
    assert held.closed == 1


@pytest.mark.parametrize("racing", [None, 500])
async def test_an_answer_that_is_held_when_its_time_is_up_was_paid_for(racing: float | None) -> None:
    """`accept` is part of the attempt, its time-out included."""
    held, ask = judged(slowly, timeouts={"a": 100}, race_after_ms=racing)

    outcome = await ask.outcome()

    assert outcome.value == "b"
    assert paid(outcome.record) == ("failed", 7, "priced")
    assert held.closed == 1


@pytest.mark.parametrize("racing", [None, 500])
async def test_an_answer_that_is_held_at_the_deadline_was_paid_for(racing: float | None) -> None:
    """It is the call's that is up."""
    held, ask = judged(slowly, deadline_ms=100, race_after_ms=racing)

    with pytest.raises(DeadlineExceededError) as raised:
        await ask()

    assert paid(record_of(raised.value)) == ("cancelled", 7, "priced")
    assert held.closed == 1


@pytest.mark.parametrize("racing", [None, 500])
async def test_an_answer_that_is_held_when_the_caller_goes_was_paid_for(racing: float | None) -> None:
    """In the session, too."""
    held, ask = judged(slowly, race_after_ms=racing)

    async with routeware.session(limit_usd=1000) as spending:
        task, took = await cancelled_at(ask(), 30)

    assert task.cancelled()
    assert took == 30
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (7, 0, 0)
    assert held.closed == 1


@pytest.mark.parametrize("racing", [None, 500])
@pytest.mark.parametrize("error", [ValueError("no such key"), HTTPStatusError(400)])
async def test_an_answer_that_accept_fails_on_was_paid_for(error: Exception, racing: float | None) -> None:
    """What `accept` raises is the attempt's error, and not the answer's: a judge that is busy was not the one asked."""

    async def breaks(result: Any) -> bool:
        raise error

    held, ask = judged(breaks, race_after_ms=racing)

    with pytest.raises(type(error)) as raised:
        await ask()

    assert paid(record_of(raised.value)) == ("failed", 7, "priced")
    assert held.closed == 1


async def test_an_answer_that_accept_will_not_let_go_of_is_closed_when_it_does() -> None:
    """Long after the call: a straggler that was accepted in the end."""

    async def ignores_everybody(result: Any) -> bool:
        if isinstance(result, Answer):
            await stubborn(1000, hangs(), then=answers(0, "at last"))(NOBODY)
        return True

    held, ask = judged(ignores_everybody, race_after_ms=20)

    outcome = await ask.outcome()
    assert paid(outcome.record) == ("race_lost", 7, "priced")
    assert held.closed == 0
    await pause(2000)
    assert held.closed == 1


async def test_a_judge_that_is_a_model_is_paid_for_beside_the_answer() -> None:
    """A routed call inside `accept` does not make the attempt a container: its answer was there before."""
    judge = script(j=reports(0.125, answers(0)))
    verdict = judge.ask(usd={"j": 0.5})
    ask = script(a=answers(0, Answer())).ask(links={"a": {"price": MTOK, "max_output_tokens": 100}})

    ask.accept(lambda _result: verdict())

    async with routeware.session(limit_usd=1000) as spending:
        record = (await ask.outcome()).record

    assert (record.cost_usd, record.uncertain_usd) == (7, 0)
    assert record.attempts[0].cost_source == "priced"
    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (7.125, 0, 0)


async def test_a_judge_holds_beside_what_the_answer_holds() -> None:
    """The answer's reservation stands while it is judged: there is room for one more only."""
    verdict = script(j=answers(0)).ask(usd={"j": 0.5})
    ask = script(a=answers(0)).ask(usd={"a": 0.75})
    ask.accept(lambda _result: verdict())

    async with routeware.session(limit_usd=1) as spending:
        with pytest.raises(routeware.BudgetExceededError):
            await ask()

    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0, 0.75, 0)
