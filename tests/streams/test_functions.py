"""Routed generator functions: what they stand in for, what may be registered, and what is refused."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import routeware
from routeware import Attempt, RoutingPolicy, routed
from tests.fakes.providers import pause
from tests.streams.films import Film, read


async def test_nothing_is_called_reserved_or_timed_before_it_is_started() -> None:
    """Wrong arguments included."""
    film = Film({"a": [1]})
    async with routeware.session(limit_usd=1) as spending:
        stream = film.ask(1, 2, 3, nonsense=4)
        await pause(1)
    assert spending.reserved_usd == 0
    assert film.made == []
    assert repr(stream) == "<routed stream>"
    assert not hasattr(stream, "asend")
    assert not hasattr(stream, "athrow")
    assert not inspect.isawaitable(stream)


@routed(RoutingPolicy(chain=["a:m"]))
async def at_module(attempt: Attempt, prompt: str) -> AsyncIterator[str]:
    """Say it back."""
    yield prompt


class Service:
    """Generators as methods."""

    def __init__(self, word: str) -> None:
        self.word = word

    @routed(RoutingPolicy(chain=["a:m", "b:m"]))
    async def ask(self, attempt: Attempt, prompt: str) -> AsyncIterator[str]:
        yield self.word
        yield prompt

    @staticmethod
    @routed(RoutingPolicy(chain=["a:m"]))
    async def static(attempt: Attempt, prompt: str) -> AsyncIterator[str]:
        yield prompt

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Service) and other.word == self.word

    def __hash__(self) -> int:
        return hash(self.word)


async def test_it_stands_in_for_the_function_it_was_made_from() -> None:
    """Marks, signature, binding, pickling, equality."""
    assert inspect.isasyncgenfunction(at_module)
    assert not inspect.iscoroutinefunction(at_module)
    assert not asyncio.iscoroutinefunction(at_module) if sys.version_info < (3, 14) else True
    assert str(inspect.signature(at_module)) == "(prompt: 'str') -> 'AsyncIterator[str]'"
    assert (at_module.__name__, at_module.__doc__) == ("at_module", "Say it back.")
    assert pickle.loads(pickle.dumps(at_module)) is at_module
    service = Service("w")
    assert service.ask == service.ask
    assert service.ask != Service("v").ask
    assert [item async for item in service.ask("p")] == ["w", "p"]
    assert [item async for item in Service.static("p")] == ["p"]
    assert str(inspect.signature(service.ask)) == "(prompt: 'str') -> 'AsyncIterator[str]'"
    again = pickle.loads(pickle.dumps(service.ask))
    assert [item async for item in again("p")] == ["w", "p"]
    assert [item async for item in service.ask.with_options(deadline_ms=1_000)("p")] == ["w", "p"]
    other = service.ask.with_policy(RoutingPolicy(chain=["z:m"]))
    async with other("p") as stream:
        assert stream.link is not None
        assert stream.link.label == "z:m"
        assert repr(stream) == "<routed stream from z:m>"


async def test_bad_use_has_its_own_errors() -> None:
    """Each clear."""
    film = Film({"a": [1]})

    async def coroutine(attempt: Attempt, prompt: str = "") -> int:
        return 1

    with pytest.raises(TypeError, match="yield"):
        film.ask.provider("a")(coroutine)

    async def hook(item: object) -> bool:
        return True

    with pytest.raises(TypeError):
        film.ask.first_item(hook)
    with pytest.raises(TypeError):
        film.ask.last_item(hook)

    @routed(RoutingPolicy(chain=["a:m"]))
    async def plain(attempt: Attempt) -> int:
        return 1

    async def generator(attempt: Attempt) -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        plain.provider("a")(generator)


async def test_another_generator_may_serve_a_provider() -> None:
    """As for plain functions."""
    film = Film({"a": [1]})

    @film.ask.provider("a")
    async def other(attempt: Attempt, prompt: str = "") -> AsyncIterator[str]:
        yield "other"

    assert await read(film.ask()) == (["other"], None)


async def test_a_plain_function_that_returns_a_stream_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    """The remedy is named; a result with usage, or one that is no stream, is none."""

    class Chunks:
        def __aiter__(self) -> Any:
            return self

    class Counted(Chunks):
        def __init__(self) -> None:
            self.usage = {"prompt_tokens": 1, "completion_tokens": 2}

    results: list[Any] = ["text", Counted(), Chunks(), Chunks()]

    @routed(RoutingPolicy(chain=["a:m"]))
    async def ask(attempt: Attempt) -> Any:
        return results.pop(0)

    for expected in (0, 0, 1, 1):
        await ask()
        warned = [one for one in caplog.records if "async generator function" in one.getMessage()]
        assert len(warned) == expected
    assert "ask" in warned[0].getMessage()
    assert warned[0].levelno == logging.WARNING


async def test_wrong_arguments_are_the_readers_error() -> None:
    """At the start, as calling a bare generator function would say at once."""
    film = Film({"a": [1]})
    stream = film.ask(nonsense=1)

    with pytest.raises(TypeError, match="nonsense"):
        await stream.start()
