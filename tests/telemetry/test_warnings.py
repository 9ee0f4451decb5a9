"""The words of events and warnings in the log: they name what they are about, and say what to do."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import routeware
from tests.fakes.providers import MTOK, HTTPStatusError, answers, busy, script, uses


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what routeware logged at WARNING or above."""
    found = [one for one in caplog.records if one.name == "routeware" and one.levelno >= logging.WARNING]
    return [one.getMessage() for one in found]


async def test_an_event_is_one_line_of_its_name_and_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    """The prefix, the event, and every field that has a value."""
    with pytest.raises(HTTPStatusError):
        await script(a=busy(), b=busy()).ask()()

    assert lines(caplog) == ["llm.routing.exhausted attempts=2 link=b"]


async def test_a_refusal_is_one_line_with_its_amounts(caplog: pytest.LogCaptureFixture) -> None:
    """What it is about, and what stood in the way."""
    async with routeware.session("day"):
        with pytest.raises(routeware.BudgetExceededError):
            await script(a=answers(0)).ask(usd={"a": 0.5}, per_call_usd=0.25)()

    (line,) = lines(caplog)
    assert line == (
        "llm.routing.budget_exceeded kind=per_call limit_usd=0.25 projected_usd=0.5 committed_usd=0.0"
        " on_exceed=abort link=a session=day"
    )


def capped(**link: Any) -> Any:
    """Return a function over one link with a price for tokens, under a cap."""
    providers = script(a=uses(answers(0), input_tokens=1, output_tokens=1))
    ask = providers.ask(links={"a": {"price": MTOK, **link}}, per_call_usd=1e6)

    async def call(**parameters: object) -> None:
        providers.again()
        await ask("hi", **parameters)

    return call


async def test_a_projection_that_is_a_guess_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    """Under a cap: it names the link and both remedies."""
    call = capped()

    await call()
    await call()

    (line,) = lines(caplog)
    assert line.startswith("a is capped, ")
    assert "1024 tokens" in line
    assert "max_output_tokens" in line
    assert "max_tokens" in line


@pytest.mark.parametrize(("link", "parameters"), [({"max_output_tokens": 9}, {}), ({}, {"max_tokens": 9})])
async def test_a_projection_that_is_known_is_not_warned_about(
    link: dict[str, int], parameters: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    """By the link, or by the caller's own bound."""
    await capped(**link)(**parameters)

    assert lines(caplog) == []
