"""Where the price of an attempt comes from, and what it may cost before it has cost anything."""

from __future__ import annotations

from datetime import UTC, datetime

import routeware
from routeware import Price, Tariff, Usage
from tests.fakes.providers import (
    MTOK,
    answers,
    script,
    uses,
)


class Halves:
    """A tariff that is cheaper at night; here it is always night."""

    def __init__(self) -> None:
        self.asked: list[tuple[Usage, datetime]] = []

    def cost_usd(self, usage: Usage, at: datetime) -> float | None:
        self.asked.append((usage, at))
        return (usage.input_tokens or 0) / 2

    def price(self, at: datetime) -> Price | None:
        return Price(input_usd_per_mtok=500_000)


class Book:
    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        self.asked: list[tuple[str, str]] = []

    def find(self, provider: str, model: str) -> Tariff | None:
        self.asked.append((provider, model))
        return self.tariff if provider == "a" else None


async def test_a_price_book_is_asked_once_per_link() -> None:
    """Its tariff is asked at the time and for the usage of the attempt."""
    tariff = Halves()
    book = Book(tariff)
    providers = script(a=uses(answers(0), input_tokens=3))
    ask = providers.ask(options={"prices": book})

    first = await ask.outcome()
    providers.again()
    await ask()

    assert first.record.cost_usd == 1.5
    assert first.record.attempts[0].price == Price(input_usd_per_mtok=500_000)
    assert book.asked == [("a", "m")]
    usage, at = tariff.asked[-1]
    assert usage == Usage(input_tokens=3)
    assert at.tzinfo is not None
    assert abs((datetime.now(UTC) - at).total_seconds()) < 3600


async def test_prices_may_be_a_mapping() -> None:
    """From `provider:model`."""
    ask = script(a=uses(answers(0), input_tokens=3, output_tokens=1)).ask(options={"prices": {"a:m": Price(**MTOK)}})

    assert (await ask.outcome()).record.cost_usd == 4


async def test_a_links_own_price_is_over_any_book() -> None:
    """And the book need not know it."""
    ask = script(a=uses(answers(0), input_tokens=3, output_tokens=1)).ask(
        links={"a": {"price": MTOK}}, options={"prices": {"a:m": Price(input_usd_per_mtok=1)}}
    )

    assert (await ask.outcome()).record.cost_usd == 4


async def test_cached_input_has_its_own_price() -> None:
    """Input includes it."""
    price = {"input_usd_per_mtok": 1_000_000.0, "cached_input_usd_per_mtok": 500_000.0}
    ask = script(a=uses(answers(0), input_tokens=10, cached_input_tokens=4, output_tokens=7)).ask(
        links={"a": {"price": price}}
    )

    assert (await ask.outcome()).record.cost_usd == 8


# What an attempt may cost.


async def projected(ask: object, *args: object, **kwargs: object) -> float:
    """What a call sets aside for its first attempt."""
    async with routeware.session(limit_usd=1_000_000_000) as spending:
        await ask(*args, **kwargs)  # type: ignore[operator]
        return spending.uncertain_usd


async def test_output_is_projected_from_the_first_limit_that_is_known() -> None:
    """An argument, else the link's, else 1024 at least."""
    price = {"output_usd_per_mtok": 1_000_000.0}

    def ask(**link: object) -> object:
        return script(a=answers(0)).ask(links={"a": {"price": price, **link}})

    assert await projected(ask(), "hi", max_tokens=10) == 10
    assert await projected(ask(), "hi", max_completion_tokens=11) == 11
    assert await projected(ask(), "hi", max_output_tokens=12) == 12
    assert await projected(ask(max_output_tokens=20), "hi", max_tokens=10) == 10
    assert await projected(ask(max_output_tokens=20), "hi") == 20
    assert await projected(ask(), "hi") == 1024


async def test_output_is_projected_from_the_largest_that_was_seen() -> None:
    """At least 1024."""
    providers = script(a=uses(answers(0), output_tokens=5000))
    ask = providers.ask(links={"a": {"price": {"output_usd_per_mtok": 1_000_000.0}}})
    await ask()
    providers.again()
    providers.behaviours["a"] = answers(0)

    assert await projected(ask, "hi") == 5000


async def test_input_is_projected_from_the_text_in_the_arguments() -> None:
    """Strings inside messages too; not what a `data:` URL holds."""
    price = {"input_usd_per_mtok": 1_000_000.0}

    def ask() -> object:
        return script(a=answers(0)).ask(links={"a": {"price": price}})

    plain = await projected(ask(), "word " * 100)
    nested = await projected(ask(), [{"role": "user", "content": [{"type": "text", "text": "word " * 100}]}])
    picture = await projected(ask(), ["word " * 100, {"image_url": "data:image/png;base64," + "A" * 100_000}])

    assert plain >= 100
    assert nested >= plain
    assert picture < plain + 1000


async def test_an_estimate_may_be_tokens_or_dollars() -> None:
    """`@ask.estimate` gets the link and the caller's arguments."""
    seen: list[tuple[object, ...]] = []

    def ask(estimate: Usage | float) -> object:
        decorated = script(a=answers(0)).ask(links={"a": {"price": MTOK}})

        @decorated.estimate
        def _(link: object, *args: object, **kwargs: object) -> Usage | float:
            seen.append((link.provider, args, kwargs))  # type: ignore[attr-defined]
            return estimate

        return decorated

    assert await projected(ask(0.75), "hi", max_tokens=3) == 0.75
    assert await projected(ask(Usage(input_tokens=2, output_tokens=3)), "hi", max_tokens=3) == 5
    assert seen[0] == ("a", ("hi",), {"max_tokens": 3})


def test_a_price_is_a_tariff_that_is_the_same_at_any_time() -> None:
    """A price book may give either."""
    price: Tariff = Price(input_usd_per_mtok=2.0)
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert price.price(at) is price
    assert price.cost_usd(Usage(input_tokens=500_000, output_tokens=0), at) == 1.0
