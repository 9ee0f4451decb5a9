"""Mistakes are seen while decorating, with what to write instead, and not in the outage that needs the function."""

from __future__ import annotations

import functools
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from routeware import Attempt, FailoverRules, Link, PolicyError, RoutingPolicy, routed

POLICY = RoutingPolicy(chain=["openai:gpt-4o", "anthropic:claude", "azure-1:gpt-4o"])


@routed(POLICY)
async def ask(attempt: Attempt, prompt: str, *, tone: str = "plain") -> str:
    """Answer."""
    return prompt


async def fitting(attempt: Attempt, prompt: str, *, tone: str = "plain") -> str:
    """Answer."""
    return prompt


@pytest.mark.parametrize("name", ["opanai", "opena", "openaii", "opneai", "anthropix"])
def test_a_provider_one_edit_from_a_links_is_refused(name: str) -> None:
    """The function would never be called."""
    with pytest.raises(PolicyError, match=re.escape(f"no link has the provider {name!r}: did you mean")) as raised:
        ask.provider(name)(fitting)
    assert raised.value.key == "provider"


@pytest.mark.parametrize(("name", "hint"), [("open-ai-x", "did you mean 'openai'?"), ("cohere", "its providers are")])
def test_another_provider_that_no_link_has_is_logged(name: str, hint: str, caplog: pytest.LogCaptureFixture) -> None:
    """A view under another policy may have it."""
    with caplog.at_level(logging.WARNING, "routeware"):
        ask.provider(name)(fitting)
    assert hint in caplog.text


@pytest.mark.parametrize("name", ["azure-2", "azure-12", "openai"])
def test_numbered_accounts_are_no_typing_errors(name: str) -> None:
    """A digit tells one from the other."""
    ask.provider(name)(fitting)


def test_short_names_are_no_typing_errors() -> None:
    """Between two letters everything is one edit away."""
    short = routed(RoutingPolicy(chain=["a:m", "b:m"]))(fitting)
    short.provider("c")(fitting)


def test_a_policy_function_may_give_any_provider(caplog: pytest.LogCaptureFixture) -> None:
    """What it will give is not known while decorating."""
    routed(lambda: POLICY)(fitting).provider("opanai")(fitting)
    assert not caplog.records


async def no_tone(attempt: Attempt, prompt: str) -> str:
    """Lack a parameter."""
    return prompt


async def other_name(attempt: Attempt, question: str, *, tone: str = "") -> str:
    """Call it something else."""
    return question


async def named_only(attempt: Attempt, *, prompt: str, tone: str = "") -> str:
    """Take no argument by its place."""
    return prompt


async def elsewhere(attempt: Attempt, tone: str = "", prompt: str = "") -> str:
    """Take them in another order."""
    return prompt


async def strict(attempt: Attempt, prompt: str, *, tone: str) -> str:
    """Require what callers may leave out."""
    return prompt


async def more(attempt: Attempt, prompt: str, *, tone: str = "", model: str) -> str:
    """Require what callers don't pass."""
    return prompt


@pytest.mark.parametrize(
    ("fn", "difference"),
    [
        (no_tone, "it has no parameter 'tone'"),
        (other_name, "it has no parameter 'prompt'"),
        (named_only, "its 'prompt' cannot be passed by its place"),
        (elsewhere, "its parameter 'prompt' stands in another place"),
        (strict, "it requires 'tone', which callers may leave out"),
        (more, "it requires 'model', which callers don't pass"),
    ],
)
def test_a_provider_function_that_callers_cannot_call_is_refused(fn: Any, difference: str) -> None:
    """The first difference is named."""
    with pytest.raises(TypeError, match=f"^{fn.__name__} cannot be called as ask is: {difference}$"):
        ask.provider("openai")(fn)


async def anything(*arguments: Any, **named: Any) -> str:
    """Take everything."""
    return ""


async def wider(attempt: Attempt, prompt: str, tone: str = "", extra: int = 0) -> str:
    """Take more than callers pass."""
    return prompt


@pytest.mark.parametrize("fn", [fitting, anything, wider, functools.partial(fitting)])
def test_a_provider_function_may_take_more(fn: Any) -> None:
    """What callers can pass is enough."""
    ask.provider("openai")(fn)


def test_the_rest_of_the_arguments_is_passed_on() -> None:
    """A function that passes everything on needs provider functions that take everything."""

    @routed(POLICY)
    async def loose(attempt: Attempt, *args: str, **kwargs: str) -> str:
        return ""

    loose.provider("openai")(anything)
    with pytest.raises(TypeError, match=r"it has no \*args"):
        loose.provider("openai")(fitting)


def test_methods_are_compared_without_their_instance() -> None:
    """Whatever the instance is called."""

    class Client:
        @routed(POLICY)
        async def ask(self, attempt: Attempt, prompt: str) -> str:
            return prompt

        @ask.provider("openai")
        async def ask_openai(this, attempt: Attempt, prompt: str) -> str:  # noqa: N805 - as above
            return prompt

        with pytest.raises(TypeError, match="it has no parameter 'prompt'"):

            @ask.provider("openai")
            async def ask_other(self, attempt: Attempt, question: str) -> str:
                return question


def test_a_routed_function_is_not_routed_again() -> None:
    """Two chains would multiply their attempts."""
    with pytest.raises(TypeError, match=r"ask is routed already.*with_policy"):
        routed(POLICY)(ask)  # type: ignore[call-overload]


class Client:
    """Something with an async ``__call__``."""

    async def __call__(self, attempt: Attempt, prompt: str) -> str:
        """Answer."""
        return prompt


def sync_wrapper(fn: Any) -> Any:
    """Wrap as libraries of decorators do that were not made for async functions."""

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize(
    ("fn", "advice"),
    [
        (classmethod(fitting), "cannot be a class method; make it a method, or a static method"),
        (staticmethod(fitting), "put @staticmethod above @routed"),
        (Client(), r"routed\(policy\)\(client.__call__\)"),
        (sync_wrapper(fitting), "define the wrapper with `async def`, or put it above @routed"),
        (lambda attempt: None, "define it with `async def`"),
        (5, "cannot be called at all"),
    ],
)
def test_what_cannot_be_routed_says_what_to_do(fn: Any, advice: str) -> None:
    """One advice, and one that works."""
    with pytest.raises(TypeError, match=advice):
        routed(POLICY)(fn)


async def test_the_advice_on_a_callable_object_works() -> None:
    """Its method is an async function."""
    assert await routed(POLICY)(Client().__call__)("sky?") == "sky?"


@pytest.mark.parametrize(
    ("policy", "advice"),
    [
        ({"chain": ["a:m"]}, r"RoutingPolicy.from_dict\("),
        (["a:m"], r"RoutingPolicy\(chain=\[...\]\)"),
        ("policy.toml", r"RoutingPolicy.from_toml\(path\)"),
        (Path("policy.toml"), r"RoutingPolicy.from_toml\(path\)"),
    ],
)
def test_a_policy_that_is_none_says_how_to_make_one(policy: Any, advice: str) -> None:
    """From settings, links or a file."""
    with pytest.raises(TypeError, match=advice):
        routed(policy)(fitting)


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda: Link(provider="a", model="m", timeout=5), "'timeout'; did you mean 'timeout_ms'"),
        (lambda: FailoverRules(on_statuses=[429]), "'on_statuses'; did you mean 'on_status'"),
        (lambda: RoutingPolicy(chian=["a:m"]), "'chian'; did you mean 'chain'"),
        (lambda: RoutingPolicy(chain=["a:m"], race_after_ms=5), "did you mean 'latency.race_after_ms'"),
        (lambda: FailoverRules(zzz=1), "'zzz'; known are on_status, "),
        (lambda: ask.with_options(deadline=5), "'deadline'; did you mean 'deadline_ms'"),
    ],
)
def test_a_wrong_setting_names_the_nearest_right_one(make: Any, advice: str) -> None:
    """In policy classes, and in with_options."""
    with pytest.raises(TypeError, match=advice):
        make()


def test_another_mistake_stays_itself() -> None:
    """Only wrong names are told in other words."""
    with pytest.raises(TypeError, match="chain"):
        RoutingPolicy()  # type: ignore[call-arg]
