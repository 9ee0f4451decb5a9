"""What is registered on a decorated function, and the views of it under other settings."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

import routeware
from routeware import Attempt, PolicyError, RoutingPolicy, routed
from tests.fakes.providers import HTTPStatusError, answers, busy, hangs, pause, script, stopwatch

AB = RoutingPolicy(chain=["a:m", "b:m"])


@routed(AB)
async def ask(attempt: Attempt, prompt: str) -> str:
    """Ask somebody."""
    return f"{attempt.provider}: {prompt}"


def registered() -> Any:
    """A fresh function to register on."""

    @routed(RoutingPolicy(chain=["a:m", "b:m", "c:m"]))
    async def ask(attempt: Attempt, prompt: str) -> str:
        raise HTTPStatusError(503)

    return ask


async def test_a_provider_may_have_a_function_of_its_own() -> None:
    """As `singledispatch` has for types; one may serve several."""
    ask = registered()

    @ask.provider("b", "c")
    async def other(attempt: Attempt, prompt: str) -> str:
        if attempt.provider == "b":
            raise HTTPStatusError(429)
        return f"other {attempt.provider}: {prompt}"

    assert await ask("hi") == "other c: hi"
    assert inspect.iscoroutinefunction(other), "the registered function is given back"


async def test_providers_of_a_method_get_self() -> None:
    """Registered in the class body."""

    class Asking:
        name = "asking"

        @routed(RoutingPolicy(chain=["a:m", "b:m"]))
        async def ask(self, attempt: Attempt) -> str:
            raise HTTPStatusError(503)

        @ask.provider("b")
        async def _(self, attempt: Attempt) -> str:
            return f"{self.name} {attempt.provider}"

    assert await Asking().ask() == "asking b"


@pytest.mark.parametrize("names", [(), (3,)])
def test_a_registration_needs_names(names: tuple[Any, ...]) -> None:
    """Strings, and at least one."""
    with pytest.raises((TypeError, ValueError)):

        @registered().provider(*names)
        async def other(attempt: Attempt, prompt: str) -> str:
            return ""


def test_a_registered_function_is_async_too() -> None:
    """And takes an attempt."""
    with pytest.raises(TypeError):

        @registered().provider("b")
        def other(attempt: Attempt, prompt: str) -> str:
            return ""


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_accept_turns_results_down(asynchronous: bool) -> None:
    """Sync or async; what it turns down is a failed attempt, and the next link gets its turn."""
    ask = script(a=answers(0, "short"), b=answers(0, "long enough")).ask()
    if asynchronous:

        @ask.accept
        async def good(result: str) -> bool:
            await pause(10)
            return len(result) > 5

    else:

        @ask.accept
        def good(result: str) -> bool:
            return len(result) > 5

    outcome = await ask.outcome()

    assert outcome.value == "long enough"
    assert str(outcome.record.attempts[0].status) == "rejected"
    assert outcome.record.decision().alternatives[0].reason == "rejected"
    assert callable(good), "the registered function is given back"


async def test_estimate_gets_the_callers_arguments_without_self() -> None:
    """Also of a method."""
    seen: list[tuple[object, ...]] = []

    class Asking:
        @routed(RoutingPolicy(chain=["a:m"], budget={"per_call_usd": 1, "allow_unpriced": True}))
        async def ask(self, attempt: Attempt, prompt: str, *, limit: int) -> str:
            return prompt

        @ask.estimate
        def _(link: Any, *args: object, **kwargs: object) -> float:  # noqa: N805  # it is no method
            seen.append((link.provider, args, kwargs))
            return 0.25

    async with routeware.session(limit_usd=1):
        await Asking().ask("hi", limit=3)

    assert seen == [("a", ("hi",), {"limit": 3})]


async def test_with_policy_is_the_same_function_elsewhere() -> None:
    """It shares registrations; the first one stays as it is."""
    ask = registered()
    other = ask.with_policy(RoutingPolicy(chain=["x:m", "y:m"]))

    @ask.provider("y", "c")
    async def _(attempt: Attempt, prompt: str) -> str:
        return attempt.provider

    assert await other("hi") == "y"
    assert await ask("hi") == "c"
    assert [link.provider for link in other.policy.chain] == ["x", "y"]
    assert [link.provider for link in ask.policy.chain] == ["a", "b", "c"]


async def test_with_policy_refuses_what_is_none() -> None:
    """As the decorator does."""
    with pytest.raises((TypeError, ValueError)):
        ask.with_policy("a:m")  # type: ignore[arg-type]


async def test_single_settings_may_be_changed() -> None:
    """Deadline, threshold, attempts, cap; the rest stays."""
    providers = script(a=hangs(), b=answers(10))
    plain = providers.ask(usd={"a": 1, "b": 1}, timeouts={"a": 1000})
    took = stopwatch()

    with pytest.raises(routeware.DeadlineExceededError):
        await plain.with_options(deadline_ms=100)()
    providers.again()
    assert await plain.with_options(race_after_ms=50)() == "b"
    providers.again()
    with pytest.raises(routeware.AttemptTimeoutError):
        await plain.with_options(max_attempts=1)()
    providers.again()
    with pytest.raises(routeware.BudgetExceededError):
        await plain.with_options(per_call_usd=0.5)()

    assert took() == 100 + 60 + 1000


async def test_none_switches_a_setting_off() -> None:
    """And what is not mentioned stays."""
    providers = script(a=answers(200), b=answers(0))
    bounded = providers.ask(race_after_ms=50, deadline_ms=100)

    assert await bounded.with_options(race_after_ms=None, deadline_ms=None)() == "a"
    assert list(providers.started) == ["a"]
    providers.again()
    assert await bounded.with_options(deadline_ms=None)() == "b"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("deadline_ms", 0),
        ("deadline_ms", "soon"),
        ("race_after_ms", -1),
        ("max_attempts", 0),
        ("max_attempts", True),
        ("per_call_usd", float("nan")),
    ],
)
def test_a_changed_setting_is_checked_like_a_policys(option: str, value: Any) -> None:
    """A PolicyError that names it."""
    with pytest.raises(PolicyError, match=option):
        ask.with_options(**{option: value})


def test_unknown_settings_are_refused() -> None:
    """As Python refuses unknown arguments."""
    with pytest.raises(TypeError):
        ask.with_options(deadline=3)  # type: ignore[call-arg]


async def test_a_view_of_a_policy_that_changes_changes_with_it() -> None:
    """Single settings are changed on whatever the policy is now."""
    current = AB

    @routed(lambda: current)
    async def ask(attempt: Attempt) -> str:
        return attempt.provider

    view = ask.with_options(max_attempts=1)
    current = RoutingPolicy(chain=["c:m"])

    assert await view() == "c"


async def test_a_cap_that_is_set_by_a_view_needs_prices() -> None:
    """Unknown is not zero: the call is refused before anything starts."""
    providers = script(a=answers(0))

    with pytest.raises(PolicyError, match="allow_unpriced"):
        await providers.ask().with_options(per_call_usd=1)()
    assert providers.started == {}


async def test_a_name_of_ones_own_is_in_the_record() -> None:
    """`name=`; the function's own otherwise."""

    @routed(AB, name="chat")
    async def something(attempt: Attempt) -> str:
        return ""

    assert (await something.outcome()).record.name == "chat"


async def test_calls_at_once_do_not_mix() -> None:
    """One function, many calls."""

    @routed(AB)
    async def ask(attempt: Attempt, number: int) -> int:
        await pause(100 - number)
        if number % 2 and attempt.provider == "a":
            raise HTTPStatusError(503)
        return number

    assert await asyncio.gather(*(ask(number) for number in range(50))) == list(range(50))


async def test_what_output_was_seen_is_shared_by_views() -> None:
    """Projections learn from every call of the function."""
    price = {"output_usd_per_mtok": 1_000_000.0}

    @routed(RoutingPolicy(chain=[{"provider": "a", "model": "m", "price": price}]))
    async def ask(attempt: Attempt, tokens: int | None) -> str:
        if tokens:
            attempt.report_usage(output_tokens=tokens)
        return ""

    await ask(5000)

    assert (await ask.with_options(deadline_ms=1000).outcome(None)).record.uncertain_usd == 5000


async def test_a_function_may_be_decorated_by_call_sites_that_retry() -> None:
    """Busy links are tried again by a second call, which starts at the first link."""
    providers = script(a=busy(), b=answers(0))
    ask = providers.ask()

    assert await ask() == "b"
    providers.again()
    assert await ask() == "b"
