"""Which parameter takes the attempt: the one whose annotation says so, whatever its name and spelling."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import routeware
from routeware import Attempt, RoutingPolicy, routed

POLICY = RoutingPolicy(chain=["a:m"])

Renamed = Attempt
"""A name that only this module's globals know."""


async def by_another_name(one: Attempt, prompt: str) -> str:
    """Call it what you like."""
    return f"{one.provider} {prompt}"


async def by_its_module(one: routeware.Attempt, prompt: str) -> str:
    """Spell it with its module."""
    return f"{one.provider} {prompt}"


async def by_an_alias(one: Renamed, prompt: str) -> str:
    """Spell it by another name of this module."""
    return f"{one.provider} {prompt}"


async def without_annotation(attempt, prompt):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - the point
    """Call it attempt."""
    return f"{attempt.provider} {prompt}"


class Client:
    """What a function may take before its attempt."""


async def after_another(client: Client, one: Renamed, prompt: str) -> str:
    """Take it second, as a method does."""
    return f"{one.provider} {prompt}"


async def test_the_attempt_may_come_after_something_else() -> None:
    """Annotations tell which of the two it is."""
    ask: Any = routed(POLICY)(after_another)

    assert await ask(Client(), "hi") == "a hi"
    assert list(inspect.signature(ask).parameters) == ["client", "prompt"]


async def loosely(attempt: Attempt | None, prompt: str) -> str:
    """Annotate it with more than a class."""
    assert attempt is not None
    return f"{attempt.provider} {prompt}"


@pytest.mark.parametrize("function", [by_another_name, by_its_module, by_an_alias, without_annotation, loosely])
async def test_the_attempt_is_found(function: Any) -> None:
    """Callers do not pass it, and the signature does not show it."""
    ask = routed(POLICY)(function)

    assert await ask("hi") == "a hi"
    assert list(inspect.signature(ask).parameters) == ["prompt"]


class Assistant:
    """A class whose methods are routed."""

    @routed(POLICY)
    async def by_another_name(self, one: Attempt, prompt: str) -> str:
        """Take it after the instance."""
        return f"{one.provider} {prompt}"

    @routed(POLICY)
    async def plainly(self, one, prompt):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - the point
        """Take it after the instance, without annotations."""
        return f"{one.provider} {prompt}"


@pytest.mark.parametrize("method", ["by_another_name", "plainly"])
async def test_a_methods_attempt_comes_after_its_instance(method: str) -> None:
    """However it is called."""
    ask = getattr(Assistant(), method)

    assert await ask("hi") == "a hi"
    assert await getattr(Assistant, method)(Assistant(), "hi") == "a hi"
    assert list(inspect.signature(ask).parameters) == ["prompt"]
    assert list(inspect.signature(getattr(Assistant, method)).parameters) == ["self", "prompt"]


async def takes_text(prompt: str, other: int) -> str:
    """Take no attempt."""
    return prompt


async def takes_nothing() -> str:
    """Take nothing."""
    return ""


@pytest.mark.parametrize("function", [takes_text, takes_nothing])
def test_a_function_without_an_attempt_is_refused_by_its_name(function: Any) -> None:
    """When it is decorated."""
    with pytest.raises(TypeError, match=f"^{function.__qualname__} takes no attempt"):
        routed(POLICY)(function)


def test_it_looks_like_the_function_without_the_attempt() -> None:
    """Name, qualified name, module, docstring and annotations: what documentation and frameworks read."""
    ask: Any = routed(POLICY)(by_another_name)

    assert (ask.__name__, ask.__qualname__) == ("by_another_name", "by_another_name")
    assert ask.__module__ == __name__
    assert ask.__doc__ == by_another_name.__doc__
    assert ask.__annotations__ == {"prompt": "str", "return": "str"}
    assert Assistant.by_another_name.__qualname__ == "Assistant.by_another_name"
    assert ask.__wrapped__ is by_another_name
