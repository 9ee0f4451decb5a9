"""The mistakes of a new user, and what the error says: which mistake it is, and what to write instead.

``mistakes.toml`` has the code and the whole message. Most are seen while decorating, and not in the outage that needs
the function.
"""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import logging
import re
import sys
import tomllib
import types
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import routeware
from routeware import Attempt, PolicyError, RoutingPolicy, routed

MISTAKES = tomllib.loads(Path(__file__).with_name("mistakes.toml").read_text(encoding="utf-8"))["mistake"]
AB = RoutingPolicy(chain=["a:m", "b:m"])


async def bare(attempt: Attempt, prompt: str) -> str:
    """Give an answer."""
    return "Rayleigh."


async def film(attempt: Attempt, prompt: str) -> AsyncIterator[str]:
    """Give an item."""
    yield "Rayleigh."


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["title"])
async def test_a_mistake_is_answered_with_its_remedy(
    mistake: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word for word: the message is what a new user has to go by."""
    if sys.version_info >= tuple(mistake.get("right_since", (9,))):
        pytest.skip("from this CPython on it works")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(Exception) as raised:  # noqa: PT011 - its class and its whole text are compared below
        await _run(mistake["code"])

    error = raised.value
    assert (type(error).__name__, str(error)) == (mistake["error"], mistake["message"])
    assert getattr(error, "__notes__", []) == mistake.get("notes", [])


async def _run(code: str) -> None:
    names = {name: getattr(routeware, name) for name in routeware.__all__}
    names |= {"AB": AB, "bare": bare, "ask": routed(AB)(bare), "films": routed(AB)(film), "Path": Path}
    compiled = compile(code, "you.py", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waited = types.FunctionType(compiled, {"__builtins__": __builtins__, **names})()
    if inspect.isawaitable(waited):
        await waited


def test_every_mistake_is_another() -> None:
    """At least forty of them, each with a title of its own."""
    assert len({mistake["title"] for mistake in MISTAKES}) == len(MISTAKES) >= 40


@pytest.mark.parametrize(("code", "name"), [("ask('Why?')", "bare"), ("ask.outcome('Why?')", "bare.outcome")])
async def test_a_forgotten_await_names_the_users_function(code: str, name: str) -> None:
    """In Python's own warning."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        await _run(code)
        gc.collect()

    assert [str(warning.message) for warning in seen] == [f"coroutine '{name}' was never awaited"]


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
        (elsewhere, "its parameter 'prompt' is in another place"),
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


class Client:
    """Something with an async ``__call__``."""

    async def __call__(self, attempt: Attempt, prompt: str) -> str:
        """Answer."""
        return prompt


async def test_the_advice_on_a_callable_object_works() -> None:
    """Its method is an async function."""
    assert await routed(POLICY)(Client().__call__)("sky?") == "sky?"


def test_another_mistake_stays_itself() -> None:
    """Only wrong names are told in other words."""
    with pytest.raises(TypeError, match="chain"):
        RoutingPolicy()  # type: ignore[call-arg]
