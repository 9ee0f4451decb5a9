"""Errors that come under 200: nothing raises for them, and the function stumbles over the answer that isn't there."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import routeware
from routeware import Attempt, CallRecord, ErrorCategory, Link, Price, RoutingPolicy, record_of, routed

BUSY = {"id": None, "choices": None, "error": {"message": "Provider returned error", "code": 502}}
REFUSED = {"error": {"message": "no", "code": "content_policy_violation"}}
GOOD = {"choices": [{"message": {"content": "answer"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
PRICE = Price(input_usd_per_mtok=1_000_000)


def reading(first: object, *, classify: Any = None, **settings: Any) -> Any:
    """Build the README's function, whose first link answers with ``first``."""
    chain = [Link(provider=provider, model="m", price=PRICE, max_output_tokens=1) for provider in "ab"]

    @routed(RoutingPolicy(chain=chain, **settings), classify=classify)
    async def ask(attempt: Attempt) -> Any:
        body: Any = attempt.report(first if attempt.provider == "a" else GOOD)
        return body["choices"][0]["message"]["content"]

    return ask


async def failed(ask: Any) -> CallRecord:
    """Return the record of a call that raises the function's own error."""
    with pytest.raises((KeyError, TypeError)) as raised:
        await ask()
    record = record_of(raised.value)
    assert record is not None
    return record


async def test_the_next_link_is_tried_and_nothing_is_booked_for_the_error() -> None:
    """As if it had come with its status: the provider answered, with an error, and bills nothing."""
    outcome = await reading(BUSY).outcome()

    first, _ = outcome.record.attempts
    assert outcome.value == "answer"
    assert first.error is not None
    assert (first.error.category, first.error.status) == (ErrorCategory.SERVER_ERROR, 502)
    assert first.error.message == "server_error 502 TypeError"
    assert (first.cost_usd, outcome.record.uncertain_usd) == (0, 0)


async def test_a_hook_that_leaves_an_error_to_routeware_does_not_hide_what_the_reply_says() -> None:
    """`classify=` that answers None means: as without it. The error in the reply still decides."""
    outcome = await reading(BUSY, classify=lambda _error: None).outcome()

    first, _ = outcome.record.attempts
    assert outcome.value == "answer"
    assert first.error is not None
    assert (first.error.category, first.error.status) == (ErrorCategory.SERVER_ERROR, 502)
    assert (first.cost_usd, outcome.record.uncertain_usd) == (0, 0)


async def test_what_is_no_outage_does_not_fail_over() -> None:
    """A refusal for content under 200 is one, too."""
    record = await failed(reading(REFUSED))

    (attempt,) = record.attempts
    assert attempt.error is not None
    assert attempt.error.category is ErrorCategory.CONTENT_POLICY


async def test_five_such_errors_book_nothing_under_a_cap() -> None:
    """They ate the budget, each at its projection."""
    ask = reading(BUSY, failover={"max_attempts": 1})

    async with routeware.session(limit_usd=0.05) as spending:
        for _ in range(5):
            record = await failed(ask.with_options(per_call_usd=None))
            assert record.uncertain_usd == 0
        assert spending.remaining_usd == 0.05


async def test_an_answer_that_the_function_stumbles_over_is_no_error_of_the_provider() -> None:
    """It is the function's own mistake, and does not fail over."""

    @routed(RoutingPolicy(chain=["a:m", "b:m"]))
    async def ask(attempt: Attempt) -> Any:
        body: Any = attempt.report(GOOD)
        return body["answer"]

    (attempt,) = (await failed(ask)).attempts
    assert attempt.error is not None
    assert attempt.error.category is ErrorCategory.GENERIC


async def test_the_last_reply_that_was_reported_counts() -> None:
    """A function that asks again has the second reply's failure."""

    @routed(RoutingPolicy(chain=["a:m", "b:m"]))
    async def ask(attempt: Attempt) -> Any:
        attempt.report(BUSY)
        body: Any = attempt.report(GOOD)
        return body["answer"]

    assert len((await failed(ask)).attempts) == 1


class Reply(dict[str, Any]):
    """A reply that can be watched."""


async def test_a_reply_is_not_kept_after_its_call() -> None:
    """It holds a prompt's answer, and records live long."""
    watched: list[weakref.ref[Reply]] = []
    attempts: list[Attempt] = []

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> Any:
        attempts.append(attempt)
        reply = Reply(BUSY)
        watched.append(weakref.ref(reply))
        return attempt.report(reply)["choices"][0]

    with pytest.raises(TypeError) as raised:
        await ask()
    record = record_of(raised.value)
    raised.value.__traceback__ = None
    del raised
    gc.collect()

    assert record is not None
    assert watched[0]() is None
