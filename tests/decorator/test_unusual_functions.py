"""Decorating with things that are almost right, and raising things that are almost errors."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from routeware import Attempt, RoutingPolicy, record_of, routed
from tests.fakes.providers import busy, fails, script

POLICY = RoutingPolicy.from_dict({"chain": ["a:m", "b:m"]})


def plain() -> Any:
    """A function with an argument, whose first link is busy."""

    @routed(POLICY)
    async def ask(attempt: Attempt, prompt: str) -> Any:
        return await busy()(attempt)

    return ask


class Client:
    """A client with a routed method."""

    @routed(POLICY)
    async def ask(self, attempt: Attempt, prompt: str) -> str:
        """Which link answered."""
        return f"{attempt.provider}: {prompt}"

    @routed(POLICY)
    async def other(self, attempt: Attempt, prompt: str) -> str:
        """Another one."""
        return "other"


def test_a_providers_function_takes_its_attempt_where_the_others_do() -> None:
    """First: it would be handed the prompt for its attempt otherwise."""

    async def misplaced(prompt: str, attempt: Attempt) -> str:
        return prompt

    async def of_a_method(self: object, attempt: Attempt, prompt: str) -> str:
        return prompt

    for function in (misplaced, of_a_method):
        with pytest.raises(TypeError, match="attempt first"):
            plain().provider("b")(function)


def test_a_providers_function_of_a_method_takes_its_attempt_after_the_instance() -> None:
    """The other way round."""

    async def without_self(attempt: Attempt, prompt: str) -> str:
        return prompt

    with pytest.raises(TypeError, match="after its instance"):
        Client.ask.provider("b")(without_self)


async def test_a_providers_function_in_its_place_answers() -> None:
    """And is left as it is."""
    ask = plain()

    async def other(attempt: Attempt, prompt: str) -> str:
        return f"other: {prompt}"

    assert ask.provider("b")(other) is other
    assert await ask("why") == "other: why"


@pytest.mark.parametrize("nonsense", [5, None, "accept"])
def test_a_hook_that_cannot_be_called_is_refused_when_it_is_registered(nonsense: Any) -> None:
    """And not when an answer depends on it."""
    with pytest.raises(TypeError, match="accept"):
        plain().accept(nonsense)
    with pytest.raises(TypeError, match="estimate"):
        plain().estimate(nonsense)


def test_an_estimate_is_not_async() -> None:
    """Holding cannot suspend; partials of one are no better."""

    async def estimate(link: object, prompt: str) -> float:
        return 0.25

    with pytest.raises(TypeError, match="not async"):
        plain().estimate(estimate)
    with pytest.raises(TypeError, match="not async"):
        plain().estimate(functools.partial(estimate, prompt=""))


async def test_attributes_of_the_function_do_not_stand_in_for_methods() -> None:
    """What another decorator left there may have any name."""

    async def ask(attempt: Attempt) -> str:
        return attempt.provider

    for name in ("provider", "accept", "estimate", "policy", "outcome", "with_options", "with_policy"):
        setattr(ask, name, "theirs")
    ask.role = "theirs"  # type: ignore[attr-defined]  # as another decorator would

    decorated = routed(POLICY)(ask)

    assert decorated.role == "theirs"  # type: ignore[attr-defined]  # found as on the function
    assert decorated.policy is POLICY
    assert (await decorated.outcome()).value == "a"
    assert await decorated.with_options(deadline_ms=1000)() == "a"
    assert decorated.accept(bool) is bool
    assert decorated.provider("b")(ask) is ask


@pytest.mark.parametrize("attributes", ["x", [("a", 1)], 5, {"a"}])
def test_attributes_of_a_view_are_a_mapping(attributes: Any) -> None:
    """Said at once."""
    with pytest.raises(TypeError, match="attributes"):
        plain().with_options(attributes=attributes)


async def test_attributes_of_a_view_may_be_switched_off() -> None:
    """None is none."""
    assert await Client().ask.with_options(attributes={"a": 1}).with_options(attributes=None)("why") == "a: why"


def test_a_routed_method_is_the_same_whenever_it_is_looked_up() -> None:
    """As bound methods are: callbacks are found again, and sets hold them once."""
    client, another = Client(), Client()

    assert client.ask == client.ask
    assert hash(client.ask) == hash(client.ask)
    assert len({client.ask, client.ask, another.ask, client.other}) == 3
    assert client.ask != another.ask
    assert client.ask != client.other
    assert client.ask != Client.ask
    assert client.ask != "ask"


def test_a_view_is_another_function() -> None:
    """Under other settings it does other things."""
    client = Client()

    assert client.ask.with_options(deadline_ms=100) != client.ask
    assert client.ask.with_options(attributes={"a": 1}) != client.ask
    assert client.ask.with_policy(POLICY) != client.ask
    view = Client.ask.with_options(deadline_ms=100)
    assert view.__get__(client) == view.__get__(client)


def test_an_instance_that_cannot_be_compared_or_hashed_may_have_one() -> None:
    """The same instance is what is asked for."""

    class Odd(Client):
        __hash__ = None  # type: ignore[assignment]  # what is tested

        def __eq__(self, other: object) -> bool:
            raise AssertionError("compared")

    odd = Odd()

    assert odd.ask == odd.ask
    assert len({odd.ask, odd.ask, Client().ask}) == 2


class Property(Exception):  # noqa: N818 - named for what is odd about it
    """Its attributes cannot be read."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # what is tested
        raise RuntimeError("detached")


class Lookup(Exception):  # noqa: N818 - named for what is odd about it
    """The same, by another way."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("__dict__", "__notes__"):
            raise RuntimeError("detached")
        return super().__getattribute__(name)


class NotADict(Exception):  # noqa: N818 - named for what is odd about it
    """Says that its attributes are something else."""

    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # what is tested
        return ()


@pytest.mark.parametrize("racing", [None, 10])
@pytest.mark.parametrize("kinds", [None, "any"])
@pytest.mark.parametrize(
    "kind",
    [
        Property,
        Lookup,
        NotADict,
    ],
)
async def test_an_error_that_nothing_can_be_written_on_is_raised(
    kind: type[Exception], kinds: str | None, racing: float | None
) -> None:
    """It has no record then, and is the provider's own all the same."""
    error = kind("no luck")

    providers = script(a=fails(0, error), b=fails(0, error))

    with pytest.raises(kind) as raised:
        await providers.ask(race_after_ms=racing, on_error_kinds=kinds)()

    assert raised.value is error
    assert record_of(error) is None
    assert providers.records[0].outcome == "failed"
    assert len(providers.records[0].attempts) == (2 if kinds else 1)
