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
# What providers call serving a request at its plain price. Any other tier has a price of its own, or none.
_PLAIN_TIERS = frozenset(
    {"auto", "default", "on_demand", "standard", "standard_only", "traffic_type_unspecified", "unspecified"}
)
# The catalogue's words for a tier, which providers name in one place and sell under several.
_TIER_CONTEXTS = ("service_tier", "processing", "speed")
_NEAREST = 3
_ALIKE = 0.5


def catalogue(context: Mapping[str, str] | None = None) -> Catalogue:
    """Open the catalogue as a price book, for ``routed(..., prices=catalogue())``.

    Args:
        context: what else prices depend on, as the catalogue calls it: ``{"service_tier": "priority"}``,
            ``{"processing": "batch"}``.

    Raises:
        ModuleNotFoundError: genai-prices is not installed: it comes with the extra ``prices``.
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
        """Find the tariff of the model that the catalogue matches to these names; ``None`` if there is none.

        The provider may be spelled as OpenTelemetry does, as the catalogue does, and in most of the ways people do. A
        model that another provider offers has the price of that provider, not its maker's.
        """
        snapshot = _snapshot()
        found = _look_up(snapshot, provider, model)
        return None if found is None else CatalogueTariff(provider, model, self.context, snapshot, *found)

    def nearest(self, provider: str, model: str) -> list[str]:
        """Return the names in the catalogue that look most like this link, best first; at most three."""
        snapshot = _snapshot()
        known = _find_provider(snapshot, provider)
        here = [known] if known is not None else snapshot.providers
        names = {f"{one.id}:{entry.id}".lower(): f"{one.id}:{entry.id}" for one in here for entry in one.models}
        asked = f"{known.id if known is not None else provider}:{model}".lower()
        return [names[name] for name in get_close_matches(asked, names, _NEAREST, _ALIKE)]


class CatalogueTariff:
    """The price of one model, at any time and for any usage.

    Attributes:
        provider: as the link spells it.
        model: as the link spells it.
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
        self._context = dict(context)
        self._snapshot = snapshot
        self._found = found
        self._info = info

    @property
    def matched(self) -> str:
        """The catalogue's name for it: ``anthropic:claude-sonnet-4-5``."""
        return f"{self._found.id}:{self._current().id}"

    def cost_usd(self, usage: Usage, at: datetime, /) -> float | None:
        """Return what ``usage`` costs at ``at``, served as it says that it was.

        ``None`` if a count that costs is unknown, or where counts contradict each other.
        """
        info, context = self._current(), self._context_of(usage)
        price = self._price(info, at, context)
        if (usage.input_tokens is None and price.input_mtok) or (usage.output_tokens is None and price.output_mtok):
            return None
        try:
            cost = info.calc_price(
                _Counts.of(usage), self._found, genai_request_timestamp=at, price_context=context or None
            )
        except ValueError:  # more was read from a cache than was sent, and the like
            return None
        return float(cost.total_price)

    def unpriced(self, usage: Usage, at: datetime, /) -> tuple[str, ...]:
        """Return the fields of ``usage`` for which the catalogue has no price at ``at``.

        A tier that it does not know is priced as the plain one, which may be half or twice as much.
        """
        info, context = self._current(), self._context_of(usage)
        names = []
        if usage.web_searches and _named(self._price(info, at, context), "web_searches_kcount") is None:
            names.append("web_searches")
        tier = usage.service_tier
        if tier is not None and tier.lower() not in _PLAIN_TIERS and not self._knows_tier(info, at, tier.lower()):
            names.append("service_tier")
        return tuple(names)

    def price(self, at: datetime, /) -> Price:
        """Return the price at ``at`` of a request that is below every threshold."""
        price = self._price(self._current(), at, self._context)
        return Price(
            input_usd_per_mtok=_base(price.input_mtok) or 0.0,
            output_usd_per_mtok=_base(price.output_mtok) or 0.0,
            cached_input_usd_per_mtok=_base(price.cache_read_mtok),
            cache_write_usd_per_mtok=_base(price.cache_write_mtok),
            cache_write_1h_usd_per_mtok=_base(_named(price, "cache_write_1h_mtok")),
            input_audio_usd_per_mtok=_base(price.input_audio_mtok),
            output_audio_usd_per_mtok=_base(price.output_audio_mtok),
            web_search_usd=_thousandth(_named(price, "web_searches_kcount")),
            request_usd=_thousandth(price.requests_kcount) or 0.0,
        )

    def _context_of(self, usage: Usage) -> dict[str, str]:
        """Return what the price depends on: what the user said, and over it the tier that the reply names."""
        if usage.service_tier is None:
            return self._context
        return {**self._context, **dict.fromkeys(_TIER_CONTEXTS, usage.service_tier.lower())}

    def _knows_tier(self, info: ModelInfo, at: datetime, tier: str) -> bool:
        if not self._is_own(info):
            return False
        variants = [one for one in info.price_variants or () if tier in (one.when.get(key) for key in _TIER_CONTEXTS)]
        return any(one.constraint is None or one.constraint.active(at) for one in variants)

    def _is_own(self, info: ModelInfo) -> bool:
        """Return True unless the model is another provider's: the provider that serves it sells its tiers."""
        return any(info is one for one in self._found.models)

    def _price(self, info: ModelInfo, at: datetime, context: Mapping[str, str]) -> ModelPrice:
        return info.get_prices(at, context if context and self._is_own(info) else None)

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
    cache_write_1h_tokens: int | None
    output_reasoning_tokens: int | None
    input_audio_tokens: int | None
    output_audio_tokens: int | None
    cache_audio_read_tokens: int | None
    output_audio_reasoning_tokens: int | None
    web_searches: int | None

    @classmethod
    def of(cls, usage: Usage) -> _Counts:
        sent, cached, heard = usage.input_tokens, usage.cached_input_tokens, usage.input_audio_tokens
        output, thought, spoken = usage.output_tokens, usage.reasoning_tokens, usage.output_audio_tokens
        return cls(
            input_tokens=sent,
            output_tokens=output,
            cache_read_tokens=cached,
            cache_write_tokens=usage.cache_write_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            output_reasoning_tokens=thought,
            input_audio_tokens=heard,
            output_audio_tokens=spoken,
            cache_audio_read_tokens=_overlap(cached, heard, sent),
            output_audio_reasoning_tokens=_overlap(thought, spoken, output),
            web_searches=usage.web_searches,
        )


def _overlap(one: int | None, other: int | None, whole: int | None) -> int | None:
    """Return the least that two parts of a whole have in common, which no provider says and the catalogue asks for.

    The least, because sound from a cache is cheaper than sound: what is unknown must not lower the cost.
    """
    if not one or not other or whole is None:
        return None
    return max(0, one + other - whole)


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


def _named(price: ModelPrice, name: str) -> Decimal | TieredPrices | None:
    """Return a price that older versions of the catalogue do not know by name."""
    found: Decimal | TieredPrices | None = getattr(price, name, None)
    return found


def _base(price: Decimal | TieredPrices | None) -> float | None:
    if price is None:
        return None
    return float(price if isinstance(price, Decimal) else price.base)


def _thousandth(price: Decimal | TieredPrices | None) -> float | None:
    base = _base(price)
    return None if base is None else base / 1000
