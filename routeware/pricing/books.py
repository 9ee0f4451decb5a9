"""Price books: where the price of a link comes from when the link itself has none.

A book is asked once per link and hands out a :class:`~routeware.money.Tariff`, not a number, because a price may depend
on the date and on the amount; the tariff is asked again for every attempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeGuard

import attrs

from routeware.errors import PolicyError
from routeware.money import Price, Tariff

__all__ = ["PriceBook", "price_book", "tariff_of"]


class PriceBook(Protocol):
    """Anything that knows prices by provider and model: a catalogue, a table of one's own."""

    def find(self, provider: str, model: str, /) -> Tariff | None:
        """Find the tariff of this model at this provider; ``None`` where the book does not know it."""
        ...


@attrs.frozen
class _Table:
    """A book made of a mapping: knows what stands in it and nothing else."""

    tariffs: Mapping[tuple[str, str], Tariff]

    def find(self, provider: str, model: str, /) -> Tariff | None:
        return self.tariffs.get((provider, model))


_UNKNOWING = _Table({})


def price_book(prices: Mapping[str, Price] | Mapping[str, Tariff] | PriceBook | None) -> PriceBook:
    """Make a book of what the user gave as ``prices=``.

    Args:
        prices: a mapping from ``provider:model`` (split at the first colon, parts trimmed) to a price or tariff, an
            object with a method ``find``, or ``None`` for a book that knows nothing.

    Raises:
        PolicyError: a key or value of the mapping cannot mean anything; names it as ``prices[...]``.
        TypeError: it is neither a mapping nor a book.
    """
    if prices is None:
        return _UNKNOWING
    if _is_book(prices):
        return prices
    if isinstance(prices, Mapping):
        return _table(prices)
    raise TypeError(
        "prices must be a mapping from 'provider:model' to a Price, or an object with a method find(provider, model), "
        f"not {prices!r}"
    )


def tariff_of(link_price: Price | None, provider: str, model: str, book: PriceBook) -> Tariff | None:
    """Find what a link costs: its own price, else what ``book`` says; ``None`` where that is unknown.

    Raises:
        PolicyError: the book gave something that is not a tariff.
    """
    if link_price is not None:
        return link_price
    found: object = book.find(provider, model)
    if found is None or _is_tariff(found):
        return found
    raise _not_a_tariff(f"{provider}:{model}", found)


def _is_book(value: object) -> TypeGuard[PriceBook]:
    # str.find and bytes.find look for text, and a class's find lacks its object: none of them answers as a book does.
    return not isinstance(value, str | bytes | bytearray | type) and callable(getattr(value, "find", None))


def _is_tariff(value: object) -> TypeGuard[Tariff]:
    return (
        not isinstance(value, type)
        and callable(getattr(value, "cost_usd", None))
        and callable(getattr(value, "price", None))
    )


def _not_a_tariff(name: str, value: object) -> PolicyError:
    return PolicyError(f"{value!r} is neither a Price nor another tariff (cost_usd and price)", key=f"prices[{name!r}]")


def _table(prices: Mapping[str, object]) -> _Table:
    tariffs: dict[tuple[str, str], Tariff] = {}
    for name, value in prices.items():
        place = _place(name)
        if place in tariffs:
            raise PolicyError(f"{place[0]}:{place[1]} has a price already", key=f"prices[{name!r}]")
        if not _is_tariff(value):
            raise _not_a_tariff(name, value)
        tariffs[place] = value
    return _Table(tariffs)


def _place(name: object) -> tuple[str, str]:
    """Split provider and model, written as a link is: ``ollama:llama3:70b`` is provider ollama, model llama3:70b."""
    provider, _, model = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not (provider.strip() and model.strip()):
        raise PolicyError("is not of the form 'provider:model', both parts non-empty", key=f"prices[{name!r}]")
    return provider.strip(), model.strip()
