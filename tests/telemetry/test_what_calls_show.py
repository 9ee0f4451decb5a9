"""What a call shows at a glance: its trail, whether it raced or failed over, and what it waited for."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

import routeware
from routeware import Attempt, AttemptStatus, CallRecord, Link, Price, RoutingPolicy, Usage, record_of, routed
from tests.fakes.ledgers import Remote
from tests.fakes.providers import answers, pause, script
from tests.fakes.tracing import Traces

USAGE = {"prompt_tokens": 3, "completion_tokens": 4}


class BusyError(Exception):
    status_code = 429


async def told(policy: RoutingPolicy, run: Any) -> tuple[CallRecord, dict[str, Any]]:
    """Run one call; return its record and the attributes of its span."""
    traces = Traces()

    @routed(policy, **traces.options)
    async def ask(attempt: Attempt) -> object:
        return await run(attempt)

    try:
        record = (await ask.outcome()).record
    except OSError as error:
        found = record_of(error)
        assert found is not None
        record = found
    return record, dict(traces.call.attributes or {})


def shown(span: dict[str, Any]) -> tuple[object, object, object]:
    """Return what a span shows at a glance."""
    return tuple(span[f"routeware.call.{name}"] for name in ("raced", "failed_over", "trail"))  # type: ignore[return-value]


async def test_a_call_that_failed_over() -> None:
    """By the models' names, as people speak of them."""

    async def run(attempt: Attempt) -> None:
        if attempt.number == 1:
            raise BusyError

    record, span = await told(RoutingPolicy(chain=["openai:gpt-4o", "mistral:large"]), run)

    assert (record.raced, record.failed_over) == (False, True)
    assert record.trail() == "gpt-4o 429 rate_limit, large answered"
    assert shown(span) == (False, True, record.trail())


async def test_a_call_that_raced() -> None:
    """The loser is named as what it is."""

    async def run(attempt: Attempt) -> None:
        await pause(100 if attempt.number == 1 else 1)

    policy = RoutingPolicy(chain=["openai:gpt-4o", "mistral:large"], latency={"race_after_ms": 10})
    record, span = await told(policy, run)

    assert (record.raced, record.failed_over) == (True, False)
    assert record.trail() == "gpt-4o lost the race, large answered"
    assert shown(span) == (True, False, record.trail())


async def test_names_that_are_not_clear_are_told_in_full() -> None:
    """One model at two providers, and a link that has a label of its own."""

    async def run(attempt: Attempt) -> None:
        raise TimeoutError if attempt.number == 1 else ConnectionResetError

    chain = ["openai:gpt", "azure:gpt", Link(provider="c", model="d", label="spare")]
    record, span = await told(RoutingPolicy(chain=chain, failover={"on_error_kinds": "default"}), run)

    assert record.trail() == "openai:gpt timeout, azure:gpt transient_network, spare transient_network"
    assert shown(span) == (False, True, record.trail())


async def test_a_plain_call() -> None:
    """One attempt, and nothing more to tell."""

    async def run(attempt: Attempt) -> None:
        """Answer."""

    record, span = await told(RoutingPolicy(chain=["openai:gpt-4o"]), run)

    assert shown(span) == (False, False, "gpt-4o answered")
    assert json.loads(json.dumps(record.to_dict()))["attempts"][0]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (AttemptStatus.SKIPPED, "was skipped"),
        (AttemptStatus.REJECTED, "was rejected"),
        (AttemptStatus.CANCELLED, "was cancelled"),
        (AttemptStatus.FAILED, "failed"),
    ],
)
def test_every_status_has_its_words(status: AttemptStatus, words: str) -> None:
    """A record that was stored may have any of them."""
    from routeware.records import trail_of

    assert trail_of([(Link(provider="a", model="m"), status, None)]) == f"m {words}"
    assert trail_of([]) == ""


async def test_tokens_may_be_left_to_other_instrumentation() -> None:
    """A viewer adds up what both spans say; costs are told by nobody else."""
    reply = {"model": "gpt-4o-2024", "usage": USAGE}
    spans = []
    for usage_on_spans in (True, False):
        traces = Traces()
        price = Price(input_usd_per_mtok=1)

        @routed(
            RoutingPolicy(chain=[Link(provider="a", model="m", price=price)]),
            usage_on_spans=usage_on_spans,
            **traces.options,
        )
        async def ask(attempt: Attempt) -> object:
            return reply

        record = (await ask.outcome()).record
        assert record.attempts[0].usage == Usage(input_tokens=3, output_tokens=4)
        spans.append(dict(traces.attempts["a:m"].attributes or {}))

    told_all, told_less = spans
    assert told_all.keys() - told_less.keys() == {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"}
    assert told_less["gen_ai.response.model"] == "gpt-4o-2024"
    assert told_less["routeware.cost.usd"] == 3e-6


async def test_an_attempt_says_how_long_it_waited_for_a_ledger() -> None:
    """Before its start, so it is in the call's duration only; a backup's wait is told, too."""
    traces = Traces()
    providers = script(a=answers(500), b=answers(0))
    ask = providers.ask(usd={"a": 0.25, "b": 0.25}, race_after_ms=100, options=traces.options)

    async with routeware.session("day", limit_usd=1, ledger=Remote(hold_ms=[50, 50])):
        await ask()

    waits = {label: (span.attributes or {})["routeware.ledger.wait_s"] for label, span in traces.attempts.items()}
    assert waits == {"a": pytest.approx(0.05), "b": pytest.approx(0.05)}

    bare = Traces()
    await script(a=answers(0)).ask(options=bare.options)()
    assert "routeware.ledger.wait_s" not in (bare.attempts["a"].attributes or {})


BAD = "bad\ud83e\n"


async def test_text_that_is_not_ours_can_be_exported_and_does_not_forge_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Names of sessions, links and policies, attributes and error texts: one lone surrogate would lose the batch."""
    traces = Traces()
    settings = {"label": BAD, "chain": [{"provider": BAD, "model": BAD * 100}], "observe": {"error_messages": True}}

    @routed(RoutingPolicy.from_dict(settings), name=BAD, operation=BAD, **traces.options)
    async def ask(attempt: Attempt) -> None:
        attempt.report({"model": BAD, "usage": USAGE})
        raise ValueError(BAD)

    with caplog.at_level(logging.DEBUG, "routeware"):
        async with routeware.session(BAD, attributes={"tenant": BAD}):
            with pytest.raises(ValueError, match="bad"):
                await ask()

    assert len(traces.spans) == 2
    for span in traces.spans:
        texts = [span.name, span.status.description or ""]
        for held in (span.attributes or {}, *(event.attributes or {} for event in span.events)):
            texts += [str(value) for value in held.values()]
        for text in texts:
            text.encode()
    for record in caplog.records:
        record.getMessage().encode()
        assert "\n" not in record.getMessage()
    assert "routeware.session.name" in (traces.call.attributes or {})
