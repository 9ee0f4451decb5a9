"""What the demo is made of, without a socket: facts, draws, the faster clock, sums, and the saved trace."""

from __future__ import annotations

import asyncio
import itertools
import math
import statistics
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

from routeware import (
    Attempt,
    AttemptRecord,
    AttemptStatus,
    AttemptTrigger,
    CallRecord,
    PolicyError,
    RoutingPolicy,
    routed,
    session,
)
from routeware.cli.advice import findings
from routeware.demo import DemoError, scenes, spans, tally
from routeware.demo.draws import Curve, Draws, Fault, Incident, packaged_facts
from routeware.demo.run import ask_routed, in_flight
from routeware.demo.scenes import Prices, check_providers, packaged_scenes, sped_up
from routeware.demo.spans import collector_url, jaeger_json
from routeware.lab.reading_spans import jaeger_span
from routeware.money import usd

FACTS = packaged_facts()
MANY = [Draws(FACTS, seed=1).of(number) for number in range(4000)]


def ranks(values: Sequence[float]) -> list[int]:
    """Where each value stands among all."""
    order = sorted(range(len(values)), key=values.__getitem__)
    places = {index: rank for rank, index in enumerate(order)}
    return [places[index] for index in range(len(values))]


def test_a_curve_is_linear_between_its_points_and_flat_beyond() -> None:
    """A quantile of 1 is the slowest that was recorded, not an extrapolation."""
    curve = Curve((0.0, 0.5, 1.0), (10.0, 20.0, 100.0))

    assert [curve.at(q) for q in (-1, 0, 0.25, 0.5, 0.75, 1, 2)] == [10, 10, 15, 20, 60, 100, 100]


def test_the_same_seed_and_number_give_the_same_fate() -> None:
    """The bare run and the routed run meet the same providers, in whatever order their requests arrive."""
    again = Draws(FACTS, seed=1)

    assert [again.of(number) for number in (7, 3, 7)] == [MANY[7], MANY[3], MANY[7]]
    assert Draws(FACTS, seed=2).of(7) != MANY[7]


@pytest.mark.parametrize("provider", FACTS.providers)
def test_latencies_follow_the_recorded_quantiles(provider: str) -> None:
    """Within 6 % at the median, p90 and p95, for 4,000 draws."""
    drawn = sorted(draws[provider].after_ms for draws in MANY if draws[provider].fault is None)

    for q in (0.5, 0.9, 0.95):
        assert drawn[int(q * len(drawn))] == pytest.approx(FACTS.latency[provider].at(q), rel=0.06)


@pytest.mark.parametrize("pair", list(itertools.combinations(FACTS.providers, 2)))
def test_latencies_of_one_request_are_correlated_as_recorded(pair: tuple[str, str]) -> None:
    """Drawn independently, racing would look better than it is."""
    whole = [draws for draws in MANY if all(draw.fault is None for draw in draws.values())]
    first, second = ([draws[provider].after_ms for draws in whole] for provider in pair)

    assert statistics.correlation(ranks(first), ranks(second)) == pytest.approx(
        FACTS.spearman[frozenset(pair)], abs=0.05
    )


def test_faults_have_their_shares_and_the_first_provider_fails_rarely() -> None:
    """A demo whose first provider fails all the time would prove nothing."""
    faults = [draws[FACTS.providers[0]].fault for draws in MANY]
    shares = {fault: faults.count(fault) / len(faults) for fault in Fault}

    assert shares[Fault.RATE_LIMITED] == pytest.approx(FACTS.shares[Fault.RATE_LIMITED], abs=0.006)
    assert shares[Fault.DROPPED] == pytest.approx(FACTS.shares[Fault.DROPPED], abs=0.005)
    assert shares[Fault.SERVER_ERROR] == pytest.approx(FACTS.shares[Fault.SERVER_ERROR], abs=0.003)
    assert sum(shares.values()) <= 0.05


def test_a_provider_with_stalls_takes_several_times_its_median_now_and_then() -> None:
    """Seven requests of a hundred, whichever they are; its failures stay as they were."""
    stalling = Draws(FACTS, seed=1)
    median = FACTS.latency["mistral"].at(0.5)
    drawn = [stalling.of(number, Incident.STALLS)["mistral"] for number in range(2000)]

    stalled = [draw for draw in drawn if draw.after_ms >= 5 * median]
    assert len(stalled) / len(drawn) == pytest.approx(0.07, abs=0.015)
    assert max(draw.after_ms for draw in stalled) <= 8 * median
    assert [draw.fault for draw in drawn] == [draws["mistral"].fault for draws in MANY[:2000]]
    pauses = [draw.pause_ms for draw in drawn if draw.pause_ms]
    assert len(pauses) / len(drawn) == pytest.approx(FACTS.stalls["in_the_middle"], abs=0.015)
    assert set(pauses) == {FACTS.stalls["pause"] * median}


def test_a_provider_that_is_out_answers_nothing() -> None:
    """Every request is turned down, after as long as a median answer takes."""
    drawn = [Draws(FACTS, seed=1).of(number, Incident.OUTAGE)["openai"] for number in range(50)]

    assert {draw.fault for draw in drawn} == {Fault.OUT}
    assert {draw.after_ms for draw in drawn} == {FACTS.latency["openai"].at(0.5)}


def test_the_facts_name_their_sources() -> None:
    """Repository, number of requests and date of each; and what was recorded nowhere is called assumed."""
    assert len(FACTS.sources) == 2
    assert all(" requests of 202" in source for source in FACTS.sources)
    assert any("stalls" in assumption for assumption in FACTS.assumed)
    assert any("500s" in assumption for assumption in FACTS.assumed)


def test_the_packaged_policies_are_beyond_reproach() -> None:
    """They are the first policies that people see: models are the facts', and nothing about them surprises."""
    for policy in (scene.policy for scene in packaged_scenes()):
        check_providers(policy, FACTS)
        assert all(FACTS.models[link.provider] == link.model for link in policy.chain)
        # The demo's program speaks to all of them with one client, so their SDKs' errors are none of its concern.
        assert [finding for finding in findings(policy) if "wrap_errors" not in finding.text] == []


def test_every_time_in_a_policy_is_sped_up() -> None:
    """What is compared with the providers' latencies has to run on their clock."""
    policy = RoutingPolicy.from_dict(
        {
            "chain": [{"provider": "openai", "model": "m", "timeout_ms": 100}, "google:m"],
            "failover": {"on_timeout_ms": 200},
            "latency": {"race_after_ms": 300, "target_p95_ms": 400, "deadline_ms": 500},
            "label": "mine",
        }
    )

    fast = sped_up(policy, 10)

    assert [link.timeout_ms for link in fast.chain] == [10, None]
    assert fast.failover.on_timeout_ms == 20
    assert (fast.latency.race_after_ms, fast.latency.target_p95_ms, fast.latency.deadline_ms) == (30, 40, 50)
    assert sped_up(fast, 0.1) == policy


def test_a_provider_that_is_not_played_is_named() -> None:
    """With those that are."""
    with pytest.raises(DemoError, match=r"'groq' \(of the link groq:x\); it has openai, anthropic, google, mis"):
        check_providers(RoutingPolicy(chain=["openai:x", "groq:x"]), FACTS)


def test_every_played_provider_has_a_price() -> None:
    """So that a policy without prices can still be added up."""
    assert all(Prices().find(provider, "any model") is not None for provider in FACTS.providers)
    assert Prices().find("groq", "x") is None


@pytest.mark.parametrize(
    ("given_url", "whole"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("https://collector.example", "https://collector.example/v1/traces"),
        ("http://localhost:4318/v1/traces", "http://localhost:4318/v1/traces"),
        ("http://gateway/otlp/v1/traces", "http://gateway/otlp/v1/traces"),
    ],
)
def test_a_collector_is_given_as_people_give_it(given_url: str, whole: str) -> None:
    """OTEL_EXPORTER_OTLP_ENDPOINT has taught them to leave the path out."""
    assert collector_url(given_url) == whole


@pytest.mark.parametrize("nonsense", ["localhost:4318", "http://", "ftp://host", "http://host:port", "http://[::1", ""])
def test_what_is_no_address_is_refused(nonsense: str) -> None:
    """Before anything is run for it."""
    with pytest.raises(DemoError, match="is not an address like http://localhost:4318"):
        collector_url(nonsense)


def attempt(number: int, status: AttemptStatus) -> AttemptRecord:
    """An attempt that only its status tells apart."""
    return AttemptRecord(
        number=number,
        provider="p",
        model="m",
        label="p:m",
        status=status,
        trigger=AttemptTrigger.INITIAL,
        started_ms=10 * number,
        duration_ms=5,
    )


def call(*statuses: AttemptStatus) -> CallRecord:
    """A call with attempts of these statuses."""
    return CallRecord(
        label="l",
        name="ask",
        outcome="succeeded",
        attempts=tuple(attempt(number, status) for number, status in enumerate(statuses, 1)),
        selected=None,
        duration_ms=100,
        cost_usd=0.1,
        uncertain_usd=0.0,
        wasted_usd=0.0,
        race_after_ms=30,
    )


def test_the_most_telling_call_failed_over_raced_and_answered() -> None:
    """Of several alike, the first: the choice can be repeated."""
    plain = call(AttemptStatus.SUCCEEDED)
    raced = call(AttemptStatus.RACE_LOST, AttemptStatus.SUCCEEDED)
    both = call(AttemptStatus.FAILED, AttemptStatus.RACE_LOST, AttemptStatus.SUCCEEDED)
    lost = call(AttemptStatus.FAILED, AttemptStatus.FAILED, AttemptStatus.FAILED)

    assert tally.most_telling([plain, raced, both, lost, attrs.evolve(both, name="later")]) is both
    assert tally.most_telling([]) is None


def test_a_record_is_shown_in_the_providers_own_time() -> None:
    """All of it: a bar of 5 ms in a call of 1,000 ms would be a lie."""
    slow = scenes.in_own_time(call(AttemptStatus.SUCCEEDED), 10)

    assert (slow.duration_ms, slow.race_after_ms) == (1000, 300)
    assert (slow.attempts[0].started_ms, slow.attempts[0].duration_ms) == (100, 50)
    assert scenes.in_own_time(attrs.evolve(slow, race_after_ms=None), 10).race_after_ms is None


def answer(took_ms: float = 1, *, answered: bool = True, cost: int = 1, uncertain: int | None = 0) -> tally.Answer:
    """What came of a request."""
    return tally.Answer(
        took_ms=took_ms, answered=answered, cost_nanos=cost, uncertain_nanos=uncertain, wasted_nanos=uncertain
    )


def test_a_request_without_an_answer_is_late() -> None:
    """A refusal is quick, and would make a bad provider look fast; left out, it would make it look reliable."""
    column = tally.tally([*(answer(took) for took in range(99)), *[answer(1, answered=False, cost=0)] * 2], 50)

    assert (column.requests, column.answered, column.on_time) == (101, 99, 51)
    assert (column.p50_ms, column.p95_ms, column.p99_ms) == (50, 95, None)


def test_what_nobody_knows_is_not_added_up() -> None:
    """Unknown is not zero; without an answer there are no quantiles."""
    column = tally.tally([answer(answered=False, uncertain=None), answer(answered=False, uncertain=3)])

    assert (column.uncertain_usd, column.wasted_usd) == (None, None)
    assert (column.p50_ms, column.p95_ms, column.p99_ms) == (None, None, None)


@given(st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**10)), max_size=50))
def test_sums_are_exact(amounts: list[tuple[int, int]]) -> None:
    """Through the dollars that the session tells, to the last nano-dollar."""
    answers = [answer(cost=cost, uncertain=uncertain) for cost, uncertain in amounts]
    settled, uncertain = sum(cost for cost, _ in amounts), sum(uncertain for _, uncertain in amounts)

    assert tally.money(answers, usd(settled), usd(uncertain), 1.0).adds_up
    assert not tally.money(answers, usd(settled + 1), usd(uncertain), 1.0).adds_up
    assert not tally.money(answers, usd(settled), usd(uncertain + 1), 1.0).adds_up


def traced() -> tuple[ReadableSpan, ...]:
    """A parent with a failed child and an event, each a second long."""
    recorder = spans.Recorder()
    tracer = recorder.tracer_provider.get_tracer("routeware")
    parent = tracer.start_span("call", start_time=10**18, attributes={"routeware.race.after_s": 0.15, "n": 1})
    child = tracer.start_span("attempt", set_span_in_context(parent), SpanKind.CLIENT, start_time=10**18 + 10**9)
    child.set_attributes({"routeware.retry_after_s": 1.0, "ok": True, "list": ["a", "b"]})
    child.add_event("exception", {"exception.type": "E"}, timestamp=10**18 + 15 * 10**8)
    child.set_status(Status(StatusCode.ERROR, "rate_limit 429"))
    child.end(10**18 + 2 * 10**9)
    parent.end(10**18 + 3 * 10**9)
    return recorder.spans()


def test_spans_are_stretched_away_from_the_end_of_the_run() -> None:
    """Nothing lies in the future, and what a provider asked for in its own time stays as it is."""
    child, parent = spans.in_own_time(traced(), 10)

    assert parent.end_time == 10**18 + 3 * 10**9
    assert parent.start_time == 10**18 - 27 * 10**9
    assert (child.start_time, child.end_time) == (10**18 - 17 * 10**9, 10**18 - 7 * 10**9)
    assert child.events[0].timestamp == 10**18 - 12 * 10**9
    assert parent.attributes == {"routeware.race.after_s": 1.5, "n": 1}
    assert child.attributes is not None
    assert child.attributes["routeware.retry_after_s"] == 1.0
    assert spans.in_own_time([], 10) == ()


def test_a_saved_trace_reads_back_as_it_was() -> None:
    """In Jaeger's own form: ids, parents, times, kinds, status, attributes and events."""
    whole = traced()
    document = jaeger_json(whole)
    (trace,) = document["data"]

    parent, child = (jaeger_span(span) for span in trace["spans"])

    assert trace["traceID"] == f"{whole[0].get_span_context().trace_id:032x}"
    assert trace["processes"]["p1"]["serviceName"] == "routeware-demo"
    assert {span["processID"] for span in trace["spans"]} == {"p1"}
    assert (parent.name, parent.parent_id, parent.kind, parent.status) == ("call", None, "internal", "unset")
    assert (child.name, child.parent_id, child.kind, child.status) == ("attempt", parent.span_id, "client", "error")
    assert child.status_message == "rate_limit 429"
    assert (child.start_ns, child.end_ns) == (10**18 + 10**9, 10**18 + 2 * 10**9)
    assert child.attributes["ok"] is True
    assert child.attributes["list"] == '["a","b"]'
    assert math.isclose(float(parent.number("routeware.race.after_s") or 0), 0.15)
    assert [(event.name, event.attributes) for event in child.events] == [("exception", {"exception.type": "E"})]


def test_a_saved_trace_has_its_links() -> None:
    """As Jaeger gives them back: references after the one to the parent, which stays the only parent."""
    recorder = spans.Recorder()
    tracer = recorder.tracer_provider.get_tracer("routeware")
    call = tracer.start_span("call")
    first = tracer.start_span("first", set_span_in_context(call))
    second = tracer.start_span("second", set_span_in_context(call), links=[Link(first.get_span_context())])
    for span in (first, second, call):
        span.end()

    (trace,) = jaeger_json(recorder.spans())["data"]

    told = {span["operationName"]: span for span in trace["spans"]}
    assert told["call"]["references"] == []
    assert told["second"]["references"] == [
        {"refType": "CHILD_OF", "traceID": trace["traceID"], "spanID": told["call"]["spanID"]},
        {"refType": "FOLLOWS_FROM", "traceID": trace["traceID"], "spanID": told["first"]["spanID"]},
    ]
    assert jaeger_span(told["second"]).parent_id == told["call"]["spanID"]


def test_a_span_of_an_unnamed_library_can_be_saved() -> None:
    """Its scope is left out."""
    (whole,) = jaeger_json([ReadableSpan("s", traced()[0].get_span_context(), start_time=0, end_time=1)])["data"]

    assert whole["spans"][0]["tags"] == [{"key": "span.kind", "type": "string", "value": "internal"}]


async def test_of_many_requests_the_first_error_comes_out_by_itself() -> None:
    """The defect, not a group of twenty."""

    async def work(number: int) -> int:
        await asyncio.sleep(number)
        raise KeyError(number)

    with pytest.raises(KeyError, match="0"):
        await in_flight(50, work, lambda: None)


async def test_what_is_wrong_with_the_policy_is_no_failed_request() -> None:
    """An error without a record means that nothing was called."""

    @routed(RoutingPolicy(chain=["openai:x"]))
    async def ask(_attempt: Attempt, _number: int) -> str:
        return "never"

    async with session("capped", limit_usd=1):
        with pytest.raises(PolicyError, match="the price of openai:x is unknown"):
            await ask_routed(ask, 1, 10.0)


def test_the_spans_of_one_trace_are_found_by_its_id() -> None:
    """In hexadecimal, as records have it."""
    one, other = traced(), traced()

    assert spans.of_trace([*one, *other], f"{other[0].get_span_context().trace_id:032x}") == other
