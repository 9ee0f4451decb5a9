"""What replies tell of their cost: read part by part, believed over a price, and said once where it can't be."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import routeware
from routeware import Attempt, Link, Price, RoutingPolicy, Usage, record_of, routed
from tests.fakes.tracing import Traces

PRICE = Price(input_usd_per_mtok=3, output_usd_per_mtok=15)
CHAT = {"prompt_tokens": 1000, "completion_tokens": 50}
START = {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 1000, "output_tokens": 1}}}
END = {"type": "message_delta", "usage": {"output_tokens": 50}}


def reporting(*replies: object, price: Price | None = PRICE, result: object = None, **options: Any) -> Any:
    """Build a routed function that reports these replies and gives ``result``."""

    @routed(RoutingPolicy(chain=[Link(provider="a", model="m", price=price)]), **options)
    async def ask(attempt: Attempt) -> object:
        for reply in replies:
            assert attempt.report(reply) is reply
        return result

    return ask


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was warned of."""
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_a_streams_reports_add_up_to_one_usage() -> None:
    """The input is in its first event, the output in its last: neither takes the other away."""
    record = (await reporting(START, END).outcome()).record

    assert record.attempts[0].usage == Usage(input_tokens=1000, output_tokens=50)
    assert (record.cost_usd, record.uncertain_usd) == (0.00375, 0.0)
    assert record.attempts[0].cost_source == "priced"


async def test_a_cost_that_the_reply_tells_is_believed_over_a_price() -> None:
    """OpenRouter knows what it bills; reported or given as the result."""
    told = {"usage": {**CHAT, "cost": 0.5}}

    for record in ((await reporting(told).outcome()).record, (await reporting(result=told).outcome()).record):
        (attempt,) = record.attempts
        assert (attempt.cost_usd, attempt.cost_source, attempt.unpriced) == (0.5, "reported", ())
        assert attempt.usage == Usage(input_tokens=1000, output_tokens=50)


async def test_a_cost_said_by_hand_outranks_one_that_is_only_found_in_the_result() -> None:
    """What is said on purpose counts, whichever comes first."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> object:
        attempt.report_cost(0.25)
        return {"usage": {**CHAT, "cost": 0.5}}

    assert (await ask.outcome()).record.cost_usd == 0.25


async def test_a_bare_usage_object_may_be_reported() -> None:
    """Some SDKs give it apart from the answer."""
    assert (await reporting(CHAT).outcome()).record.cost_usd == 0.00375


async def test_what_was_counted_and_has_no_price_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """In the record, on the span, and in one warning: a cap can't hold what is in no figure."""
    traces = Traces()
    reply = {"usage": {**CHAT, "server_tool_use": {"web_search_requests": 2}}}
    ask = reporting(reply, **traces.options)

    record = (await ask.outcome()).record
    span = traces.attempts["a:m"]
    await ask()

    assert record.attempts[0].unpriced == ("web_searches",)
    assert record.cost_usd == 0.00375
    assert record.to_dict()["attempts"][0]["unpriced"] == ["web_searches"]
    assert (span.attributes or {})["routeware.cost.unpriced"] == ("web_searches",)
    (line,) = warnings(caplog)
    assert "web_searches was counted and has no price" in line

    priced = reporting(reply, price=Price(web_search_usd=0.01))
    assert (await priced.outcome()).record.attempts[0].unpriced == ()


async def test_an_answer_without_readable_usage_is_warned_of_once_per_link(caplog: pytest.LogCaptureFixture) -> None:
    """It is booked at its projection for as long as nobody notices."""
    ask = reporting(result=object())
    for _ in range(2):
        assert (await ask.outcome()).record.uncertain_usd > 0

    (line,) = warnings(caplog)
    assert line.startswith("a:m answered with object, in which no usage can be read")
    assert "attempt.report()" in line

    caplog.clear()
    await reporting(result={"usage": {"completion_tokens": 5}}).outcome()
    assert "not all usage can be read" in warnings(caplog)[0]


async def test_what_is_known_of_a_usage_is_booked_though_the_projection_is_less() -> None:
    """A million tokens of input at $2.50 cost that much, whatever the missing count of the output adds."""
    price = Price(input_usd_per_mtok=2.50, output_usd_per_mtok=10.00, request_usd=0.01)

    record = (await reporting({"usage": {"prompt_tokens": 1_000_000}}, price=price).outcome()).record

    assert (record.cost_usd, record.uncertain_usd) == (0.0, 2.51)
    assert record.attempts[0].cost_source == "estimated"


async def test_a_link_without_a_price_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing that its usage would be needed for."""
    await reporting(result=object(), price=None).outcome()

    assert warnings(caplog) == []


async def test_counts_that_are_none_are_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A proxy's odd number must not lose the answer that it came with."""
    ask = reporting({"usage": {**CHAT, "total_tokens": 10**20, "cost": -1}})
    for _ in range(2):
        assert (await ask.outcome()).record.cost_usd == 0.00375

    (line,) = warnings(caplog)
    assert line.startswith("a:m: total_tokens, cost of a reply can't be what was used")


async def test_a_reported_cost_that_is_absurd_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """Above 10^12 dollars; what is no amount at all is the provider function's own mistake."""

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt, amount: float) -> None:
        attempt.report_cost(amount)

    assert (await ask.outcome(1.1e12)).record.cost_usd is None
    assert (await ask.outcome(10**400)).record.cost_usd is None
    assert (await ask.outcome(1e12)).record.cost_usd == 1e12
    assert len(warnings(caplog)) == 1
    with pytest.raises(ValueError, match=r"^report_cost: nan "):
        await ask(float("nan"))


async def test_everything_that_is_billed_can_be_said_by_hand() -> None:
    """Every field of Usage, and again by parts."""
    price = Price(web_search_usd=0.01, cache_write_usd_per_mtok=2, cache_write_1h_usd_per_mtok=4)

    @routed(RoutingPolicy(chain=[Link(provider="a", model="m", price=price)]))
    async def ask(attempt: Attempt) -> None:
        attempt.report_usage(input_tokens=1000, cache_write_tokens=500, cache_write_1h_tokens=250)
        attempt.report_usage(input_audio_tokens=1, output_audio_tokens=1, reasoning_tokens=1, cached_input_tokens=1)
        attempt.report_usage(output_tokens=10, web_searches=3, service_tier="flex\ud83e")

    (attempt,) = (await ask.outcome()).record.attempts

    assert attempt.cost_usd == 0.03 + (250 * 2 + 250 * 4) / 1e6
    assert attempt.usage is not None
    assert attempt.usage.service_tier == "flex\ufffd"


async def test_one_odd_answer_does_not_price_a_link_out() -> None:
    """Projections learn from the last thousand answers, and believe an absurd one when another confirms it."""
    replies = [{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 10**10}, CHAT, CHAT]
    policy = RoutingPolicy(chain=[Link(provider="a", model="m", price=Price(output_usd_per_mtok=10))])

    @routed(policy)
    async def ask(attempt: Attempt) -> None:
        attempt.report(replies.pop())

    for _ in range(3):
        await ask()
    async with routeware.session(limit_usd=0.02) as spending:

        @ask.accept
        def look(_: None) -> bool:
            reserved.append(spending.reserved_usd)
            return True

        reserved: list[float] = []
        replies.append(CHAT)
        await ask()

    assert reserved == [0.01024]


async def test_the_output_of_a_stream_is_learned_once() -> None:
    """Its first event counts one token, and is no answer of its own."""
    for _ in range(2):
        await reporting(START, END)()
    link = Link(provider="a", model="m", price=Price(output_usd_per_mtok=10), max_output_tokens=2**60)

    @routed(RoutingPolicy(chain=[link]))
    async def ask(attempt: Attempt) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError) as raised:
        await ask()
    record = record_of(raised.value)
    assert record is not None
    assert record.uncertain_usd == pytest.approx(2**53 * 10 / 1e6)
