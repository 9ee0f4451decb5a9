"""Routed generator functions: what they stand in for, what may be registered, and what is refused."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import pickle
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

import routeware
from routeware import (
    Attempt,
    AttemptTimeoutError,
    DeadlineExceededError,
    Health,
    RoutingPolicy,
    StreamClosedError,
    StreamTruncatedError,
    routed,
)
from tests.fakes.providers import pause
from tests.streams.films import Film, Wait, read


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
    with pytest.raises(TypeError, match="function of the item"):
        film.ask.accept("yes")
    with pytest.raises(TypeError, match="name the providers"):
        film.ask.provider()

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


async def test_a_partial_of_a_generator_function_is_one_too() -> None:
    """Unwrapped, as for plain functions."""

    async def speak(attempt: Attempt, prompt: str, times: int) -> AsyncIterator[str]:
        for _ in range(times):
            yield prompt

    ask = routed(RoutingPolicy(chain=["a:m"]), name="speak")(functools.partial(speak, times=2))

    assert [item async for item in ask("hi")] == ["hi", "hi"]
    assert inspect.isasyncgenfunction(ask)


async def test_it_has_what_every_routed_function_has() -> None:
    """Policy, options, health, estimates, sizes and reports are of streams as well."""
    film = Film({"a": [1], "b": [2]}, failover={"cooldown_ms": 5_000})
    ask = film.ask

    assert [link.label for link in ask.policy.chain] == ["a", "b"]
    assert ask.with_options(deadline_ms=5).policy.latency.deadline_ms == 5
    assert ask.latency_report() is None
    assert inspect.isasyncgenfunction(ask.__wrapped__)
    ask.size(lambda *_args, **_kwargs: 1)
    ask.health.trip("a", for_ms=60_000)
    assert await read(ask()) == ([2], None)
    assert await read(ask.with_health(Health())()) == ([1], None)


async def test_starting_again_is_done_at_once() -> None:
    """And gives the same stream, also where it has ended."""
    film = Film({"a": [Wait(10), 1]})
    stream = film.ask()

    assert await stream.start() is stream
    assert await stream.start() is stream
    assert film.clock() == 10
    await read(stream)
    assert await stream.start() is stream


async def test_a_stream_that_could_not_start_never_looks_like_an_empty_one() -> None:
    """Its error is raised once; started or entered again it calls no provider."""
    film = Film({"a": [ConnectionResetError()]})
    stream = film.ask()
    with pytest.raises(ConnectionResetError):
        await stream.start()

    with pytest.raises(StreamClosedError, match="before an attempt had answered"):
        await stream.start()
    with pytest.raises(StreamClosedError):
        await stream.__aenter__()
    assert len(film.records) == 1


async def test_a_stream_that_was_closed_before_it_was_started_does_not_start() -> None:
    """The function is never called."""
    film = Film({"a": [1]})
    stream = film.ask()
    await stream.aclose()

    with pytest.raises(StreamClosedError):
        await stream.start()
    assert film.ended == {}


async def test_an_answer_without_items_can_be_started_again() -> None:
    """An empty result is a result."""
    stream = Film({"a": []}).ask()
    assert await stream.start() is await stream.start()
    assert await read(stream) == ([], None)


def test_its_errors_can_be_pickled() -> None:
    """They travel between processes with what they say."""
    for error, told in (
        (StreamTruncatedError("a", 3), {"label": "a", "items": 3}),
        (StreamClosedError("closed"), {}),
        (DeadlineExceededError(100), {"deadline_ms": 100}),
        (AttemptTimeoutError("a", 50, 2), {"label": "a", "timeout_ms": 50, "items": 2}),
        (AttemptTimeoutError("a", 50), {"items": None}),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert {name: getattr(again, name) for name in told} == told
