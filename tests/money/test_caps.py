"""Caps: what may start, what is refused, and who is asked first.

In these tests a link's price is so much per request, so its projection is exactly that.
"""

from __future__ import annotations

import asyncio

import pytest

import routeware
from routeware import BudgetExceededError, NoSessionError, record_of
from tests.fakes.providers import (
    HTTPStatusError,
    answers,
    busy,
    fails,
    pause,
    reports,
    script,
    statuses,
)
from tests.fakes.tracing import Traces


async def test_fifty_at_once_with_room_for_ten() -> None:
    """Exactly ten run: a memory ledger holds without suspending, so calls on one loop cannot overspend together."""
    ran: list[object] = []

    async def run(attempt: object) -> str:
        ran.append(attempt)
        await pause(100)
        return "done"

    # Each has its own script, because a script counts a second start of a link as a mistake.
    asks = [script(a=run).ask(usd={"a": 0.1}) for _ in range(50)]

    async with routeware.session("tenant", limit_usd=1) as spending:
        results = await asyncio.gather(*(ask() for ask in asks), return_exceptions=True)

    assert len(ran) == 10
    assert results.count("done") == 10
    assert sum(isinstance(result, BudgetExceededError) for result in results) == 40
    assert spending.spent_usd + spending.uncertain_usd == 1
    assert spending.reserved_usd == 0


async def test_a_tenth_and_two_tenths_fit_three_tenths() -> None:
    """Sums are exact, and equality passes."""
    async with routeware.session(limit_usd=0.3) as spending:
        await script(a=reports(0.1, answers(0))).ask(usd={"a": 0.1})()
        await script(a=reports(0.2, answers(0))).ask(usd={"a": 0.2})()

        assert spending.spent_usd == 0.3
        assert spending.remaining_usd == 0


async def test_a_refusal_says_what_was_refused() -> None:
    """Kind, limit, projection, what was committed, the session and the link."""
    async with routeware.session("tenant-7", limit_usd=0.25):
        await script(a=answers(0)).ask(usd={"a": 0.125})()
        with pytest.raises(BudgetExceededError) as raised:
            await script(b=answers(0)).ask(usd={"b": 0.25})()

    refusal = raised.value
    assert (refusal.kind, refusal.session_name, refusal.label) == ("session", "tenant-7", "b")
    assert (refusal.limit_usd, refusal.projected_usd, refusal.committed_usd) == (0.25, 0.25, 0.125)


async def test_a_refused_attempt_is_not_started_and_leaves_no_record() -> None:
    """Under abort: the call ends there."""
    providers = script(a=answers(0), b=answers(0))

    with pytest.raises(BudgetExceededError) as raised:
        await providers.ask(usd={"a": 0.2, "b": 0}, per_call_usd=0.1)()

    record = record_of(raised.value)
    assert providers.started == {}
    assert raised.value.kind == "per_call"
    assert record is not None
    assert (record.outcome, record.attempts) == ("budget_exceeded", ())


async def test_a_refusal_after_a_failure_is_raised_from_it() -> None:
    """The last provider error is its cause, and its attempt is in the record."""
    error = HTTPStatusError(503)
    providers = script(a=fails(0, error), b=answers(0))

    with pytest.raises(BudgetExceededError) as raised:
        await providers.ask(usd={"a": 0.1, "b": 0.2}, per_call_usd=0.1)()

    assert raised.value.__cause__ is error
    assert statuses(record_of(raised.value)) == {"a": "failed"}


async def test_the_call_is_asked_before_the_session() -> None:
    """Where both caps would be passed, the kind is `per_call`."""
    async with routeware.session(limit_usd=0.1):
        with pytest.raises(BudgetExceededError) as raised:
            await script(a=answers(0)).ask(usd={"a": 0.2}, per_call_usd=0.1)()

    assert raised.value.kind == "per_call"


async def test_per_call_bounds_the_call_and_not_each_attempt() -> None:
    """What the call has committed so far counts: 0.1 that may have been spent and 0.1 more do not fit 0.15."""
    providers = script(a=fails(0, TimeoutError()), b=answers(0))

    with pytest.raises(BudgetExceededError) as raised:
        await providers.ask(usd={"a": 0.1, "b": 0.1}, per_call_usd=0.15)()

    assert raised.value.committed_usd == 0.1
    assert list(providers.started) == ["a"]


async def test_an_attempt_that_cost_nothing_leaves_room() -> None:
    """A 503 was not billed."""
    providers = script(a=busy(), b=answers(0))

    assert await providers.ask(usd={"a": 0.1, "b": 0.1}, per_call_usd=0.15)() == "b"


async def test_skip_goes_to_the_next_link() -> None:
    """The one that is too dear is recorded as skipped, uses up no attempt, and the next is still the initial one."""
    providers = script(a=answers(0), b=answers(0))

    outcome = await providers.ask(
        usd={"a": 0.2, "b": 0.1}, per_call_usd=0.1, on_exceed="skip", max_attempts=1
    ).outcome()

    assert outcome.value == "b"
    assert list(providers.started) == ["b"]
    assert statuses(outcome.record) == {"a": "skipped", "b": "succeeded"}
    assert str(outcome.record.attempts[1].trigger) == "initial"
    assert [attempt.number for attempt in outcome.record.attempts] == [1, 2]
    assert outcome.record.selected == 1
    assert [choice.reason for choice in outcome.record.decision().alternatives] == ["skipped:budget", "selected"]


async def test_downgrade_is_another_word_for_skip() -> None:
    """As configurations spell it."""
    providers = script(a=answers(0), b=answers(0))

    assert await providers.ask(usd={"a": 0.2, "b": 0.1}, per_call_usd=0.1, on_exceed=" Downgrade ")() == "b"


async def test_all_skipped_raises_the_last_refusal() -> None:
    """Nothing was started, so there is no provider error."""
    providers = script(a=answers(0), b=answers(0))

    with pytest.raises(BudgetExceededError) as raised:
        await providers.ask(usd={"a": 0.2, "b": 0.3}, per_call_usd=0.1, on_exceed="skip")()

    assert raised.value.label == "b"
    record = record_of(raised.value)
    assert record is not None
    assert record.outcome == "budget_exceeded"
    assert statuses(record) == {"a": "skipped", "b": "skipped"}


async def test_skipped_after_a_failure_raises_the_failure() -> None:
    """Under skip the last provider error is raised."""
    error = HTTPStatusError(503)
    providers = script(a=fails(0, error), b=answers(0))

    with pytest.raises(HTTPStatusError) as raised:
        await providers.ask(usd={"a": 0.1, "b": 0.2}, per_call_usd=0.1, on_exceed="skip")()

    assert raised.value is error
    assert statuses(record_of(error)) == {"a": "failed", "b": "skipped"}


async def test_warn_goes_on() -> None:
    """The cap is passed, and that is recorded."""
    providers = script(a=answers(0))

    assert await providers.ask(usd={"a": 0.2}, per_call_usd=0.1, on_exceed="warn")() == "a"


async def test_a_sessions_own_limit_is_hard() -> None:
    """`warn` softens only the caps that stand in the policy."""
    providers = script(a=answers(0))

    async with routeware.session(limit_usd=0.1) as spending:
        with pytest.raises(BudgetExceededError) as raised:
            await providers.ask(usd={"a": 0.2}, per_call_usd=0.1, on_exceed="warn")()

    assert raised.value.kind == "session"
    assert providers.started == {}
    assert spending.reserved_usd == 0


async def test_the_policys_session_cap_is_soft_under_warn() -> None:
    """`session_usd` stands in the policy."""
    async with routeware.session() as spending:
        assert await script(a=reports(0.2, answers(0))).ask(usd={"a": 0.2}, session_usd=0.1, on_exceed="warn")() == "a"

    assert spending.spent_usd == 0.2


async def test_the_policys_session_cap_is_on_the_innermost_session() -> None:
    """What was spent outside of it is not its matter."""
    async with routeware.session("outer"):
        await script(a=answers(0)).ask(usd={"a": 0.2})()
        async with routeware.session("inner"):
            assert await script(a=answers(0)).ask(usd={"a": 0.1}, session_usd=0.1)() == "a"
            with pytest.raises(BudgetExceededError) as raised:
                await script(a=answers(0)).ask(usd={"a": 0.1}, session_usd=0.1)()

    assert (raised.value.kind, raised.value.session_name) == ("session", "inner")


async def test_a_session_cap_without_a_session_is_an_error() -> None:
    """Before anything is called."""
    providers = script(a=answers(0))

    with pytest.raises(NoSessionError):
        await providers.ask(usd={"a": 0.1}, session_usd=1)()

    assert providers.started == {}


async def test_every_enclosing_session_may_refuse() -> None:
    """The outer limit holds inside, and what the others had set aside is given back."""
    async with routeware.session("outer", limit_usd=0.1) as outer, routeware.session("inner", limit_usd=1) as inner:
        with pytest.raises(BudgetExceededError) as raised:
            await script(a=answers(0)).ask(usd={"a": 0.2})()
        assert raised.value.session_name == "outer"
        assert (outer.reserved_usd, inner.reserved_usd) == (0, 0)

    async with routeware.session("outer", limit_usd=1) as outer, routeware.session("inner", limit_usd=0.1) as inner:
        with pytest.raises(BudgetExceededError) as raised:
            await script(a=answers(0)).ask(usd={"a": 0.2})()
        assert raised.value.session_name == "inner"
        assert (outer.reserved_usd, inner.reserved_usd) == (0, 0)


async def test_a_projection_is_set_aside_while_the_attempt_runs() -> None:
    """In every enclosing session; afterwards it is settled."""
    seen: list[tuple[float, float, float | None]] = []

    async with routeware.session(limit_usd=1) as outer, routeware.session() as inner:

        async def look(attempt: object) -> str:
            seen.append((outer.reserved_usd, inner.reserved_usd, inner.remaining_usd))
            return "done"

        await script(a=reports(0.125, look)).ask(usd={"a": 0.25})()

        assert seen == [(0.25, 0.25, 0.75)]
        assert (outer.spent_usd, outer.reserved_usd, outer.uncertain_usd) == (0.125, 0, 0)
        assert (inner.spent_usd, inner.reserved_usd, inner.remaining_usd) == (0.125, 0, 0.875)


async def test_a_warning_is_given_where_there_is_something_to_warn_of() -> None:
    """A policy's cap on its session that is kept is not mentioned; the one that is passed is, and nobody is stopped."""
    traces, quiet = Traces(), Traces()

    async with routeware.session(limit_usd=10):
        for seen, usd in ((quiet, 0.5), (traces, 0.75)):
            ask = script(a=reports(usd, answers(0))).ask(
                usd={"a": usd}, session_usd=1, on_exceed="warn", options=seen.options
            )
            assert await ask() == "a"

    assert quiet.events == []
    assert traces.event("llm.routing.budget_exceeded")["committed_usd"] == 0.5
