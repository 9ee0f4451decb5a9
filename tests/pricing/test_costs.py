"""What providers bill for what they counted, to the nano-dollar: by a link's own price and by the catalogue."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from routeware import Price, Tariff, Usage
from routeware.contrib.genai_prices import catalogue
from routeware.money import meter, nanos, per_request, reported_nanos, unpriced_by, usd
from routeware.pricing import read_reply

AT = datetime(2026, 11, 28, 20, tzinfo=UTC)

SONNET = Price(
    input_usd_per_mtok=3,
    output_usd_per_mtok=15,
    cached_input_usd_per_mtok=0.3,
    cache_write_usd_per_mtok=3.75,
    cache_write_1h_usd_per_mtok=6,
    web_search_usd=0.01,
)
SONNET_REPLY: dict[str, Any] = {
    "type": "message",
    "model": "claude-sonnet-4-5",
    "usage": {
        "input_tokens": 500,
        "cache_read_input_tokens": 400,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 100},
        "output_tokens": 100,
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "standard",
    },
}
GPT_5: dict[str, Any] = {
    "model": "gpt-5-2025-08-07",
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 600},
        "completion_tokens_details": {"reasoning_tokens": 150},
    },
}
DEEPSEEK: dict[str, Any] = {
    "model": "deepseek-chat",
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 10,
        "total_tokens": 1010,
        "prompt_cache_hit_tokens": 900,
        "prompt_cache_miss_tokens": 100,
    },
}


class Charge(NamedTuple):
    """What a usage costs, and what was counted without a price."""

    nanos: int | None
    unpriced: tuple[str, ...]


def charge(tariff: Tariff, usage: Usage, at: datetime) -> Charge:
    """Price a usage."""
    amount = tariff.cost_usd(usage, at)
    return Charge(None if amount is None else nanos(amount), unpriced_by(tariff, usage, at))


def catalogued(provider: str, model: str, reply: object, at: datetime = AT) -> Charge:
    """Price a reply by the catalogue."""
    tariff, usage = catalogue().find(provider, model), read_reply(reply).usage
    assert tariff is not None
    assert usage is not None
    return charge(tariff, usage, at)


def test_anthropics_cache_for_an_hour_and_its_searches() -> None:
    """500 tokens, 400 read from a cache, 100 written for an hour, 100 of answer, 2 searches: $0.02372."""
    usage = read_reply(SONNET_REPLY).usage
    assert usage is not None

    assert SONNET.cost_usd(usage) == 0.02372
    assert catalogued("anthropic", "claude-sonnet-4-5", SONNET_REPLY) == Charge(23_720_000, ())


@pytest.mark.parametrize(("tier", "factor"), [("default", 1), ("flex", 0.5), ("priority", 2)])
def test_gpt_5_costs_what_its_tier_costs(tier: str, factor: float) -> None:
    """Flex is half, priority is twice; the reply says which of them it was."""
    plain = (400 * 1.25 + 600 * 0.125 + 200 * 10) / 1e6

    told = catalogued("openai", "gpt-5", {**GPT_5, "service_tier": tier})

    assert (usd(told.nanos or 0), told.unpriced) == (pytest.approx(plain * factor, abs=1e-12), ())


def test_deepseeks_cache_hits() -> None:
    """Nine tenths of the prompt at a tenth of the price; off-peak it is all half of that."""
    own = Price(input_usd_per_mtok=0.28, output_usd_per_mtok=0.42, cached_input_usd_per_mtok=0.028)
    usage = read_reply(DEEPSEEK).usage
    assert usage is not None

    assert own.cost_usd(usage) == round((100 * 0.28 + 900 * 0.028 + 10 * 0.42) / 1e6, 9)
    peak = catalogued("deepseek", "deepseek-chat", DEEPSEEK, datetime(2025, 6, 2, 3, tzinfo=UTC))
    assert peak.nanos == (100 * 270 + 900 * 70 + 10 * 1100)


def test_a_price_that_is_absent_is_that_of_its_kind_and_a_search_is_unknown() -> None:
    """Cache writes as input, for an hour as for five minutes, sound as text; only a search has no kind."""
    used = Usage(
        input_tokens=1_000_000,
        output_tokens=1_000_000,
        cached_input_tokens=100_000,
        cache_write_tokens=200_000,
        cache_write_1h_tokens=100_000,
        input_audio_tokens=100_000,
        output_audio_tokens=500_000,
        web_searches=3,
    )

    plain = Price(input_usd_per_mtok=1, output_usd_per_mtok=10)
    written = Price(input_usd_per_mtok=1, cache_write_usd_per_mtok=2)
    spoken = Price(output_usd_per_mtok=10, output_audio_usd_per_mtok=80, input_audio_usd_per_mtok=40)

    assert charge(plain, used, AT) == Charge(11_000_000_000, ("web_searches",))
    assert charge(written, used, AT) == Charge(1_200_000_000, ("web_searches",))
    assert charge(spoken, used, AT) == Charge(5_000_000_000 + 40_000_000_000 + 4_000_000_000, ("web_searches",))
    assert charge(Price(web_search_usd=0.0), used, AT) == Charge(0, ())
    assert charge(Price(web_search_usd=0.25), used, AT) == Charge(750_000_000, ())


def test_parts_that_are_more_than_the_whole_are_cut() -> None:
    """Counts that contradict each other never cost less than the parts that fit."""
    used = Usage(input_tokens=100, output_tokens=0, cached_input_tokens=80, cache_write_tokens=80)

    assert SONNET.cost_nanos(used) == 80 * 300 + 20 * 3750
    assert SONNET.cost_nanos(Usage(input_tokens=0, output_tokens=5, output_audio_tokens=9)) == 5 * 15_000


def test_a_count_that_costs_and_is_missing_is_unknown() -> None:
    """Also where only a part of it costs: nobody says how large that part is of nothing."""
    assert meter(Price(cache_write_usd_per_mtok=1))(Usage(output_tokens=1)) is None
    assert meter(Price(output_audio_usd_per_mtok=1))(Usage(input_tokens=1)) is None
    assert meter(Price(request_usd=0.5))(Usage()) == 500_000_000
    assert not per_request(Price(output_audio_usd_per_mtok=1))
    assert per_request(Price(request_usd=1, web_search_usd=1))


class Flat:
    """A tariff of somebody's own."""

    def __init__(self, amount: float | None) -> None:
        self.amount = amount

    def cost_usd(self, usage: Usage, at: datetime, /) -> float | None:
        return self.amount

    def price(self, at: datetime, /) -> Price | None:
        return None


class FlatWithGaps(Flat):
    def unpriced(self, usage: Usage, at: datetime, /) -> list[str]:
        return ["web_searches"]


def test_a_tariff_may_name_what_it_has_no_price_for() -> None:
    """The method is optional: tariffs that people have need not change."""
    assert charge(Flat(0.5), Usage(), AT) == Charge(500_000_000, ())
    assert charge(FlatWithGaps(None), Usage(), AT) == Charge(None, ("web_searches",))


@pytest.mark.parametrize("count", [-1, 1.5, True, "3", 2**53 + 1, float("nan"), pytest.param(10**5000, id="long")])
def test_usage_refuses_what_is_no_count(count: Any) -> None:
    """And names the field, in a line of readable length."""
    with pytest.raises(ValueError, match=r"^web_searches: tokens are a whole number") as refused:
        Usage(web_searches=count)

    assert len(str(refused.value)) < 250


def test_usage_takes_whole_floats_and_texts() -> None:
    """A count may come out of JSON as 17.0; a tier is a text."""
    assert Usage(input_tokens=17.0, service_tier="flex") == Usage(input_tokens=17, service_tier="flex")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="service_tier is a text"):
        Usage(service_tier=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("told", "nanos"), [(0.5, 500_000_000), (0, 0), (1e12, 10**21), (1.1e12, None), (-1, None)])
def test_a_reported_cost_is_an_amount_or_nothing(told: float, nanos: int | None) -> None:
    """A provider's mistake is no reason to lose its answer."""
    assert reported_nanos(told) == nanos
