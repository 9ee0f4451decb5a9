"""The price of each link of a policy, and its source: the policy itself, or the catalogue if that is installed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from routeware.money import Price
from routeware.policy import Link, RoutingPolicy

if TYPE_CHECKING:
    from routeware.contrib.genai_prices import Catalogue

__all__ = ["Quote", "quotes"]


@attrs.frozen(kw_only=True)
class Quote:
    """The price of one link.

    Attributes:
        price: today's, of a short prompt; ``None`` if it is unknown.
        source: ``policy``, or the catalogue with its version; ``None`` if there is no catalogue to ask.
        matched: what the catalogue calls the model, where it knows it.
        nearest: what the catalogue has instead, where it does not.
    """

    price: Price | None = None
    source: str | None = None
    matched: str | None = None
    nearest: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any] | None:
        """Return plain JSON; ``None`` if no catalogue was asked."""
        if self.source is None:
            return None
        told = attrs.asdict(self, filter=lambda field, _: field.name not in {"price", "nearest"})
        rates = None if self.price is None else attrs.asdict(self.price, filter=lambda _, rate: rate is not None)
        return {"price": rates, **told, "nearest": list(self.nearest)}


def quotes(policy: RoutingPolicy) -> list[Quote]:
    """One for each link. The catalogue is loaded, which takes a while, only if a link has no price of its own."""
    asked = any(link.price is None for link in policy.chain)
    book = _catalogue() if asked else None
    return [_quote(link, book) for link in policy.chain]


def _catalogue() -> Catalogue | None:
    from routeware.contrib.genai_prices import catalogue

    try:
        return catalogue()
    except ModuleNotFoundError:
        return None


def _quote(link: Link, book: Catalogue | None) -> Quote:
    if link.price is not None:
        return Quote(price=link.price, source="policy")
    if book is None:
        return Quote()
    source = f"genai-prices {book.version}"
    tariff = book.find(link.provider, link.model)
    if tariff is None:
        return Quote(source=source, nearest=tuple(book.nearest(link.provider, link.model)))
    return Quote(price=tariff.price(datetime.now(UTC)), source=source, matched=tariff.matched)
