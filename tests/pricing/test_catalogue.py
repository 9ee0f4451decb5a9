"""Prices from the kept catalogue: found once per link, asked at the time and for the usage of each attempt."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import attrs
import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
)

from routeware import Attempt, Price, RoutingPolicy, Usage, routed
from routeware.contrib.genai_prices import Catalogue, catalogue
from tests.fakes.catalogues import a_snapshot

MAY = datetime(2026, 5, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def small() -> Iterator[Catalogue]:
    """The book over a catalogue whose figures are known."""
    set_custom_snapshot(a_snapshot())
    yield catalogue()
    set_custom_snapshot(None)


def cost(book: Catalogue, model: str, usage: Usage, at: datetime = MAY, provider: str = "openai") -> float | None:
    """What the book says that costs."""
    tariff = book.find(provider, model)
    assert tariff is not None
    return tariff.cost_usd(usage, at)


def test_input_output_and_cached_input_have_their_prices(small: Catalogue) -> None:
    """Cached input is part of the input, and costs its own price instead."""
    usage = Usage(input_tokens=1_000_000, output_tokens=100_000, cached_input_tokens=400_000)

    assert cost(small, "plain", usage) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 10)


def test_what_the_catalogue_has_no_price_for_costs_as_its_kind(small: Catalogue) -> None:
    """Writing a cache as input, reasoning as output."""
    usage = Usage(input_tokens=1_000_000, output_tokens=100_000, cache_write_tokens=500_000, reasoning_tokens=50_000)

    assert cost(small, "plain", usage) == pytest.approx(2 + 0.1 * 10)


def test_cache_writes_reasoning_and_requests_have_their_prices_where_there_are(small: Catalogue) -> None:
    """Each of them once."""
    usage = Usage(input_tokens=100_000, output_tokens=100_000, cache_write_tokens=40_000, reasoning_tokens=50_000)

    assert cost(small, "tiered", usage) == pytest.approx(0.06 * 1 + 0.04 * 3 + 0.05 * 4 + 0.05 * 6 + 0.005)


def test_the_price_depends_on_the_date(small: Catalogue) -> None:
    """Of the attempt, not of the look-up."""
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)

    assert (cost(small, "dated", usage, MAY), cost(small, "dated", usage, JULY)) == (12, 3)
    tariff = small.find("openai", "dated")
    assert tariff is not None
    assert tariff.price(MAY) == Price(input_usd_per_mtok=4, output_usd_per_mtok=8)
    assert tariff.price(JULY) == Price(input_usd_per_mtok=1, output_usd_per_mtok=2)


def test_the_price_depends_on_the_amount(small: Catalogue) -> None:
    """A long prompt is dearer as a whole; the record shows the price below every threshold."""
    assert cost(small, "tiered", Usage(input_tokens=200_000, output_tokens=0)) == pytest.approx(0.205)
    assert cost(small, "tiered", Usage(input_tokens=300_000, output_tokens=0)) == pytest.approx(0.605)
    tariff = small.find("openai", "tiered")
    assert tariff is not None
    assert tariff.price(MAY) == Price(
        input_usd_per_mtok=1, output_usd_per_mtok=4, cache_write_usd_per_mtok=3, request_usd=0.005
    )


def test_the_price_depends_on_what_else_is_said(small: Catalogue) -> None:
    """A service tier, a batch."""
    usage = Usage(input_tokens=1_000_000, output_tokens=0)

    assert cost(small, "plain", usage) == 2
    assert cost(catalogue({"service_tier": "flex"}), "plain", usage) == 1
    assert cost(catalogue({"service_tier": "other"}), "plain", usage) == 2


def test_the_price_is_that_of_the_tier_that_the_reply_names(small: Catalogue) -> None:
    """Asking for a tier does not mean to be served there, so the reply's word goes over what was asked for."""
    asked_for_flex = catalogue({"service_tier": "flex"})
    usage = Usage(input_tokens=1_000_000, output_tokens=0)

    assert cost(small, "plain", attrs.evolve(usage, service_tier="flex")) == 1
    assert cost(small, "plain", attrs.evolve(usage, service_tier="default")) == 2
    assert cost(asked_for_flex, "plain", attrs.evolve(usage, service_tier="default")) == 2


def test_what_was_counted_and_has_no_price_is_named(small: Catalogue) -> None:
    """A tier that the catalogue does not know, or that a reseller serves; a search that it has no price for."""
    used = Usage(input_tokens=10, output_tokens=0, web_searches=2, service_tier="priority")
    plain, resold = small.find("openai", "plain"), small.find("azure", "plain")
    assert plain is not None
    assert resold is not None

    assert plain.unpriced(used, MAY) == ("web_searches", "service_tier")
    assert plain.unpriced(attrs.evolve(used, web_searches=0, service_tier="flex"), MAY) == ()
    assert plain.unpriced(attrs.evolve(used, web_searches=None, service_tier="on_demand"), MAY) == ()
    assert resold.unpriced(attrs.evolve(used, web_searches=None, service_tier="flex"), MAY) == ("service_tier",)


def test_missing_counts_are_unknown_and_zero_is_a_number(small: Catalogue) -> None:
    """Unless they cost nothing anyway."""
    assert cost(small, "plain", Usage(input_tokens=5)) is None
    assert cost(small, "plain", Usage(output_tokens=5)) is None
    assert cost(small, "plain", Usage(input_tokens=0, output_tokens=0)) == 0
    assert cost(small, "embedding", Usage(input_tokens=1_000_000)) == pytest.approx(0.1)


def test_counts_that_contradict_are_unknown(small: Catalogue) -> None:
    """More from the cache than was sent."""
    assert cost(small, "plain", Usage(input_tokens=1, output_tokens=0, cached_input_tokens=2)) is None


def test_sound_and_cache_that_may_overlap_are_priced() -> None:
    """No provider says how much of the cached input was sound; the least is assumed, which is the dearest."""
    models = {(provider.id, model.id) for provider in get_snapshot().providers for model in provider.models}
    usage = Usage(
        input_tokens=1000,
        output_tokens=1000,
        cached_input_tokens=400,
        cache_write_tokens=100,
        cache_write_1h_tokens=50,
        reasoning_tokens=700,
        input_audio_tokens=700,
        output_audio_tokens=500,
        web_searches=2,
    )

    tariffs = [catalogue().find(*names) for names in sorted(models)]

    assert [tariff.matched for tariff in tariffs if tariff and tariff.cost_usd(usage, JULY) is None] == []


def test_names_that_are_not_there_are_not_guessed(small: Catalogue) -> None:
    """A price that nobody knows is not that of another model; the nearest names are said instead."""
    assert small.find("openai", "unknown-model") is None
    assert small.find("nobody", "plain") is None
    assert small.nearest("openai", "plane")[0] == "openai:plain"
    assert small.nearest("opnai", "plain")[0] == "openai:plain"
    assert small.nearest("nobody", "zzzzzzzzzzzzzzzz") == []


def test_a_model_that_another_offers_is_found_there(small: Catalogue) -> None:
    """Where the catalogue says that its maker's price holds."""
    assert cost(small, "plain", Usage(input_tokens=1_000_000, output_tokens=0), provider="azure") == 2
    found = small.find("azure", "plain-2026")
    assert found is not None
    assert found.matched == "azure:plain"


def test_a_catalogue_that_is_updated_is_used_at_once(small: Catalogue) -> None:
    """By tariffs that were found before, too; a model that is gone keeps the price it had."""
    tariff = small.find("openai", "plain")
    assert tariff is not None
    usage = Usage(input_tokens=1_000_000, output_tokens=0)

    set_custom_snapshot(a_snapshot("7"))
    assert tariff.cost_usd(usage, MAY) == 7
    set_custom_snapshot(DataSnapshot([], from_auto_update=True))
    assert tariff.cost_usd(usage, MAY) == 7


@pytest.mark.parametrize(
    ("names", "catalogued"),
    [
        (("openai", "OpenAI", "azure.ai.openai"), "openai"),
        (("anthropic", "Anthropic", "claude"), "anthropic"),
        (("aws.bedrock", "bedrock", "aws", "amazon_bedrock"), "aws"),
        (("azure", "azure.ai.inference"), "azure"),
        (("gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai", "gemini", "google", "vertex_ai", "google-vertex"), "google"),
        (("mistral_ai", "mistral", "mistralai"), "mistral"),
        (("x_ai", "xai", "x-ai", "grok"), "x-ai"),
        (("cohere",), "cohere"),
        (("deepseek", "DeepSeek"), "deepseek"),
        (("groq",), "groq"),
        (("perplexity",), "perplexity"),
        (("moonshot_ai", "moonshotai"), "moonshotai"),
        (("together_ai", "together"), "together"),
        (("openrouter",), "openrouter"),
    ],
)
def test_providers_are_known_by_their_usual_names(names: tuple[str, ...], catalogued: str) -> None:
    """OpenTelemetry's and people's."""
    provider = get_snapshot().find_provider(None, catalogued, None)
    model = next(one.id for one in provider.models if provider.find_model(one.id) is one)
    for name in names:
        found = catalogue().find(name, model)
        assert found is not None, name
        assert found.matched.startswith(f"{catalogued}:")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("anthropic", "claude-3-5-haiku-latest"),
        ("gcp.gemini", "gemini-2.5-flash"),
        ("mistral_ai", "mistral-large-latest"),
        ("aws.bedrock", "anthropic.claude-3-haiku-20240307-v1:0"),
    ],
)
def test_models_of_every_day_have_a_price(provider: str, model: str) -> None:
    """In the catalogue as it is installed."""
    found = catalogue().find(provider, model)
    assert found is not None
    amount = found.cost_usd(Usage(input_tokens=1000, output_tokens=100), datetime.now(UTC))
    assert amount is not None
    assert 0 < amount < 1
    assert found.price(datetime.now(UTC)).input_usd_per_mtok > 0


def test_a_provider_may_have_names_of_its_own_for_models() -> None:
    """Fireworks names models by their path."""
    models = get_snapshot().find_provider(None, "fireworks", None).models
    path = next(one.match.equals for one in models if isinstance(one.match, ClauseEquals))
    for provider in ("fireworks", "fireworks_ai"):
        found = catalogue().find(provider, path)
        assert found is not None
        assert found.matched.startswith("fireworks:")


async def test_a_call_is_priced_by_it(small: Catalogue) -> None:
    """As by any price book: the price in the record, the cost by usage."""

    @routed(RoutingPolicy.from_dict({"chain": ["openai:plain"]}), prices=small)
    async def ask(attempt: Attempt) -> None:
        attempt.report_usage(input_tokens=1_000_000, output_tokens=0)

    record = (await ask.outcome()).record

    assert (record.cost_usd, record.attempts[0].cost_source) == (2, "priced")
    assert record.attempts[0].price == small.find("openai", "plain").price(MAY)  # type: ignore[union-attr]


def test_it_is_imported_when_it_is_used() -> None:
    """A third of a second, for those who ask for it."""
    said = "import sys, routeware.contrib.genai_prices; print('genai_prices' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
