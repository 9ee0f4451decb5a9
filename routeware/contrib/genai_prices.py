"""Prices from the catalogue that the package ``genai-prices`` keeps.

Its import takes a third of a second and a look-up tens of microseconds, so it is imported when :func:`catalogue` is
called, and what a link's name matches is found once. The price is asked for at the time of the attempt and for its
usage, because many of its prices have a date from which they hold, or depend on how long the prompt was.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING

import attrs

from routeware.money import Price, Usage

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

__all__ = ["Catalogue", "CatalogueTariff", "catalogue"]

# Spellings, OpenTelemetry's among them, that the catalogue does not know by itself.
_PROVIDERS = {
    "azure.ai.inference": "azure",
    "claude": "anthropic",
    "fireworks_ai": "fireworks",
    "gcp.gen_ai": "google",
    "grok": "x-ai",
    "x_ai": "x-ai",
}
_NEAREST = 3
_ALIKE = 0.5


def catalogue(context: Mapping[str, str] | None = None) -> Catalogue:
    """The catalogue as a price book, for ``routed(..., prices=catalogue())``.

    Args:
        context: what else prices depend on, as the catalogue calls it: ``{"service_tier": "priority"}``,
            ``{"processing": "batch"}``.

    Raises:
        ModuleNotFoundError: genai-prices is not installed: ``pip install 'routeware[prices]'``.
    """
    import genai_prices

    return Catalogue(genai_prices.__version__, dict(context or {}))


@attrs.frozen
class Catalogue:
    """A price book over genai-prices. What it is updated to while the program runs (``UpdatePrices``) is used at once.

    Attributes:
        version: of the package.
        context: what else prices depend on.
    """

    version: str
    context: dict[str, str]

    def find(self, provider: str, model: str, /) -> CatalogueTariff | None:
        """The tariff of the model that the catalogue matches to these names; ``None`` where there is none.

        The provider may be spelled as OpenTelemetry does, as the catalogue does, and in most of the ways people do. A
        model that another provider offers has the price of that provider, not its maker's.
        """
        snapshot = _snapshot()
        found = _look_up(snapshot, provider, model)
        return None if found is None else CatalogueTariff(provider, model, self.context, snapshot, *found)

    def nearest(self, provider: str, model: str) -> list[str]:
        """The names in the catalogue that look most like this link, best first; at most three."""
        snapshot = _snapshot()
        known = _find_provider(snapshot, provider)
        here = [known] if known is not None else snapshot.providers
        names = {f"{one.id}:{entry.id}".lower(): f"{one.id}:{entry.id}" for one in here for entry in one.models}
        asked = f"{known.id if known is not None else provider}:{model}".lower()
        return [names[name] for name in get_close_matches(asked, names, _NEAREST, _ALIKE)]


class CatalogueTariff:
    """What one model costs, at any time and for any usage.

    Attributes:
        provider: as the link spells it.
        model: likewise.
    """

    def __init__(
        self,
        provider: str,
        model: str,
        context: Mapping[str, str],
        snapshot: DataSnapshot,
        found: Provider,
        info: ModelInfo,
    ) -> None:
        self.provider = provider
        self.model = model
        self._context = dict(context) or None
        self._snapshot = snapshot
        self._found = found
        self._info = info

    @property
    def matched(self) -> str:
        """What the catalogue calls it: ``anthropic:claude-sonnet-4-5``."""
        return f"{self._found.id}:{self._current().id}"

    def cost_usd(self, usage: Usage, at: datetime, /) -> float | None:
        """What ``usage`` costs at ``at``; ``None`` where a count that costs is unknown, or where counts contradict."""
        info = self._current()
        price = self._price(info, at)
        if (usage.input_tokens is None and price.input_mtok) or (usage.output_tokens is None and price.output_mtok):
            return None
        try:
            cost = info.calc_price(
                _Counts.of(usage), self._found, genai_request_timestamp=at, price_context=self._context
            )
        except ValueError:  # more was read from a cache than was sent, and the like
            return None
        return float(cost.total_price)

    def price(self, at: datetime, /) -> Price:
        """The price at ``at`` of a request that is below every threshold."""
        price = self._price(self._current(), at)
        cached = price.cache_read_mtok
        return Price(
            input_usd_per_mtok=_base(price.input_mtok),
            output_usd_per_mtok=_base(price.output_mtok),
            cached_input_usd_per_mtok=None if cached is None else _base(cached),
            request_usd=_base(price.requests_kcount) / 1000,
        )

    def _price(self, info: ModelInfo, at: datetime) -> ModelPrice:
        own = any(info is one for one in self._found.models)
        return info.get_prices(at, self._context if own else None)

    def _current(self) -> ModelInfo:
        snapshot = _snapshot()
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            found = _look_up(snapshot, self.provider, self.model)
            if found is not None:
                self._found, self._info = found
        return self._info


@attrs.frozen
class _Counts:
    """Usage under the catalogue's names: it prices what it has prices for, and what it does not as its kind."""

    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_reasoning_tokens: int | None

    @classmethod
    def of(cls, usage: Usage) -> _Counts:
        return cls(
            usage.input_tokens,
            usage.output_tokens,
            usage.cached_input_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
        )


def _snapshot() -> DataSnapshot:
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def _look_up(snapshot: DataSnapshot, provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
    found = _find_provider(snapshot, provider)
    if found is None:
        return None
    try:
        return snapshot.find_provider_model(model, found, None, None)
    except LookupError:
        return None


def _find_provider(snapshot: DataSnapshot, name: str) -> Provider | None:
    name = name.strip().lower()
    for spelling in (_PROVIDERS.get(name, name), name.replace("_", "-"), name.replace(" ", "")):
        try:
            return snapshot.find_provider(None, spelling, None)
        except LookupError:
            continue
    return None


def _base(price: Decimal | TieredPrices | None) -> float:
    if price is None:
        return 0.0
    return float(price if isinstance(price, Decimal) else price.base)
