"""Money and tokens: exact inside, dollars at the edges.

Inside, money is an ``int`` of nano-dollars: sums of floats drift, and several processes can only add to a shared
counter atomically when it is an integer. A token of the cheapest model costs some tens of nano-dollars, so rounding an
attempt to a nano-dollar loses nothing that is billed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import attrs

from routeware.errors import PolicyError

__all__ = [
    "MOST_COUNT",
    "MOST_USD",
    "NANOS_PER_USD",
    "Price",
    "Tariff",
    "Usage",
    "amount_usd",
    "counted",
    "meter",
    "nanos",
    "per_request",
    "plain_meter",
    "plain_usage",
    "reported_nanos",
    "unpriced_by",
    "usage_with",
    "usd",
]

NANOS_PER_USD = 1_000_000_000

MOST_USD = 1e12
"""The largest limit, price or cost: beyond it a number is a mistake, and sums no longer fit what ledgers keep."""

MOST_COUNT = 2**53
"""The largest count of tokens: beyond it JSON's numbers are not exact, and no provider counts that far."""

_TOKENS_PER_MTOK = 1_000_000


def nanos(amount_usd: float) -> int:
    """Convert dollars to the nearest whole number of nano-dollars."""
    return round(amount_usd * NANOS_PER_USD)


def usd(amount_nanos: int) -> float:
    """Convert nano-dollars to dollars: the nearest float, so that what reads ``0.3`` is 0.3."""
    return amount_nanos / NANOS_PER_USD


def amount_usd(value: object, key: str) -> float:
    """Return an amount of dollars that was set by hand: a finite number from 0 to 10^12.

    Raises:
        PolicyError: Anything else, booleans included. Names ``key`` and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        advice = " (a number is written without quotes)" if isinstance(value, str) else ""
        raise PolicyError(f"{value!r:.100} is not a number of dollars{advice}", key=key)
    amount = _as_float(value)
    if not math.isfinite(amount) or amount < 0:
        raise PolicyError(f"{amount!r} is not a finite number of dollars that is at least 0", key=key)
    if amount > MOST_USD:
        raise PolicyError(f"{amount!r} is more than {MOST_USD:g} dollars", key=key)
    return amount


def reported_nanos(value: object) -> int | None:
    """Convert a cost in dollars that was reported; ``None`` for what can't be one.

    A provider's number is not worth losing its answer for, so a bad one is dropped where :func:`amount_usd` raises.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    amount = _as_float(value)
    return nanos(amount) if 0 <= amount <= MOST_USD else None


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def counted(value: object) -> int | None:
    """Return a count as a provider may write it: a whole number from 0 to 2^53, ``1000.0`` included; else ``None``."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MOST_COUNT else None


@attrs.frozen(kw_only=True, slots=False)  # a dict is filled in one step, and usage is made with every attempt
class Usage:
    """Tokens of one attempt, as its provider counted them. ``None`` is unknown, which is not 0.

    Attributes:
        input_tokens: All of the input, what came out of a cache included.
        output_tokens: All of the output, reasoning included.
        cached_input_tokens: Of the input, what was read from a cache.
        cache_write_tokens: Of the input, what was written to a cache.
        cache_write_1h_tokens: Of what was written to a cache, what is to be kept for an hour.
        reasoning_tokens: Of the output, what was reasoning.
        input_audio_tokens: Of the input, what was sound.
        output_audio_tokens: Of the output, what was sound.
        web_searches: The number of web searches by the provider.
        service_tier: The tier that served the request, as the provider calls it.

    Raises:
        ValueError: A count that is not a whole number from 0 to 2^53, or a tier that is not a text.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    web_searches: int | None = None
    service_tier: str | None = None

    def __attrs_post_init__(self) -> None:
        # A look at all types and at the extremes, in C, instead of a validator for each field: usage is made with every
        # attempt, and a validator each takes ten times as long.
        held = self.__dict__
        *counts, tier = held.values()  # in the order of the fields
        if (tier is None or type(tier) is str) and _PLAIN_COUNTS.issuperset(map(type, counts)):
            known = [*filter(None, counts)]
            if not known or (min(known) > 0 and max(known) <= MOST_COUNT):
                return
        tier = held.pop("service_tier")
        held.update({name: _count(name, value) for name, value in held.items() if value is not None})
        held["service_tier"] = None if tier is None else _text(tier)


_PLAIN_COUNTS = frozenset({int, type(None)})


def _text(tier: object) -> str:
    if not isinstance(tier, str):
        raise ValueError(f"service_tier is a text, or None for unknown, not {tier!r:.100}")  # noqa: TRY004 - as for every other field
    return str.__str__(tier)


def _count(name: str, value: object) -> int:
    count = counted(value)
    if count is None:
        shown = f"{value!r:.100}" if not isinstance(value, int) or abs(value) < 10**30 else "a number that long"
        raise ValueError(f"{name}: tokens are a whole number of at least 0 (and at most 2^53), or None, not {shown}")
    return count


def plain_usage(input_tokens: int, output_tokens: int) -> Usage:
    """Make a usage of two counts that are known to be counts, at half the price of having them checked."""
    usage = object.__new__(Usage)
    usage.__dict__.update(_BLANK, input_tokens=input_tokens, output_tokens=output_tokens)
    return usage


def usage_with(usage: Usage, changed: dict[str, Any]) -> Usage:
    """Return a copy of ``usage`` with other values that are known to be right, in a tenth of the time of `evolve`."""
    copied = object.__new__(Usage)
    copied.__dict__.update(usage.__dict__)
    copied.__dict__.update(changed)
    return copied


_BLANK: dict[str, Any] = {field.name: None for field in attrs.fields(Usage)}


class Tariff(Protocol):
    """The price of a model. It may depend on the date and on the amount; :class:`Price` is one that does not.

    A tariff may also have a method ``unpriced(usage, at)`` that names the fields of a usage for which it has no price.
    """

    def cost_usd(self, usage: Usage, at: datetime, /) -> float | None:
        """Return what ``usage`` costs at the time ``at`` (aware); ``None`` if it can't be known."""
        ...

    def price(self, at: datetime, /) -> Price | None:
        """Return the plain price in force at ``at``, for the record; ``None`` if there is no such thing."""
        ...


def _rate(_price: object, field: attrs.Attribute[float], value: float) -> None:
    amount_usd(value, f"price.{field.name}")


_OPTIONAL_RATE = attrs.validators.optional(_rate)


@attrs.frozen(kw_only=True)
class Price:
    """A fixed price. Dollars per million tokens, per search and per request, each from 0 to 10^12.

    Attributes:
        input_usd_per_mtok: For input.
        output_usd_per_mtok: For output.
        cached_input_usd_per_mtok: For input read from a cache; ``None``: as other input.
        cache_write_usd_per_mtok: For input written to a cache; ``None``: as other input.
        cache_write_1h_usd_per_mtok: For input written to a cache for an hour; ``None``: as other cache writes.
        input_audio_usd_per_mtok: For sound in the input; ``None``: as other input.
        output_audio_usd_per_mtok: For sound in the output; ``None``: as other output.
        web_search_usd: For each web search; ``None``: unknown, and named as unpriced where there was one.
        request_usd: For each request that was answered, whatever its size.

    Raises:
        PolicyError: A rate that is not a finite number from 0 to 10^12.
    """

    input_usd_per_mtok: float = attrs.field(default=0.0, validator=_rate)
    output_usd_per_mtok: float = attrs.field(default=0.0, validator=_rate)
    cached_input_usd_per_mtok: float | None = attrs.field(default=None, validator=_OPTIONAL_RATE)
    cache_write_usd_per_mtok: float | None = attrs.field(default=None, validator=_OPTIONAL_RATE)
    cache_write_1h_usd_per_mtok: float | None = attrs.field(default=None, validator=_OPTIONAL_RATE)
    input_audio_usd_per_mtok: float | None = attrs.field(default=None, validator=_OPTIONAL_RATE)
    output_audio_usd_per_mtok: float | None = attrs.field(default=None, validator=_OPTIONAL_RATE)
    web_search_usd: float | None = attrs.field(default=None, validator=_OPTIONAL_RATE)
    request_usd: float = attrs.field(default=0.0, validator=_rate)

    def cost_usd(self, usage: Usage, at: datetime | None = None, /) -> float | None:
        """Return what ``usage`` costs, in dollars; ``None`` if a count that costs something is unknown."""
        amount = self.cost_nanos(usage)
        return None if amount is None else usd(amount)

    def cost_nanos(self, usage: Usage) -> int | None:
        """Return what ``usage`` costs, in nano-dollars, rounded once at the end; ``None`` if it is unknown."""
        return meter(self)(usage)

    def price(self, at: datetime | None = None, /) -> Price:
        """Return itself, at any time."""
        return self

    def unpriced(self, usage: Usage, at: datetime | None = None, /) -> tuple[str, ...]:
        """Return the fields of ``usage`` that were counted and have no price here; their cost is in no figure."""
        return ("web_searches",) if usage.web_searches and self.web_search_usd is None else ()


def per_request(price: Price) -> bool:
    """Return True if an answer costs the same whatever its size, so that its size need not be guessed."""
    return not any((*_input_rates(price), *_output_rates(price)))


def _input_rates(price: Price) -> tuple[int, int, int, int, int]:
    """Return the nano-dollars for a million tokens of input: plain, cached, written, written for an hour, sound."""
    plain = nanos(price.input_usd_per_mtok)
    written = _or(price.cache_write_usd_per_mtok, plain)
    return (
        plain,
        _or(price.cached_input_usd_per_mtok, plain),
        written,
        _or(price.cache_write_1h_usd_per_mtok, written),
        _or(price.input_audio_usd_per_mtok, plain),
    )


def _output_rates(price: Price) -> tuple[int, int]:
    """Return the nano-dollars for a million tokens of output: plain, sound."""
    plain = nanos(price.output_usd_per_mtok)
    return plain, _or(price.output_audio_usd_per_mtok, plain)


def _or(rate_usd: float | None, other: int) -> int:
    return other if rate_usd is None else nanos(rate_usd)


def meter(price: Price) -> Callable[[Usage], int | None]:
    """Return :meth:`Price.cost_nanos` of ``price``, with everything that does not depend on the usage worked out."""
    input_rates, (output_rate, spoken_rate) = _input_rates(price), _output_rates(price)
    input_rate = input_rates[0]
    needs_input, needs_output = any(input_rates), bool(output_rate or spoken_rate)
    input_parts_differ = len(set(input_rates)) > 1
    request, search = nanos(price.request_usd), _or(price.web_search_usd, 0)

    def cost(usage: Usage) -> int | None:
        sent, answered = usage.input_tokens, usage.output_tokens
        if (answered is None and needs_output) or (sent is None and needs_input):
            return None
        tokens = (sent or 0) * input_rate + (answered or 0) * output_rate
        if sent and input_parts_differ:
            tokens += _beyond_plain(usage, sent, input_rates)
        if usage.output_audio_tokens and answered:
            tokens += min(usage.output_audio_tokens, answered) * (spoken_rate - output_rate)
        return (tokens + _TOKENS_PER_MTOK // 2) // _TOKENS_PER_MTOK + request + (usage.web_searches or 0) * search

    return cost


def plain_meter(price: Price) -> Callable[[int, int], int]:
    """Return what ``price`` takes for so much input and output, with nothing cached, spoken or searched for."""
    input_rate, output_rate = nanos(price.input_usd_per_mtok), nanos(price.output_usd_per_mtok)
    request = nanos(price.request_usd)

    def cost(sent: int, answered: int) -> int:
        return (sent * input_rate + answered * output_rate + _TOKENS_PER_MTOK // 2) // _TOKENS_PER_MTOK + request

    return cost


def _beyond_plain(usage: Usage, sent: int, rates: tuple[int, int, int, int, int]) -> int:
    """Return what the parts of the input cost beyond plain input.

    Parts that add up to more than the whole are cut, in this order: no count makes the input cheaper than its parts.
    """
    plain, cached_rate, written_rate, hour_rate, heard_rate = rates
    cached = min(usage.cached_input_tokens or 0, sent)
    written = min(usage.cache_write_tokens or 0, sent - cached)
    for_an_hour = min(usage.cache_write_1h_tokens or 0, written)
    heard = min(usage.input_audio_tokens or 0, sent - cached - written)
    return (
        cached * (cached_rate - plain)
        + (written - for_an_hour) * (written_rate - plain)
        + for_an_hour * (hour_rate - plain)
        + heard * (heard_rate - plain)
    )


def unpriced_by(tariff: Tariff, usage: Usage, at: datetime) -> tuple[str, ...]:
    """Return the fields of ``usage`` that were counted and for which ``tariff`` has no price, where it can tell.

    Raises:
        Exception: The tariff's own error.
    """
    names = getattr(tariff, "unpriced", None)
    return tuple(map(str, names(usage, at))) if callable(names) else ()
