"""The decorated function: what callers see, what may be decorated, and what may be registered on it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from typing import Any
from unittest import mock

import pytest

import routeware
from routeware import Attempt, PolicyError, RoutingPolicy, routed
from tests.fakes.providers import pause

AB = RoutingPolicy(chain=["a:m", "b:m"])


@routed(AB)
async def ask(attempt: Attempt, prompt: str, *, shout: bool = False) -> str:
    """Ask somebody."""
    return prompt.upper() if shout else f"{attempt.provider}: {prompt}"


async def test_callers_do_not_pass_the_attempt() -> None:
    """The caller's signature is the function's without it."""
    assert await ask("hi") == "a: hi"
    assert await ask(prompt="hi", shout=True) == "HI"
    assert list(inspect.signature(ask).parameters) == ["prompt", "shout"]
    assert inspect.signature(ask).parameters["shout"].kind is inspect.Parameter.KEYWORD_ONLY


async def test_outcome_gives_the_record_too() -> None:
    """`Outcome(value, record)`."""
    outcome = await ask.outcome("hi")

    assert isinstance(outcome, routeware.Outcome)
    assert outcome.value == "a: hi"
    assert outcome.record.name == "ask"


def test_it_is_an_async_function_to_everybody() -> None:
    """By name, documentation and kind."""
    assert inspect.iscoroutinefunction(ask)
    assert (ask.__name__, ask.__doc__) == ("ask", "Ask somebody.")
    assert ask.policy is AB
    assert inspect.iscoroutinefunction(ask.__wrapped__)
    assert "attempt" in inspect.signature(ask.__wrapped__).parameters


def test_patch_makes_an_async_mock_of_it() -> None:
    """A MagicMock could not be awaited."""
    with mock.patch(f"{__name__}.ask") as patched:
        assert isinstance(patched, mock.AsyncMock)
        assert asyncio.run(ask("hi")) is patched.return_value


# What may be decorated.


class Assistant:
    """A class whose methods ask."""

    def __init__(self, greeting: str) -> None:
        self.greeting = greeting

    @routed(AB)
    async def ask(self, attempt: Attempt, prompt: str) -> str:
        return f"{self.greeting} {attempt.provider}: {prompt}"

    @staticmethod
    @routed(AB)
    async def quick(attempt: Attempt, prompt: str) -> str:
        return f"{attempt.provider}: {prompt}"


class Polite(Assistant):
    @routed(AB)
    async def ask(self, attempt: Attempt, prompt: str) -> str:
        return "please, " + await super().ask(prompt)


async def test_methods_bind() -> None:
    """`self` first, then the attempt; callers pass neither."""
    assistant = Assistant("hello")

    assert await assistant.ask("hi") == "hello a: hi"
    assert (await assistant.ask.outcome(prompt="hi")).value == "hello a: hi"
    assert list(inspect.signature(assistant.ask).parameters) == ["prompt"]
    assert inspect.iscoroutinefunction(assistant.ask)


async def test_two_instances_do_not_mix() -> None:
    """Also when both calls are running."""
    first, second = Assistant("one"), Assistant("two")
    bound = first.ask

    assert await asyncio.gather(bound("hi"), second.ask("hi")) == ["one a: hi", "two a: hi"]


async def test_static_methods_have_no_self() -> None:
    """From the class and from an instance."""
    assert await Assistant.quick("hi") == "a: hi"
    assert await Assistant("hello").quick("hi") == "a: hi"


async def test_super_finds_the_method_it_overrides() -> None:
    """One routed method inside another."""
    assert await Polite("hello").ask("hi") == "please, hello a: hi"


async def test_a_methods_views_bind_too() -> None:
    """Options and other policies, on an instance."""
    assistant = Assistant("hello")
    other = RoutingPolicy(chain=["c:m"])

    assert await assistant.ask.with_policy(other)("hi") == "hello c: hi"
    assert await assistant.ask.with_options(deadline_ms=100)("hi") == "hello a: hi"


async def test_partials_are_unwrapped() -> None:
    """A partial of an async function is async."""

    async def run(attempt: Attempt, prompt: str, mark: str) -> str:
        return prompt + mark

    decorated = routed(AB)(functools.partial(run, mark="!"))

    assert await decorated("hi") == "hi!"


@pytest.mark.parametrize(
    "function",
    [
        lambda attempt, prompt: prompt,
        lambda: None,
        "not a function",
        None,
        42,
        classmethod(lambda cls, attempt: None),
    ],
)
def test_what_is_not_an_async_function_is_refused(function: Any) -> None:
    """With a TypeError, when it is decorated."""
    with pytest.raises(TypeError):
        routed(AB)(function)


def test_a_function_that_takes_no_attempt_is_refused() -> None:
    """There is nothing that could be told to it."""

    async def nothing() -> str:
        return ""

    async def only_keywords(*, attempt: Attempt) -> str:
        return ""

    for function in (nothing, only_keywords):
        with pytest.raises(TypeError):
            routed(AB)(function)  # type: ignore[arg-type, call-overload]


def test_a_class_method_over_it_never_swaps_class_and_attempt() -> None:
    """Refused where the class would be passed for the attempt (before CPython 3.13), or it is a class method."""

    class Asking:
        @classmethod
        @routed(AB)
        async def ask(cls, attempt: Attempt, prompt: str) -> str:
            assert isinstance(attempt, Attempt)
            return f"{cls.__name__}: {prompt}"

    try:
        answer = asyncio.run(Asking.ask("hi"))  # type: ignore[arg-type, call-arg]
    except TypeError:
        assert sys.version_info < (3, 13)
    else:
        assert answer == "Asking: hi"


@pytest.mark.parametrize("policy", ["a:m", ["a:m"], {"chain": ["a:m"]}, None, 1])
def test_a_policy_that_is_not_a_policy_is_refused(policy: Any) -> None:
    """Before anything is called: when it is decorated."""
    with pytest.raises((TypeError, ValueError)):

        @routed(policy)
        async def ask(attempt: Attempt) -> str:
            return ""


async def test_a_function_that_gives_no_policy_is_refused_at_the_call() -> None:
    """It was asked then."""
    called: list[Attempt] = []

    @routed(lambda: "a:m")  # type: ignore[arg-type, return-value]
    async def ask(attempt: Attempt) -> None:
        called.append(attempt)

    with pytest.raises((TypeError, ValueError)):
        await ask()
    assert called == []


async def test_a_policy_may_change_between_calls() -> None:
    """A function without arguments is asked at every call: a chain changes without a restart."""
    current = AB

    @routed(lambda: current)
    async def ask(attempt: Attempt) -> str:
        await pause(10)
        return attempt.provider

    assert await ask() == "a"
    running = asyncio.create_task(ask())
    await pause(1)
    current = RoutingPolicy(chain=["c:m"])
    assert await ask() == "c"
    assert await running == "a"


async def test_a_changed_policy_is_checked_at_the_call() -> None:
    """An unpriced link under a cap is an error before anything is called."""
    called: list[Attempt] = []

    @routed(lambda: RoutingPolicy(chain=["a:m"], budget={"per_call_usd": 1}))
    async def ask(attempt: Attempt) -> None:
        called.append(attempt)

    with pytest.raises(PolicyError, match="allow_unpriced"):
        await ask()
    assert called == []


@pytest.mark.parametrize(
    "options",
    [
        {"classify": "no function"},
        {"on_call": 3},
        {"prices": 3},
        {"nonsense": True},
    ],
)
def test_options_that_cannot_mean_anything_are_refused(options: dict[str, Any]) -> None:
    """When it is decorated, and not at the first call."""
    with pytest.raises((TypeError, ValueError)):
        routed(AB, **options)(ask.__wrapped__)
