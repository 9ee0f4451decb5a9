"""What type checkers see of the decorator: the caller's exact signature, and mistakes where they are made.

This file is checked by mypy and pyright, both strict, and never run. A line that must be rejected carries the ignore
comments of both; as an ignore that is not needed is an error, the line is a test.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any, Generic, TypeVar, assert_type

import attrs

from routeware import (
    Attempt,
    BudgetRules,
    CallRecord,
    Link,
    OnExceed,
    Outcome,
    Price,
    Routed,
    RoutingPolicy,
    Session,
    Usage,
    current_attempt,
    current_session,
    record_of,
    routed,
    session,
)

R = TypeVar("R")


@attrs.frozen
class Answer:
    text: str


# A policy takes what attrs converts, as it stands.
POLICY = RoutingPolicy(
    chain=["openai:gpt-4o", Link(provider="anthropic", model="claude")], latency={"race_after_ms": 50}
)
SKIPPING = RoutingPolicy(chain=[{"provider": "a", "model": "b"}], budget={"per_call_usd": 1, "on_exceed": "skip"})
CAPPED = RoutingPolicy(chain=["a:b"], budget=BudgetRules(per_call_usd=1, on_exceed="skip"))
SAME = RoutingPolicy(chain=["a:b"], budget=BudgetRules(on_exceed=OnExceed.SKIP))


# A free function: the caller does not pass the attempt, and everything else is as it was written.


@routed(POLICY)
async def ask(attempt: Attempt, prompt: str, *, temperature: float = 1.0) -> Answer:
    assert_type(attempt.provider, str)
    assert_type(attempt.number, int)
    assert_type(attempt.link, Link)
    assert_type(attempt.timeout_ms, float | None)
    assert_type(attempt.max_output_tokens, int | None)
    attempt.report_usage(input_tokens=3, output_tokens=4)
    attempt.report_cost(0.01)
    return attempt.report(Answer(prompt))


async def callers() -> None:
    assert_type(await ask("hi"), Answer)
    assert_type(await ask(prompt="hi", temperature=0.5), Answer)
    await ask(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ask()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await ask("hi", 0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await ask("hi", tempreature=0.5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def outcomes() -> None:
    outcome = await ask.outcome("hi")
    assert_type(outcome, Outcome[Answer])
    assert_type(outcome.value, Answer)
    assert_type(outcome.record, CallRecord)
    await ask.outcome(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def tasks() -> None:
    task = asyncio.create_task(ask("hi"))
    assert_type(await task, Answer)
    first, second = await asyncio.gather(ask("hi"), ask("ho"))
    assert_type(first, Answer)
    assert_type(second, Answer)


async def views() -> None:
    view = ask.with_options(deadline_ms=100, race_after_ms=None, max_attempts=2, per_call_usd=0.5, attributes={"a": 1})
    assert_type(await view("hi"), Answer)
    assert_type(await ask.with_policy(SKIPPING)("hi"), Answer)
    assert_type(await ask.with_policy(lambda: CAPPED).outcome("hi"), Outcome[Answer])
    assert_type(ask.policy, RoutingPolicy)
    await view(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# What depends on the function's own signature is registered on it, and checked against it.


@ask.provider("anthropic", "bedrock")
async def ask_anthropic(attempt: Attempt, prompt: str, *, temperature: float = 1.0) -> Answer:
    return Answer(prompt)


@ask.provider("mistral")
@ask.provider("ollama")
async def ask_others(attempt: Attempt, prompt: str, *, temperature: float = 1.0) -> Answer:
    return Answer(prompt)


@ask.provider("other-parameters")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def ask_badly(attempt: Attempt, prompt: int, *, temperature: float = 1.0) -> Answer:
    return Answer(str(prompt))


@ask.provider("another-result")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def ask_otherwise(attempt: Attempt, prompt: str, *, temperature: float = 1.0) -> str:
    return prompt


@ask.accept
def has_text(answer: Answer) -> bool:
    return bool(answer.text)


@ask.accept
async def has_long_text(answer: Answer) -> bool:
    return len(answer.text) > 9


ask.accept(lambda answer: bool(answer.text))
ask.accept(
    lambda answer: bool(answer.txt)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
)


@ask.accept  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def takes_another(answer: str) -> bool:
    return bool(answer)


@ask.accept  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def says_nothing(answer: Answer) -> None: ...


@ask.estimate
def in_tokens(link: Link, prompt: str, *, temperature: float = 1.0) -> Usage:
    return Usage(input_tokens=len(prompt), output_tokens=100)


@ask.size
def measured(prompt: str, *, temperature: float = 1.0) -> float:
    return len(prompt)


@ask.size  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def nothing(prompt: str, *, temperature: float = 1.0) -> None: ...


@ask.estimate
def in_dollars(link: Link, prompt: str, *, temperature: float = 1.0) -> float:
    return 0.01 * len(prompt)


# Methods: `self` first, then the attempt; bound as functions are.


class Shop:
    @routed(POLICY)
    async def ask(self, attempt: Attempt, prompt: str) -> Answer:
        return Answer(prompt)

    @ask.provider("anthropic")
    async def _(self, attempt: Attempt, prompt: str) -> Answer:
        return Answer(prompt)

    @ask.provider("mistral")
    async def _(self, attempt: Attempt, prompt: str) -> Answer:
        return Answer(prompt)

    @staticmethod
    @routed(POLICY)
    async def price(attempt: Attempt, thing: str) -> float:
        return 1.0

    async def both(self) -> tuple[Answer, float]:
        return await self.ask("hi"), await self.price("tea")


class CornerShop(Shop):
    @routed(POLICY)
    async def ask(self, attempt: Attempt, prompt: str) -> Answer:
        return await super().ask(prompt)


class Shelf(Generic[R]):
    def __init__(self, content: R) -> None:
        self.content = content

    @routed(POLICY)
    async def take(self, attempt: Attempt, count: int) -> list[R]:
        return [self.content] * count


@routed(POLICY)
async def parse(attempt: Attempt, kind: type[R], text: str) -> R:
    return kind()


async def methods(shop: Shop, corner: CornerShop, shelf: Shelf[Answer]) -> None:
    assert_type(await shop.ask("hi"), Answer)
    assert_type(await shop.ask.outcome("hi"), Outcome[Answer])
    assert_type(await corner.ask("hi"), Answer)
    assert_type(await Shop.price("tea"), float)
    assert_type(await shelf.take(3), list[Answer])
    assert_type(await parse(Answer, "{}"), Answer)
    await shop.ask(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    # A limit: a method is called on its instance.
    await Shop.ask(shop, "hi")  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]


# Whatever else takes an attempt second is still a free function if it takes one first.


@routed(POLICY)
async def compare(attempt: Attempt, other: Attempt) -> bool:
    return attempt.label == other.label


async def comparing(other: Attempt) -> None:
    assert_type(await compare(other), bool)


# With typed keywords of its own, a function takes its attempt by position only.


@routed(POLICY)
async def with_keywords(attempt: Attempt, /, **options: float) -> Answer:
    return Answer(str(options))


async def keywords() -> None:
    assert_type(await with_keywords(temperature=1.0), Answer)
    await with_keywords(temperature="hot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# Refused: what is not async, what takes no attempt, what is no policy.


@routed(POLICY)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
def not_async(attempt: Attempt, prompt: str) -> Answer:
    return Answer(prompt)


@routed(POLICY)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
async def no_attempt(prompt: str) -> Answer:
    return Answer(prompt)


@routed("policy.toml")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def no_policy(attempt: Attempt) -> Answer:
    return Answer("")


# A policy may be asked for at every call; the other arguments of the decorator.


def current_policy() -> RoutingPolicy:
    return POLICY


def charge(record: CallRecord) -> None: ...


@routed(current_policy, name="charged", operation=None, on_call=charge, wrap_errors=True, prices={"a:b": Price()})
async def charged(attempt: Attempt) -> Answer:
    return Answer("")


def takes_any_routed(fn: Routed[[str], Answer]) -> Awaitable[Answer]:
    return fn("hi")


# A limit: pyright does not take a routed method for an abstract `async def`; mypy does.


class Asker(ABC):
    @abstractmethod
    async def ask(self, prompt: str) -> Answer: ...


class RoutedAsker(Asker):
    @routed(POLICY)
    async def ask(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, attempt: Attempt, prompt: str
    ) -> Answer:
        return Answer(prompt)


# What a call leaves behind.


async def money() -> None:
    async with session("tenant-7", limit_usd=1.00) as spending:
        assert_type(spending, Session)
        assert_type(spending.spent_usd, float)
        assert_type(spending.remaining_usd, float | None)
    with session("tenant-7"):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    assert_type(current_session(), Session | None)
    assert_type(current_attempt(), Attempt | None)


async def errors() -> None:
    try:
        await ask("hi")
    except ConnectionError as error:
        assert_type(record_of(error), CallRecord | None)


async def reports(attempt: Attempt, body: dict[str, Any]) -> None:
    assert_type(attempt.report(body), dict[str, Any])
