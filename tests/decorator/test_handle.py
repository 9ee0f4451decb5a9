"""The attempt that a provider function gets is a handle: a dozen names, none of which can be set."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import routeware
from routeware import Attempt, Link, current_attempt
from tests.fakes.providers import answers, script

FACTS = {"provider", "model", "label", "number", "link", "timeout_ms", "max_output_tokens", "span"}
REPORTS = {"report", "report_usage", "report_cost"}


async def handle() -> Attempt:
    """Return the attempt of a call that has ended."""
    providers = script(a=answers(0))
    await providers.ask()()
    return providers.attempts["a"]


async def test_it_has_these_names_and_no_others() -> None:
    """What else an engine keeps is nobody's to use."""
    names = {name for name in dir(await handle()) if not name.startswith("_")}

    assert names == FACTS | REPORTS


@pytest.mark.parametrize("name", sorted(FACTS | REPORTS | {"booked", "usage", "status", "result", "brand_new"}))
async def test_no_name_can_be_set_or_deleted(name: str) -> None:
    """A typing error, or a guess at what an engine keeps, is told at once, and costs nothing."""
    errors: list[str] = []

    async def tries(attempt: Attempt) -> str:
        for change in (lambda: setattr(attempt, name, True), lambda: delattr(attempt, name)):
            try:
                change()
            except AttributeError as error:
                errors.append(name if name in str(error) else str(error))
        attempt.report_cost(0.125)
        return "done"

    async with routeware.session() as spending:
        outcome = await script(a=tries).ask(usd={"a": 1}).outcome()

    assert errors == [name, name]
    assert outcome.value == "done"
    assert (outcome.record.cost_usd, spending.spent_usd) == (0.125, 0.125)


async def test_it_is_no_object_of_the_engine() -> None:
    """Nothing inherits from it, and it inherits from nothing."""
    assert Attempt.__mro__ == (Attempt, object)
    assert Attempt.__subclasses__() == []
    assert type(await handle()) is Attempt


async def test_code_deeper_down_gets_the_same_object() -> None:
    """Identity is how a registry tells attempts apart."""
    found: list[Any] = []

    async def looks(attempt: Attempt) -> str:
        found.extend([attempt, current_attempt()])
        return "done"

    await script(a=looks).ask()()

    assert found[0] is found[1]


def test_one_can_be_made_for_a_test_of_a_provider_function() -> None:
    """From a link, and a number."""
    attempt = Attempt(Link(provider="a", model="m"), 2)

    assert (attempt.provider, attempt.number, attempt.timeout_ms) == ("a", 2, None)
    assert list(inspect.signature(Attempt).parameters) == ["link", "number"]
