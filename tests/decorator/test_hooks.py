"""Hooks: what a caller's own functions may raise, and whom that harms."""

from __future__ import annotations

import asyncio
import logging

import pytest

from routeware import (
    AttemptTimeoutError,
    BudgetExceededError,
    DeadlineExceededError,
)
from tests.fakes.providers import (
    answers,
    busy,
    hangs,
    script,
)


def told(caplog: pytest.LogCaptureFixture) -> str:
    """Everything that was logged as a warning or worse, as a handler prints it."""
    return "".join(caplog.handler.format(record) for record in caplog.records if record.levelno >= logging.WARNING)


async def test_what_classify_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged by hook and class name, without text or traceback, and classification goes on without it."""

    def classify(error: BaseException) -> None:
        raise LookupError("https://example.invalid/?key=sk-123")

    assert await script(a=busy(), b=answers(0)).ask(options={"classify": classify})() == "b"

    assert "classify" in told(caplog)
    assert "LookupError" in told(caplog)
    assert "sk-123" not in told(caplog)
    assert "Traceback" not in told(caplog)


async def test_what_on_call_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The same."""

    def on_call(record: object) -> None:
        raise LookupError("sk-123")

    assert await script(a=answers(0)).ask(options={"on_call": on_call})() == "a"

    assert "on_call" in told(caplog)
    assert "LookupError" in told(caplog)
    assert "sk-123" not in told(caplog)
    assert "Traceback" not in told(caplog)


async def test_on_call_is_called_once_whatever_became_of_it() -> None:
    """Success, failure, refusal, deadline and cancellation."""
    providers = script(a=answers(0))
    await providers.ask()()
    for settings, error in (
        ({"usd": {"a": 1}, "per_call_usd": 0.5}, BudgetExceededError),
        ({"timeouts": {"a": 10}}, AttemptTimeoutError),
        ({"deadline_ms": 10}, DeadlineExceededError),
    ):
        providers.again()
        providers.behaviours["a"] = hangs()
        with pytest.raises(error):
            await providers.ask(**settings)()
    providers.again()
    task = asyncio.create_task(providers.ask()())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])

    assert [record.outcome for record in providers.records] == [
        "succeeded",
        "budget_exceeded",
        "failed",
        "deadline_exceeded",
        "cancelled",
    ]


async def test_what_prices_raises_comes_out_before_anything_is_called() -> None:
    """A price book that cannot be read is the caller's to know."""

    class Broken:
        def find(self, provider: str, model: str) -> None:
            raise LookupError("no catalogue")

    providers = script(a=answers(0))

    with pytest.raises(LookupError):
        await providers.ask(per_call_usd=1, options={"prices": Broken()})()

    assert providers.started == {}


async def test_what_estimate_raises_comes_out_before_its_attempt() -> None:
    """Under a cap nobody can go on without a projection."""
    providers = script(a=answers(0), b=answers(0))
    ask = providers.ask(usd={"a": 0.1, "b": 0.1}, per_call_usd=1)

    @ask.estimate
    def estimate(link: object, *args: object, **kwargs: object) -> float:
        raise LookupError("no tokenizer")

    with pytest.raises(LookupError):
        await ask()

    assert providers.started == {}


async def test_what_estimate_raises_in_a_race_refuses_the_backup() -> None:
    """The running attempt is not harmed."""
    providers = script(a=answers(100), b=answers(0))
    ask = providers.ask(usd={"a": 0.1, "b": 0.1}, per_call_usd=1, race_after_ms=50)

    @ask.estimate
    def estimate(link: object, *args: object, **kwargs: object) -> float:
        if link.provider == "b":  # type: ignore[attr-defined]
            raise LookupError("no tokenizer")
        return 0.1

    assert await ask() == "a"
    assert list(providers.started) == ["a"]


async def test_what_estimate_raises_when_only_booking_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """And the built-in projection is used."""
    ask = script(a=answers(0)).ask(usd={"a": 0.125})

    @ask.estimate
    def estimate(link: object, *args: object, **kwargs: object) -> float:
        raise LookupError("sk-123")

    outcome = await ask.outcome()

    assert outcome.record.uncertain_usd == 0.125
    assert "estimate" in told(caplog)
    assert "LookupError" in told(caplog)
    assert "sk-123" not in told(caplog)
