"""Wrong arguments under a cap: the caller's mistake is told, and not that a budget refuses the call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

import routeware
from routeware import Attempt, BudgetExceededError, Link, RoutingPolicy, routed
from tests.fakes.ledgers import Remote
from tests.fakes.tracing import Traces

CHAIN = [{"provider": one, "model": "m", "price": {"request_usd": 1}} for one in "ab"]


def policy(**budget: Any) -> RoutingPolicy:
    """A chain whose requests cost a dollar each."""
    return RoutingPolicy.from_dict({"chain": CHAIN, "budget": budget})


async def answer(attempt: Attempt, prompt: str, *, words: int = 1) -> str:
    """A provider function."""
    return prompt * words


class Client:
    """Has a routed method."""

    @routed(policy(per_call_usd=0.5))
    async def ask(self, attempt: Attempt, prompt: str) -> str:
        return prompt


@pytest.mark.parametrize("on_exceed", ["abort", "skip"])
async def test_a_call_that_lacks_an_argument_is_told_so_though_a_cap_would_refuse_it(on_exceed: str) -> None:
    """The error is that of calling the function; nothing is refused, so nothing is said of a budget."""
    traces = Traces()
    ask: Any = routed(policy(per_call_usd=0.5, on_exceed=on_exceed), **traces.options)(answer)

    with pytest.raises(TypeError, match=r"answer\(\) missing 1 required positional argument: 'prompt'") as raised:
        await ask()
    assert raised.value.__notes__ == ["routeware: one of these arguments is the attempt, which callers don't pass"]
    with pytest.raises(TypeError, match="unexpected keyword argument 'word'"):
        await ask("hi", word=2)
    with pytest.raises(BudgetExceededError):
        await ask("hi", words=2)

    assert [len(span.events) for span in traces.spans if span.name == "routeware.call answer"] == [
        0,
        0,
        1 if on_exceed == "abort" else 2,
    ]


async def test_so_is_a_method_and_one_function_for_a_provider() -> None:
    """Each link's own function is looked at."""
    client: Any = Client()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'prompt'"):
        await client.ask()

    ask: Any = routed(policy(per_call_usd=0.5))(answer)

    @ask.provider("a")
    async def other(attempt: Attempt, prompt: str, *, words: int = 1) -> str:
        return prompt

    with pytest.raises(TypeError, match=r"other\(\) missing"):
        await ask()


async def test_the_function_is_named_and_not_its_estimate() -> None:
    """The hook gets the same arguments, before the function does; what it raises by itself comes out as it is."""
    ask: Any = routed(policy(per_call_usd=5))(answer)

    @ask.estimate
    def guess(link: Link, prompt: str, *, words: int = 1) -> float:
        return 1.0 / words

    with pytest.raises(TypeError, match=r"answer\(\) missing 1 required positional argument: 'prompt'"):
        await ask()
    with pytest.raises(ZeroDivisionError):
        await ask("hi", words=0)


async def test_so_it_is_where_a_ledger_elsewhere_refuses() -> None:
    """The session's own limit."""
    ask: Any = routed(policy())(answer)

    async with routeware.session("team", limit_usd=0.5, ledger=Remote()) as spending:
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            await ask()
        with pytest.raises(BudgetExceededError):
            await ask("hi")

    assert (spending.spent_usd, spending.uncertain_usd, spending.reserved_usd) == (0, 0, 0)


async def test_so_is_a_stream() -> None:
    """When it is started."""

    @routed(policy(per_call_usd=0.5))
    async def ask(attempt: Attempt, prompt: str) -> AsyncIterator[str]:
        yield prompt

    unchecked: Any = ask
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'prompt'"):
        await unchecked().start()
    with pytest.raises(BudgetExceededError):
        await ask("hi").start()


async def test_a_function_that_may_run_when_it_is_called_is_not_looked_at() -> None:
    """Looking must call nothing, so the refusal stands; a bound method is looked at."""

    class Caller:
        async def __call__(self, attempt: Attempt, prompt: str) -> str:
            raise AssertionError("it ran")

    wrapped: Callable[..., Awaitable[str]] = partial(answer)
    bound: Callable[..., Awaitable[str]] = Caller().__call__
    expected: list[tuple[Callable[..., Awaitable[str]], type[Exception]]] = [
        (wrapped, BudgetExceededError),
        (bound, TypeError),
    ]
    for fn, error in expected:
        ask: Any = routed(policy(per_call_usd=0.5))(fn)
        with pytest.raises(error):
            await ask()
        with pytest.raises(BudgetExceededError):
            await ask("hi")
