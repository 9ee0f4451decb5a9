"""Money and tokens: exact inside, dollars at the edges.

Inside, money is an ``int`` of nano-dollars, because sums of floats drift, and because a counter that several
processes share can only be added to atomically when it is an integer. A token of the cheapest model costs some tens of
nano-dollars, so rounding one attempt to a nano-dollar loses nothing that anybody is billed for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import attrs

from routeware.errors import PolicyError

__all__ = ["NANOS_PER_USD", "Price", "Tariff", "Usage", "amount_usd", "meter", "nanos", "usd"]

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
        raise PolicyError(f"{value!r:.100} is not a number of dollars", key=key)
    try:
        amount = float(value)
    except OverflowError:
        amount = math.inf
    if not math.isfinite(amount) or amount < 0:
        raise PolicyError(f"{amount!r} is not a finite number of dollars that is at least 0", key=key)
    return amount


def _no_count(count: object) -> ValueError:
    return ValueError(f"tokens are a whole number of at least 0, or None for unknown, not {count!r:.100}")


@attrs.frozen(kw_only=True)
class Usage:
    """Tokens of one attempt, as its provider counted them. ``None`` is unknown, which is not 0.

    Attributes:
        input_tokens: all of the input, what came out of a cache included.
        output_tokens: all of the output, reasoning included.
        cached_input_tokens: of the input, what was read from a cache.
        cache_write_tokens: of the input, what was written to a cache.
        reasoning_tokens: of the output, what was reasoning.

    Raises:
        ValueError: a count that is not a whole number of at least 0.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def __attrs_post_init__(self) -> None:
        # Once for all instead of a validator for each: usage is made with every attempt.
        sent, answered = self.input_tokens, self.output_tokens
        if sent is not None and (type(sent) is not int or sent < 0):
            raise _no_count(sent)
        if answered is not None and (type(answered) is not int or answered < 0):
            raise _no_count(answered)
        for part in (self.cached_input_tokens, self.cache_write_tokens, self.reasoning_tokens):
            if part is not None and (type(part) is not int or part < 0):
                raise _no_count(part)


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
        return meter(self)(usage)

    def price(self, at: datetime | None = None, /) -> Price:
        """Itself, at any time."""
        return self


def meter(price: Price) -> Callable[[Usage], int | None]:
    """:meth:`Price.cost_nanos` of ``price``, with all that does not depend on the usage worked out."""
    cached_usd = price.cached_input_usd_per_mtok
    input_rate, output_rate = nanos(price.input_usd_per_mtok), nanos(price.output_usd_per_mtok)
    cached_rate = input_rate if cached_usd is None else nanos(cached_usd)
    request = nanos(price.request_usd)

    def cost(usage: Usage) -> int | None:
        sent, answered, cached = usage.input_tokens, usage.output_tokens, usage.cached_input_tokens
        if (answered is None and output_rate) or (sent is None and (input_rate or cached_rate)):
            return None
        tokens = (sent or 0) * input_rate + (answered or 0) * output_rate
        if cached and sent:
            tokens += min(cached, sent) * (cached_rate - input_rate)
        return (tokens + _TOKENS_PER_MTOK // 2) // _TOKENS_PER_MTOK + request

    return cost
