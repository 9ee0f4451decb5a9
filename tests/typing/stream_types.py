"""What type checkers see of routed async generator functions: streams of the caller's item type, and mistakes.

This file is checked by mypy and pyright, both strict, and never run. A line that must be rejected carries the ignore
comments of both; as an ignore that is not needed is an error, the line is a test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Generic, TypeVar, assert_type

import attrs

from routeware import (
    Attempt,
    CallRecord,
    Link,
    Outcome,
    RoutedGenerator,
    RoutedStream,
    RoutingPolicy,
    Usage,
    has_output,
    is_final,
    routed,
)

R = TypeVar("R")

POLICY = RoutingPolicy(
    chain=[Link(provider="openai", model="gpt-4o", idle_timeout_ms=5_000)],
    failover={"idle_timeout_ms": 10_000},
    latency={"first_item_deadline_ms": 3_000},
)


@attrs.frozen
class Chunk:
    text: str


# A free function: the caller does not pass the attempt, and reads what the function yields.


@routed(POLICY)
async def ask(attempt: Attempt, prompt: str, *, temperature: float = 1.0) -> AsyncIterator[Chunk]:
    yield Chunk(prompt)


@routed(POLICY)
async def generated(attempt: Attempt, prompt: str) -> AsyncGenerator[Chunk, None]:
    yield Chunk(prompt)


async def reads() -> None:
    assert_type(ask("hi", temperature=0.5), RoutedStream[Chunk])
    assert_type(generated("hi"), RoutedStream[Chunk])
    assert_type(await ask("hi").start(), RoutedStream[Chunk])
    assert_type(await ask.outcome("hi"), Outcome[list[Chunk]])
    assert_type(await asyncio.create_task(ask("hi").start()), RoutedStream[Chunk])
    stream = ask("hi")
    assert_type(await anext(stream), Chunk)
    async with ask("hi") as entered:
        assert_type(entered, RoutedStream[Chunk])
        assert_type(entered.link, Link | None)
        async for chunk in entered:
            assert_type(chunk, Chunk)
    assert_type([chunk.text async for chunk in ask("hi")], list[str])
    assert_type(stream.record, CallRecord | None)
    assert_type(await stream.aclose(), None)
    ask(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ask("hi", temprature=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await ask("hi")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    stream.link = None  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def takes_iterators(chunks: AsyncIterator[Chunk]) -> None:
    async for _ in chunks:
        pass


async def is_one() -> None:
    await takes_iterators(ask("hi"))


# Methods, static methods, generic classes and functions.


class Service(Generic[R]):
    def __init__(self, value: R) -> None:
        self.value = value

    @routed(POLICY)
    async def ask(self, attempt: Attempt, prompt: str) -> AsyncIterator[R]:
        yield self.value

    @staticmethod
    @routed(POLICY)
    async def static(attempt: Attempt, prompt: str) -> AsyncIterator[str]:
        yield prompt

    @ask.provider("anthropic")
    async def _(self, attempt: Attempt, prompt: str) -> AsyncIterator[R]:
        yield self.value


class Child(Service[int]):
    async def both(self) -> None:
        assert_type(super().ask("hi"), RoutedStream[int])


async def binds(service: Service[Chunk]) -> None:
    assert_type(service.ask("hi"), RoutedStream[Chunk])
    assert_type(Service.static("hi"), RoutedStream[str])
    assert_type(service.ask.with_options(deadline_ms=100)("hi"), RoutedStream[Chunk])
    service.ask(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@routed(POLICY)
async def made(attempt: Attempt, kind: type[R]) -> AsyncIterator[R]:
    yield kind()


async def generic() -> None:
    async for item in made(int):
        assert_type(item, int)


# Hooks, as decorators and as lambdas.

ask.first_item(has_output)
ask.last_item(is_final)
ask.first_item(lambda chunk: bool(chunk.text))
ask.last_item(lambda chunk: chunk.text == "end")
ask.accept(lambda chunk: bool(chunk.text))
ask.first_item(lambda chunk: chunk.nonsense)  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportUnknownLambdaType, reportAttributeAccessIssue]


@ask.accept
async def polite(chunk: Chunk) -> bool:
    return "please" in chunk.text


@ask.first_item
def starts(chunk: Chunk) -> bool:
    return bool(chunk.text)


@ask.first_item  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def never_awaited(chunk: Chunk) -> bool:
    return bool(chunk.text)


@ask.last_item  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def of_something_else(chunk: int) -> bool:
    return bool(chunk)


@ask.estimate
def projection(link: Link, prompt: str, *, temperature: float = 1.0) -> Usage:
    return Usage(output_tokens=100)


# Other functions for single providers yield the same.


@ask.provider("anthropic")
async def by_anthropic(attempt: Attempt, prompt: str, *, temperature: float = 1.0) -> AsyncIterator[Chunk]:
    yield Chunk(prompt)


@ask.provider("google")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def other_items(attempt: Attempt, prompt: str, *, temperature: float = 1.0) -> AsyncIterator[int]:
    yield 1


@ask.provider("mistral")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def one_result(attempt: Attempt, prompt: str, *, temperature: float = 1.0) -> Chunk:
    return Chunk(prompt)


@routed(POLICY)
async def plain(attempt: Attempt, prompt: str) -> Chunk:
    return Chunk(prompt)


@plain.provider("mistral")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def yields(attempt: Attempt, prompt: str) -> AsyncIterator[Chunk]:
    yield Chunk(prompt)


@routed(POLICY)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def without_attempt(prompt: str) -> AsyncIterator[Chunk]:
    yield Chunk(prompt)


def views() -> None:
    assert_type(ask.policy, RoutingPolicy)
    other: RoutedGenerator[[str], Chunk] = generated.with_policy(POLICY)
    assert_type(other("hi"), RoutedStream[Chunk])
