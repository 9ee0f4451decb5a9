"""The coroutine of a call bears the name of the user's function, where debuggers, tasks and warnings show it."""

from __future__ import annotations

import gc
import inspect
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

from routeware import Attempt, Link, RoutingPolicy, routed

POLICY = RoutingPolicy(chain=[Link(provider="a", model="m")])


def warned_of(call: Callable[[], Coroutine[Any, Any, Any]]) -> str:
    """Call without an `await`, and return what the interpreter says of that."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
        gc.collect()
    (warning,) = caught
    return str(warning.message)


@routed(POLICY)
async def summarise(attempt: Attempt, text: str) -> str:
    """Give a text back."""
    return text


class Client:
    @routed(POLICY)
    async def ask(self, attempt: Attempt, text: str) -> str:
        """Give a text back."""
        return text


async def test_a_call_that_is_never_awaited_is_reported_by_the_functions_name() -> None:
    """`coroutine 'summarise' was never awaited` says which line to look for."""
    assert warned_of(lambda: summarise("text")) == "coroutine 'summarise' was never awaited"


async def test_a_method_is_reported_with_its_class() -> None:
    """The qualified name, as for any coroutine function."""
    assert warned_of(lambda: Client().ask("text")) == "coroutine 'Client.ask' was never awaited"


async def test_outcome_is_reported_by_the_functions_name() -> None:
    """A record that nobody waits for is the same mistake."""
    assert warned_of(lambda: summarise.outcome("text")).startswith("coroutine 'summarise")


async def test_the_coroutine_has_the_name() -> None:
    """Tasks show it, too."""
    coroutine = summarise("text")
    assert inspect.iscoroutine(coroutine)

    names = coroutine.__name__, coroutine.__qualname__

    assert await coroutine == "text"
    assert names == ("summarise", "summarise")


async def test_the_coroutine_of_outcome_has_a_name_of_its_own() -> None:
    """It is told from a plain call where both are pending."""
    coroutine = summarise.outcome("text")
    names = coroutine.__name__, coroutine.__qualname__

    assert (await coroutine).value == "text"
    assert names == ("outcome", "summarise.outcome")
