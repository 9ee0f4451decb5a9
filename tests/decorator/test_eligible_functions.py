"""What may be decorated or registered, how the attempt finds its place there, and what stands in for a function."""

from __future__ import annotations

import functools
import inspect
import pickle
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from routeware import Attempt, RoutingPolicy, routed

if TYPE_CHECKING:
    from tests.nowhere import Unknown  # type: ignore[import-not-found]

AB = RoutingPolicy(chain=["a:m", "b:m"])


@routed(AB)
async def ask(attempt: Attempt, prompt: str) -> str:
    """Provider and prompt."""
    return f"{attempt.provider}: {prompt}"


class Assistant:
    """Has a name, and asks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Assistant) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    @routed(AB)
    async def ask(self, attempt: Attempt, prompt: str) -> str:
        """Name, provider and prompt."""
        return f"{self.name}, {attempt.provider}: {prompt}"


# As other functions.


def test_it_shows_what_it_is() -> None:
    """The name where it was defined; bound, the class of the instance, whose own text may be long or secret."""
    assert repr(ask) == "<routed function ask>"
    assert repr(Assistant("Ann").ask) == "<routed function Assistant.ask of Assistant>"


async def test_it_pickles_as_functions_do() -> None:
    """By name; a bound one with its instance."""
    again = pickle.loads(pickle.dumps(ask))
    bound = pickle.loads(pickle.dumps(Assistant("Ann").ask))

    assert again is ask
    assert await bound("hi") == "Ann, a: hi"


async def test_a_method_may_be_called_through_its_class() -> None:
    """The instance comes first, as for any function."""
    assert await Assistant.ask(Assistant("Ann"), "hi") == "Ann, a: hi"  # type: ignore[arg-type, call-arg]


async def test_through_its_class_it_says_what_is_missing() -> None:
    """Not some error about an attempt that no caller passes."""
    with pytest.raises(TypeError, match=r"Assistant\.ask\(\) is a method: call it on an instance"):
        await Assistant.ask()  # type: ignore[call-arg]


# What is refused, and with which words.


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": ""}, "name has to be a non-empty string or None, not ''"),
        ({"name": 5}, "name has to be a non-empty string or None, not 5"),
        ({"operation": ""}, "operation has to be a non-empty string or None"),
    ],
)
def test_a_name_that_is_none_is_refused(options: dict[str, Any], said: str) -> None:
    """It would be in every span."""
    with pytest.raises(TypeError, match=said):
        routed(AB, **options)


async def policy() -> RoutingPolicy:
    """A policy, asked for in the wrong way."""
    return AB


@pytest.mark.parametrize("function", [policy, ask])
def test_a_decorator_without_its_policy_is_told_what_is_missing(function: Any) -> None:
    """`@routed` straight above a function passes the function for the policy."""
    with pytest.raises(TypeError, match=r"write @routed\(policy\)"):
        routed(function)


def test_a_policy_function_is_not_async() -> None:
    """It is asked at every call, before anything is awaited."""
    with pytest.raises(TypeError, match="a policy function that is not async"):
        ask.with_policy(policy)  # type: ignore[arg-type]


# Where the attempt goes.


async def test_a_function_of_any_arguments_gets_the_attempt_first() -> None:
    """As wrappers are written; callers see the signature as it is."""

    @routed(AB)
    async def wrapped(*args: Any, **kwargs: Any) -> tuple[str, Any]:
        attempt, prompt = args
        return attempt.provider, prompt

    assert await wrapped("hi") == ("a", "hi")
    assert str(inspect.signature(wrapped)).startswith("(*args: ")


async def test_a_method_of_any_arguments_gets_it_after_its_instance() -> None:
    """Likewise."""

    class Wrapped:
        @routed(AB)
        async def ask(self, *args: Any) -> tuple[str, str, Any]:
            attempt, prompt = args
            return type(self).__name__, attempt.provider, prompt

    assert await Wrapped().ask("hi") == ("Wrapped", "a", "hi")


async def test_without_annotations_the_attempt_comes_first() -> None:
    """Or after an instance that is called self."""

    @routed(AB)
    async def plain(one, prompt):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - that is the point
        return one.provider, prompt

    class Plain:
        @routed(AB)
        async def ask(self, one, prompt):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - likewise
            return one.provider, prompt

    assert await plain("hi") == ("a", "hi")
    assert await Plain().ask("hi") == ("a", "hi")


async def test_a_name_for_type_checkers_only_is_no_attempt_and_no_error() -> None:
    """Annotations are read as far as they can be."""

    @routed(AB)
    async def after(unknown: Unknown, attempt: Attempt) -> tuple[object, str]:
        return unknown, attempt.provider

    assert list(inspect.signature(after).parameters) == ["unknown"]
    assert await after("an instance") == ("an instance", "a")


# Registered functions of methods: what binds to instances does, and the rest does not.


class Elsewhere:
    """Another object, that can answer, too."""

    async def answer(self, attempt: Attempt, prompt: str) -> str:
        """Its class, provider and prompt."""
        return f"{type(self).__name__}, {attempt.provider}: {prompt}"


async def shouted(attempt: Attempt, prompt: str, mark: str) -> str:
    """Provider, prompt and a mark."""
    return f"{attempt.provider}: {prompt}{mark}"


class Shouted:
    """A callable object, which is no descriptor."""

    async def __call__(self, attempt: Attempt, prompt: str) -> str:
        return await shouted(attempt, prompt, "!")


def unbound() -> Callable[..., Any]:
    """An async callable that no class binds: an object; before 3.12, where only functions are async, a partial."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(Shouted())
    return functools.partial(shouted, mark="!")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        pytest.param(Elsewhere().answer, "Elsewhere, a: hi", id="bound method"),
        pytest.param(unbound(), "a: hi!", id="what does not bind"),
    ],
)
async def test_a_provider_of_a_method_binds_as_it_would_in_a_class(function: Callable[..., Any], expected: str) -> None:
    """A method of another object has its instance; what does not bind takes none."""

    class Asking:
        @routed(AB)
        async def ask(self, attempt: Attempt, prompt: str) -> str:
            return ""

    Asking.ask.provider("a")(function)

    assert await Asking().ask("hi") == expected
