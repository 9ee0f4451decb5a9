"""Money and tokens: exact inside, dollars at the edges.

Inside, money is an ``int`` of nano-dollars, because sums of floats drift, and because a counter that several
processes share can only be added to atomically when it is an integer. A token of the cheapest model costs some tens of
nano-dollars, so rounding one attempt to a nano-dollar loses nothing that anybody is billed for.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Protocol

import attrs

from routeware.errors import PolicyError

__all__ = ["NANOS_PER_USD", "Price", "Tariff", "Usage", "amount_usd", "nanos", "usd"]

NANOS_PER_USD = 1_000_000_000
_TOKENS_PER_MTOK = 1_000_000


def nanos(amount_usd: float) -> int:
    """Dollars as the nearest whole number of nano-dollars."""
    return round(amount_usd * NANOS_PER_USD)


def usd(amount_nanos: int) -> float:
    """Nano-dollars as dollars: the nearest float, so that what reads ``0.3`` is 0.3."""
    return amount_nanos / NANOS_PER_USD


def amount_usd(value: object, key: str) -> float:
    """An amount of dollars that somebody set: a finite number, at least 0.

    Raises:
        PolicyError: anything else, booleans among it; names ``key`` and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PolicyError(f"{value!r} is not a number of dollars", key=key)
    if not math.isfinite(value) or value < 0:
        raise PolicyError(f"{value!r} is not a finite number of dollars that is at least 0", key=key)
    return float(value)


def _tokens(_usage: object, field: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise ValueError(f"{field.name} must be a whole number that is at least 0, or None for unknown, not {value!r}")


@attrs.frozen(kw_only=True)
class Usage:
    """Tokens of one attempt, as its provider counted them. ``None`` is unknown, which is not 0.

    Attributes:
        input_tokens: all of the input, what came out of a cache included.
        output_tokens: all of the output, reasoning included.
        cached_input_tokens: of the input, what was read from a cache.
        cache_write_tokens: of the input, what was written to a cache.
        reasoning_tokens: of the output, what was reasoning.
    """

    input_tokens: int | None = attrs.field(default=None, validator=_tokens)
    output_tokens: int | None = attrs.field(default=None, validator=_tokens)
    cached_input_tokens: int | None = attrs.field(default=None, validator=_tokens)
    cache_write_tokens: int | None = attrs.field(default=None, validator=_tokens)
    reasoning_tokens: int | None = attrs.field(default=None, validator=_tokens)


class Tariff(Protocol):
    """What a model costs. It may depend on the date and on the amount; :class:`Price` is one that does not."""

    def cost_usd(self, usage: Usage, at: datetime, /) -> float | None:
        """What ``usage`` costs at the time ``at`` (aware); ``None`` where it cannot be known."""
        ...

    def price(self, at: datetime, /) -> Price | None:
        """The plain price in force at ``at``, for the record; ``None`` where there is no such thing."""
        ...


def _rate(_price: object, field: attrs.Attribute[float], value: float) -> None:
    amount_usd(value, f"price.{field.name}")


@attrs.frozen(kw_only=True)
class Price:
    """A fixed price. Dollars per million tokens, and per request; each at least 0, absent is 0.

    Attributes:
        input_usd_per_mtok: for input.
        output_usd_per_mtok: for output.
        cached_input_usd_per_mtok: for input read from a cache; as other input where it is ``None``.
        request_usd: for each request that was answered, whatever its size.

    Raises:
        PolicyError: a rate that is not a finite number of at least 0.
    """

    input_usd_per_mtok: float = attrs.field(default=0.0, validator=_rate)
    output_usd_per_mtok: float = attrs.field(default=0.0, validator=_rate)
    cached_input_usd_per_mtok: float | None = attrs.field(default=None, validator=attrs.validators.optional(_rate))
    request_usd: float = attrs.field(default=0.0, validator=_rate)

    def cost_usd(self, usage: Usage, at: datetime | None = None, /) -> float | None:
        """What ``usage`` costs, in dollars; ``None`` where a count that costs something is unknown."""
        amount = self.cost_nanos(usage)
        return None if amount is None else usd(amount)

    def cost_nanos(self, usage: Usage) -> int | None:
        """What ``usage`` costs, in nano-dollars, rounded once at the end; ``None`` where it is unknown."""
        output_rate = nanos(self.output_usd_per_mtok)
        if usage.output_tokens is None and output_rate:
            return None
        input_rate = nanos(self.input_usd_per_mtok)
        cached_rate = input_rate if self.cached_input_usd_per_mtok is None else nanos(self.cached_input_usd_per_mtok)
        if usage.input_tokens is None and (input_rate or cached_rate):
            return None
        total = usage.input_tokens or 0
        cached = min(usage.cached_input_tokens or 0, total)
        tokens = (total - cached) * input_rate + cached * cached_rate + (usage.output_tokens or 0) * output_rate
        return (tokens + _TOKENS_PER_MTOK // 2) // _TOKENS_PER_MTOK + nanos(self.request_usd)

    def price(self, at: datetime | None = None, /) -> Price:
        """Itself, at any time."""
        return self
