"""Spans become calls again, in whatever order they come, and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan

from routeware.classify import ErrorSnapshot
from routeware.errors import BudgetExceededError, DeadlineExceededError, ErrorCategory
from routeware.lab.calls import CallTree, call_from_record, calls
from routeware.lab.reading_spans import otlp_span
from routeware.lab.spans import Span
from routeware.records import AttemptRecord, AttemptStatus, AttemptTrigger, CallRecord
from tests.fakes.exported import START_NS, Traced, comparable, otlp
from tests.fakes.providers import FatalError, HTTPStatusError, Script, answers, busy, fails, hangs, reports, script
from tests.fakes.tracing import Traces


def read(spans: Iterable[ReadableSpan]) -> list[Span]:
    """Exported spans, read back."""
    document = otlp(spans)
    return [
        otlp_span(span)
        for resource in document["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def trees(traced: Traced) -> list[CallTree]:
    """The calls in what was traced."""
    return list(calls(read(traced.spans())))


def raced() -> Traced:
    """A call with a race: the first link loses to the second."""
    traced = Traced()
    call = traced.call("ask", at_ms=5.0)
    call.event("race_started", 800)
    call.attempt(
        "openai:gpt-4o", 0, 1240, "race_lost", routeware__cost__usd=0.0011, routeware__cost__source="estimated"
    )
    call.attempt("anthropic:claude", 800, 1240.5, routeware__attempt__trigger="race", routeware__cost__usd=0.0042)
    call.end(
        1241,
        routeware__call__selected="anthropic:claude",
        routeware__call__cost_usd=0.0042,
        routeware__call__uncertain_usd=0.0011,
        routeware__call__wasted_usd=0.0011,
        routeware__race__after_s=0.8,
        routeware__race__source="fixed",
        routeware__session__name="tenant-7",
    )
    return traced


def test_a_call_is_read_back_as_it_was() -> None:
    """Times are of the call's own clock, units are the record's."""
    (call,) = trees(raced())

    assert (call.name, call.policy, call.outcome, call.selected) == ("ask", "chat", "succeeded", "anthropic:claude")
    assert (call.cost_usd, call.uncertain_usd, call.wasted_usd) == (0.0042, 0.0011, 0.0011)
    assert (call.race_after_ms, call.race_source, call.session_name) == (800, "fixed", "tenant-7")
    assert (call.started_at_ms, call.duration_ms) == (START_NS / 1e6 + 5, 1241)
    assert [(event.name, event.at_ms) for event in call.events] == [("race_started", 800)]
    lost, won = call.attempts
    assert (lost.label, lost.provider, lost.model) == ("openai:gpt-4o", "openai", "gpt-4o")
    assert (lost.status, lost.trigger, lost.selected) == (AttemptStatus.RACE_LOST, AttemptTrigger.INITIAL, False)
    assert (lost.cost_usd, lost.cost_source, lost.uncertain) == (0.0011, "estimated", True)
    assert (won.started_ms, won.duration_ms, won.ended_ms) == (800, 440.5, 1240.5)
    assert (won.status, won.trigger, won.selected) == (AttemptStatus.SUCCEEDED, AttemptTrigger.RACE, True)
    assert call.rivals(won) == (lost,)
    assert call.rivals(lost) == ()


def test_a_failure_is_read_back_with_its_reasons() -> None:
    """Category, status, class, and how long the provider asked to be left alone."""
    traced = Traced()
    traced.call().attempt(
        "a:b",
        0,
        120,
        "failed",
        routeware__error__category="rate_limit",
        http__response__status_code=429,
        error__type="openai.RateLimitError",
        routeware__retry_after_s=2.5,
    ).end(120, "failed")

    ((attempt,),) = (call.attempts for call in trees(traced))

    assert (attempt.error_category, attempt.error_status) == ("rate_limit", 429)
    assert (attempt.error_type, attempt.retry_after_ms) == ("openai.RateLimitError", 2500)


def test_skipped_links_are_at_their_numbers() -> None:
    """They have no span: the call's event tells of them, and the attempts leave their numbers free."""
    traced = Traced()
    call = traced.call()
    call.event("budget_exceeded", 0, link="openai:o3", on_exceed="skip")
    call.attempt("local:llama", 0, 5, "failed", routeware__attempt__number=2)
    call.event("budget_exceeded", 6, on_exceed="skip")
    call.event("budget_exceeded", 6, link="warned:about", on_exceed="warn")
    call.attempt("a:b", 6, 9, routeware__attempt__number=4)
    call.end(10, routeware__call__attempts=4)

    ((first, second, third, fourth),) = (tree.attempts for tree in trees(traced))

    assert [attempt.label for attempt in (first, second, third, fourth)] == [
        "openai:o3",
        "local:llama",
        "a link",
        "a:b",
    ]
    assert (first.status, first.trigger) == (AttemptStatus.SKIPPED, AttemptTrigger.INITIAL)
    assert (third.status, third.trigger, third.started_ms) == (AttemptStatus.SKIPPED, AttemptTrigger.FAILOVER, 6)


def test_the_winner_of_two_attempts_at_one_link_is_the_one_that_answered() -> None:
    """A chain may name a link twice, and a span's label cannot tell them apart."""
    traced = Traced()
    call = traced.call().attempt("a:b", 0, 5, "failed").attempt("a:b", 5, 9)
    call.end(10, routeware__call__selected="a:b")

    ((first, second),) = (tree.attempts for tree in trees(traced))

    assert (first.selected, second.selected) == (False, True)


def test_what_a_later_version_says_is_not_known() -> None:
    """A file from tomorrow is drawn as far as it is understood."""
    traced = Traced()
    traced.call().attempt("a:b", 0, 5, "teleported", routeware__attempt__trigger="whim").end(5)

    ((attempt,),) = (call.attempts for call in trees(traced))

    assert (attempt.status, attempt.trigger) == (None, AttemptTrigger.INITIAL)


def test_attempts_without_their_call_are_given_out_at_the_end() -> None:
    """Its span may not have ended, or be in another file; what is known is shown."""
    traced = Traced()
    traced.call(at_ms=100).attempt("a:b", 10, 20, "failed").attempt("c:d", 20, 50)

    (call,) = trees(traced)

    assert (call.outcome, call.cost_usd, call.duration_ms) == (None, None, 40)
    assert [(attempt.started_ms, attempt.selected) for attempt in call.attempts] == [(0, False), (10, True)]


def test_a_call_whose_attempts_are_missing_is_given_out_at_the_end() -> None:
    """A dropped span costs its bar, not the call."""
    (call,) = calls([span for span in read(raced().spans()) if "routeware.call.name" in span.attributes])

    assert (call.outcome, call.attempts) == ("succeeded", ())


def test_an_attempt_without_a_parent_is_a_call_of_its_own() -> None:
    """Nothing that was read is lost."""
    (span, *_) = read(raced().spans())
    orphan = Span(trace_id=span.trace_id, span_id="1", name="x", start_ns=2, end_ns=1, attributes=span.attributes)

    (call,) = calls([orphan])

    assert (call.outcome, call.duration_ms, len(call.attempts)) == (None, 0, 1)


def test_a_span_that_was_sent_twice_counts_once() -> None:
    """Exporters try again when an answer got lost."""
    spans = read(raced().spans())

    (call,) = calls([spans[0], *spans])

    assert len(call.attempts) == 2


THREE = Traced()
for number in range(3):
    CALL = THREE.call(f"call-{number}").attempt("a:b", 0, 1, "failed").attempt("c:d", 1, 2)
    CALL.event("budget_exceeded", 0, link="e:f", on_exceed="skip")
    CALL.end(3, routeware__call__attempts=3)
THREE_SPANS = read(THREE.spans())


@given(order=st.permutations(range(len(THREE_SPANS))))
def test_the_order_of_spans_does_not_matter(order: Sequence[int]) -> None:
    """Exporters send attempts first, backends sort as they like, and several calls are mixed."""
    found = calls(THREE_SPANS[place] for place in order)

    assert sorted((call.name, tuple(attempt.label for attempt in call.attempts)) for call in found) == [
        (f"call-{number}", ("a:b", "c:d", "e:f")) for number in range(3)
    ]


def test_a_call_is_given_out_when_its_last_span_has_come() -> None:
    """Whoever reads a million of them must not wait, nor hold them all."""
    taken: list[str] = []

    def spans() -> Iterable[Span]:
        for span in THREE_SPANS:
            taken.append(span.name)
            yield span

    found = calls(spans())
    next(found)

    assert taken == ["chat b", "chat d", "routeware.call call-0"]


def test_only_so_many_incomplete_calls_are_held() -> None:
    """The one that has waited longest goes first, as it is."""
    orphans = [span for span in THREE_SPANS if "routeware.attempt.number" in span.attributes]
    left = iter(orphans)

    first = next(calls(left, waiting=2))

    assert (first.trace_id, len(first.attempts)) == (orphans[0].trace_id, 2)
    assert len(list(left)) == 1


def record(**changes: object) -> CallRecord:
    """The record of the race above."""
    error = ErrorSnapshot(category=ErrorCategory.RATE_LIMIT, message="", status=429, retry_after_ms=10)
    attempts = (
        AttemptRecord(
            number=1,
            provider="openai",
            model="gpt-4o",
            label="openai:gpt-4o",
            status=AttemptStatus.FAILED,
            trigger=AttemptTrigger.INITIAL,
            started_ms=0,
            duration_ms=120,
            cost_usd=0.0011,
            cost_source="estimated",
            error=error,
        ),
        AttemptRecord(
            number=2,
            provider="anthropic",
            model="claude",
            label="anthropic:claude",
            status=AttemptStatus.SUCCEEDED,
            trigger=AttemptTrigger.FAILOVER,
            started_ms=120,
            duration_ms=840,
            cost_usd=0.0042,
            cost_source="priced",
        ),
    )
    facts = {
        "label": "chat",
        "name": "ask",
        "outcome": "succeeded",
        "attempts": attempts,
        "selected": 1,
        "duration_ms": 960.5,
        "cost_usd": 0.0042,
        "uncertain_usd": 0.0011,
        "wasted_usd": 0.0011,
    }
    return CallRecord(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_record_gives_the_same_tree_as_its_spans() -> None:
    """What can be drawn right after a call is what a backend will show of it, but for what records do not keep."""
    tree = call_from_record(record(race_after_ms=800, race_source="fixed", session_name="s", trace_id="ab"))

    assert (tree.name, tree.policy, tree.outcome, tree.selected) == ("ask", "chat", "succeeded", "anthropic:claude")
    assert (tree.cost_usd, tree.uncertain_usd, tree.wasted_usd) == (0.0042, 0.0011, 0.0011)
    assert (tree.race_after_ms, tree.race_source, tree.session_name, tree.trace_id) == (800, "fixed", "s", "ab")
    assert (tree.started_at_ms, tree.duration_ms, tree.events) == (None, 960.5, ())
    failed, won = tree.attempts
    assert (failed.error_category, failed.error_status, failed.retry_after_ms) == ("rate_limit", 429, 10)
    assert (failed.uncertain, failed.selected, won.selected, won.error_category) == (True, False, True, None)


def test_a_record_without_a_winner_has_none_in_its_tree() -> None:
    """No attempt is marked, whatever became of it."""
    tree = call_from_record(record(selected=None, outcome="cancelled"))

    assert (tree.selected, [attempt.selected for attempt in tree.attempts]) == (None, [False, False])


@pytest.mark.parametrize(
    ("providers", "settings"),
    [
        (lambda: script(a=busy(5), b=answers(10)), {}),
        (lambda: script(a=busy(5), b=fails(10, FatalError())), {}),
        (lambda: script(a=hangs(), b=reports(0.25, answers(10))), {"race_after_ms": 50, "usd": {"a": 0.5, "b": 0.25}}),
        (lambda: script(a=hangs(), b=hangs()), {"race_after_ms": 50, "deadline_ms": 100}),
        (
            lambda: script(a=answers(), b=answers(), c=busy(), d=answers(), e=answers()),
            {"usd": {"a": 2, "b": 2, "c": 0.5, "d": 2, "e": 0.5}, "per_call_usd": 1, "on_exceed": "skip"},
        ),
        (lambda: script(a=answers()), {"usd": {"a": 2}, "per_call_usd": 1}),
    ],
    ids=["failover", "error", "race", "deadline", "skips", "refusal"],
)
async def test_what_a_call_leaves_in_a_trace_is_what_its_record_says(
    providers: Callable[[], Script], settings: dict[str, Any]
) -> None:
    """Whoever draws from either draws the same, but for what only one of the two keeps."""
    traces, made = Traces(), providers()
    ask = made.ask(options=traces.options, **settings)
    with suppress(HTTPStatusError, FatalError, DeadlineExceededError, BudgetExceededError):
        await ask()

    (from_spans,) = calls(read(traces.spans))

    assert comparable(from_spans) == comparable(call_from_record(made.records[0]))
