"""Traces that arrived in a Jaeger say what the calls did: read back by their ids, and found as people look for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

import routeware
from routeware import CallRecord, record_of
from tests.fakes.providers import HTTPStatusError, Script, answers, busy, fails, hangs, script, uses
from tests.real.jaeger.sending import Sender
from tests.real.jaeger.server import Jaeger, tags_of

LINK = {"price": {"input_usd_per_mtok": 2.0, "output_usd_per_mtok": 8.0}, "max_output_tokens": 1000}


@attrs.frozen
class Stored:
    """One span of a trace, as Jaeger gives it back."""

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.raw["operationName"])

    @property
    def tags(self) -> dict[str, Any]:
        return tags_of(self.raw)

    @property
    def parent(self) -> str | None:
        found = [one["spanID"] for one in self.raw["references"] if one["refType"] == "CHILD_OF"]
        return found[0] if found else None

    @property
    def replaces(self) -> list[str]:
        """The spans that it leads to by links."""
        return [one["spanID"] for one in self.raw["references"] if one["refType"] == "FOLLOWS_FROM"]

    @property
    def end_us(self) -> int:
        return int(self.raw["startTime"] + self.raw["duration"])

    def logs(self) -> dict[str, dict[str, Any]]:
        """The fields of its events, by name; each is there once."""
        found = [tags_of(log, "fields") for log in self.raw["logs"]]
        assert len({fields["event"] for fields in found}) == len(found)
        return {str(fields.pop("event")): fields for fields in found}


@attrs.frozen
class Arrived:
    """A call's trace: its own span, and those of its attempts by label. None is there twice."""

    call: Stored
    attempts: Mapping[str, Stored]

    @classmethod
    def read(cls, trace: Mapping[str, Any]) -> Arrived:
        spans = [Stored(raw) for raw in trace["spans"]]
        assert len({span.raw["spanID"] for span in spans}) == len(spans)
        (call,) = [span for span in spans if span.name.startswith("routeware.call ")]
        attempts = [span for span in spans if span is not call]
        labels = [span.tags["routeware.link.label"] for span in attempts]
        assert len(set(labels)) == len(labels)
        return cls(call, dict(zip(labels, attempts, strict=True)))


def priced(providers: Script) -> dict[str, dict[str, Any]]:
    """Every link with the same price."""
    return dict.fromkeys(providers.behaviours, LINK)


@pytest.fixture
def read_back(jaeger: Jaeger, sender: Sender) -> Callable[[CallRecord | None], Arrived]:
    """The trace of a call, out of Jaeger: it has a span for the call and one for every attempt that was started."""

    def read(record: CallRecord | None) -> Arrived:
        assert record is not None
        assert record.trace_id is not None
        sender.flush()
        started = [attempt for attempt in record.attempts if attempt.status != "skipped"]
        arrived = Arrived.read(jaeger.trace(record.trace_id, spans=1 + len(started)))
        assert sorted(arrived.attempts) == sorted(attempt.label for attempt in started)
        return arrived

    return read


async def test_a_failed_a_lost_and_a_won_attempt(sender: Sender, read_back: Any) -> None:
    """The error is red, the loser is not, and of the call's children the winner ends last, the call after it."""
    providers = script(
        openai=fails(5, HTTPStatusError(429, "slow down")),
        anthropic=hangs(),
        mistral=uses(answers(30), input_tokens=200, output_tokens=300),
    )
    ask = providers.ask(race_after_ms=30, options=sender.options, links=priced(providers))

    outcome = await ask.outcome("Why is the sky blue?")

    arrived = read_back(outcome.record)
    failed, lost, won = (arrived.attempts[label] for label in ("openai", "anthropic", "mistral"))
    assert [span.tags.get("error") for span in (arrived.call, failed, lost, won)] == [None, True, None, None]
    assert [span.tags.get("otel.status_code") for span in (arrived.call, failed, lost, won)] == [
        None,
        "ERROR",
        None,
        None,
    ]
    assert failed.end_us < lost.end_us < won.end_us < arrived.call.end_us
    assert {span.parent for span in (failed, lost, won)} == {arrived.call.raw["spanID"]}
    assert arrived.call.parent is None
    assert [span.replaces for span in (failed, lost, won)] == [[], [failed.raw["spanID"]], [lost.raw["spanID"]]]


async def test_what_the_spans_say(sender: Sender, read_back: Any) -> None:
    """Names, kinds, links, costs and errors, by OpenTelemetry's conventions and under names of routeware's own."""
    providers = script(
        gemini=fails(5, HTTPStatusError(503)),
        bedrock=hangs(),
        mistral=uses(answers(30), input_tokens=200, output_tokens=300),
    )
    ask = providers.ask(
        race_after_ms=30,
        options=sender.options,
        links=priced(providers),
        label="chat",
    )

    record = (await ask.outcome("Why?")).record

    arrived = read_back(record)
    assert arrived.call.name == "routeware.call ask"
    said = {key: value for key, value in arrived.call.tags.items() if key.startswith("routeware.")}
    assert said == {
        "routeware.call.name": "ask",
        "routeware.policy.label": "chat",
        "routeware.policy.chain": '["gemini","bedrock","mistral"]',
        "routeware.policy.max_attempts": 3,
        "routeware.call.outcome": "succeeded",
        "routeware.call.raced": True,
        "routeware.call.failed_over": True,
        "routeware.call.trail": "gemini 503 overloaded, bedrock lost the race, mistral answered",
        "routeware.call.attempts": 3,
        "routeware.call.selected": "mistral",
        "routeware.call.cost_usd": 0.0028,
        "routeware.call.uncertain_usd": record.uncertain_usd,
        "routeware.call.wasted_usd": record.wasted_usd,
        "routeware.race.after_s": 0.03,
        "routeware.race.source": "fixed",
    }
    assert arrived.call.tags["span.kind"] == "internal"
    assert arrived.call.tags["otel.scope.name"] == "routeware"

    failed, lost, won = (arrived.attempts[label].tags for label in ("gemini", "bedrock", "mistral"))
    assert {arrived.attempts[label].name for label in arrived.attempts} == {"chat m"}
    assert {tags["span.kind"] for tags in (failed, lost, won)} == {"client"}
    assert [tags["gen_ai.provider.name"] for tags in (failed, lost, won)] == ["gcp.gemini", "aws.bedrock", "mistral_ai"]
    assert [tags["routeware.attempt.number"] for tags in (failed, lost, won)] == [1, 2, 3]
    assert [tags["routeware.attempt.trigger"] for tags in (failed, lost, won)] == ["initial", "failover", "race"]
    assert [tags["routeware.attempt.status"] for tags in (failed, lost, won)] == ["failed", "race_lost", "succeeded"]
    assert [tags["gen_ai.request.model"] for tags in (failed, lost, won)] == ["m", "m", "m"]
    assert [tags.get("routeware.cost.source") for tags in (failed, lost, won)] == [None, "estimated", "priced"]
    assert [tags["routeware.cost.usd"] for tags in (failed, lost, won)] == [0.0, record.attempts[1].cost_usd, 0.0028]
    assert won["gen_ai.usage.input_tokens"] == 200
    assert won["gen_ai.usage.output_tokens"] == 300
    assert failed["routeware.error.category"] == "overloaded"
    assert failed["http.response.status_code"] == 503
    assert failed["error.type"] == "tests.fakes.providers.HTTPStatusError"
    assert failed["otel.status_description"] == "overloaded 503 tests.fakes.providers.HTTPStatusError"


async def test_events_arrive(sender: Sender, read_back: Any) -> None:
    """On the call's span, with their fields; and one exception, without a stack trace, on the attempt that failed."""
    providers = script(a=fails(5, HTTPStatusError(503)), b=hangs(), c=answers(30))

    record = (await providers.ask(race_after_ms=30, options=sender.options).outcome()).record

    arrived = read_back(record)
    events = arrived.call.logs()
    assert list(events) == ["llm.routing.race_started", "llm.routing.race_lost", "llm.routing.race_won"]
    assert events["llm.routing.race_started"]["link"] == "c"
    assert events["llm.routing.race_started"]["against"] == "b"
    assert events["llm.routing.race_lost"] == {"link": "b"}
    assert arrived.attempts["a"].logs() == {
        "exception": {
            "exception.type": "tests.fakes.providers.HTTPStatusError",
            "exception.message": "overloaded 503 tests.fakes.providers.HTTPStatusError",
        }
    }


async def test_a_call_that_fails_over_to_nothing_is_red(sender: Sender, read_back: Any) -> None:
    """So are its attempts; and it says that the chain is exhausted."""
    providers = script(a=busy(), b=busy())

    with pytest.raises(HTTPStatusError) as raised:
        await providers.ask(options=sender.options)()

    arrived = read_back(record_of(raised.value))
    assert [span.tags["error"] for span in (arrived.call, *arrived.attempts.values())] == [True, True, True]
    assert arrived.call.tags["routeware.call.outcome"] == "failed"
    assert arrived.call.logs()["llm.routing.exhausted"] == {"attempts": 2, "link": "b"}


async def test_a_skipped_link_is_an_event(sender: Sender, read_back: Any) -> None:
    """It has no span; what it would have cost stands in the event."""
    providers = script(dear=answers(), cheap=answers())
    ask = providers.ask(usd={"dear": 3.0, "cheap": 0.5}, per_call_usd=1.0, on_exceed="skip", options=sender.options)

    record = (await ask.outcome()).record

    arrived = read_back(record)
    assert list(arrived.attempts) == ["cheap"]
    assert arrived.call.logs()["llm.routing.budget_exceeded"] == {
        "kind": "per_call",
        "limit_usd": 1.0,
        "projected_usd": 3.0,
        "committed_usd": 0.0,
        "on_exceed": "skip",
        "link": "dear",
    }


async def test_a_call_over_budget_is_red_and_has_no_attempt(sender: Sender, read_back: Any) -> None:
    """The session that refused is named."""
    providers = script(dear=answers())

    with pytest.raises(routeware.BudgetExceededError) as raised:
        async with routeware.session("tenant-7", limit_usd=1.0):
            await providers.ask(usd={"dear": 3.0}, options=sender.options)()

    arrived = read_back(record_of(raised.value))
    assert arrived.attempts == {}
    assert arrived.call.tags["error"] is True
    assert arrived.call.tags["routeware.call.outcome"] == "budget_exceeded"
    assert arrived.call.tags["routeware.session.name"] == "tenant-7"
    assert arrived.call.logs()["llm.routing.budget_exceeded"]["session"] == "tenant-7"


async def test_traces_are_found_by_what_people_look_for(jaeger: Jaeger, sender: Sender) -> None:
    """Races that were lost, errors, an outcome, a link, a session."""
    raced = script(a=hangs(), b=answers()).ask(race_after_ms=10, options=sender.options)
    failing = script(a=busy(), c=busy()).ask(options=sender.options)
    async with routeware.session("tenant-7"):
        won = (await raced.outcome()).record
    with pytest.raises(HTTPStatusError) as raised:
        await failing()
    lost = record_of(raised.value)
    assert lost is not None
    sender.flush()
    jaeger.has(sender.service, traces=2)

    def found(**tags: str) -> set[str]:
        return jaeger.search(sender.service, **tags)

    assert found(routeware__attempt__status="race_lost") == {won.trace_id}
    assert found(routeware__session__name="tenant-7") == {won.trace_id}
    assert found(error="true") == {lost.trace_id}
    assert found(routeware__call__outcome="failed") == {lost.trace_id}
    assert found(routeware__error__category="overloaded", http__response__status_code="503") == {lost.trace_id}
    assert found(routeware__link__label="a") == {won.trace_id, lost.trace_id}
