"""A price catalogue whose figures are known."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import (
    ClauseEquals,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
)

__all__ = ["a_snapshot", "mtok"]


def mtok(dollars: str) -> Decimal:
    """Dollars for a million tokens."""
    return Decimal(dollars)


def a_snapshot(plain_input: str = "2") -> DataSnapshot:
    """A small catalogue: a plain model, one that becomes cheaper in June, one with a threshold, one without output."""
    plain = ModelPrice(input_mtok=mtok(plain_input), output_mtok=mtok("10"), cache_read_mtok=mtok("0.5"))
    models = [
        ModelInfo(
            "plain",
            ClauseStartsWith("plain"),
            prices=plain,
            price_variants=[PriceVariant({"service_tier": "flex"}, ModelPrice(input_mtok=mtok("1")))],
        ),
        ModelInfo(
            "dated",
            ClauseEquals("dated"),
            prices=[
                ConditionalPrice(prices=ModelPrice(input_mtok=mtok("4"), output_mtok=mtok("8"))),
                ConditionalPrice(
                    prices=ModelPrice(input_mtok=mtok("1"), output_mtok=mtok("2")),
                    constraint=StartDateConstraint(date(2026, 6, 1)),
                ),
            ],
        ),
        ModelInfo(
            "tiered",
            ClauseEquals("tiered"),
            prices=ModelPrice(
                input_mtok=TieredPrices(mtok("1"), [Tier(200_000, mtok("2"))]),
                output_mtok=mtok("4"),
                cache_write_mtok=mtok("3"),
                output_reasoning_mtok=mtok("6"),
                requests_kcount=mtok("5"),
            ),
        ),
        ModelInfo("embedding", ClauseEquals("embedding"), prices=ModelPrice(input_mtok=mtok("0.1"))),
    ]
    maker = Provider("openai", "OpenAI", "https://api", models=models)
    seller = Provider("azure", "Azure", "https://azure", fallback_model_providers=["openai"])
    return DataSnapshot([maker, seller], from_auto_update=False)
