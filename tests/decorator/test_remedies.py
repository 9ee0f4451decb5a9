"""What a new user does wrong, and what the error says: which mistake it is, and what to do instead."""

from __future__ import annotations

import ast
import inspect
import sys
import tomllib
import types
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import routeware
from routeware import Attempt, RoutingPolicy, routed

MISTAKES = tomllib.loads(Path(__file__).with_name("remedies.toml").read_text(encoding="utf-8"))["mistake"]
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
    names = {name: getattr(routeware, name) for name in routeware.__all__}
    names |= {"AB": AB, "bare": bare, "ask": routed(AB)(bare), "films": routed(AB)(film), "Path": Path}
    code = compile(mistake["code"], "you.py", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    program = types.FunctionType(code, {"__builtins__": __builtins__, **names})

    with pytest.raises(Exception) as raised:  # noqa: PT011 - its class and its whole text are compared below
        await _run(program)

    assert (type(raised.value).__name__, str(raised.value)) == (mistake["error"], mistake["message"])


async def _run(program: types.FunctionType) -> None:
    waited = program()
    if inspect.isawaitable(waited):
        await waited


def test_every_mistake_is_another() -> None:
    """At least forty of them, each with a title of its own."""
    assert len({mistake["title"] for mistake in MISTAKES}) == len(MISTAKES) >= 40
