"""Scripts for generator functions: items, errors, and waits between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from routeware import Attempt, RoutingPolicy, routed
from routeware.testing import ScriptError, after, answers, fails, hangs, scripted, set_active, streams, trail, wait
from tests.fakes.providers import HTTPStatusError


@routed(RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 500}))
async def ask(_attempt: Attempt, prompt: str) -> AsyncGenerator[str]:
    """Answer for real."""
    yield "real"
    yield prompt


async def items(*arguments: Any) -> list[str]:
    """Read a whole stream."""
    return [item async for item in ask(*arguments)]


async def test_a_stream_is_played_item_by_item() -> None:
    """An error before the first item fails over; waits take their time."""
    with scripted(ask, {"a": fails(503), "b": streams("sky", wait(200), "blue")}) as play:
        began = asyncio.get_running_loop().time()
        assert await items("sky?") == ["sky", "blue"]
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.2)

    assert trail(play.calls[0]) == ["a:m failed:overloaded", "b:m selected"]
    assert [one.args for one in play.attempts] == [("sky?",), ("sky?",)]
    assert await items("sky?") == ["real", "sky?"]


async def test_a_stream_may_break_after_its_first_item() -> None:
    """The reader gets what came before; nothing else is tried."""
    broken = HTTPStatusError(502)
    got: list[str] = []

    async def read() -> None:
        async for item in ask("sky?"):
            got.append(item)  # noqa: PERF401 - what came before the error is looked at

    with scripted(ask, {"*": streams("sky", broken)}) as play, pytest.raises(HTTPStatusError) as raised:
        await read()

    assert raised.value is broken
    assert got == ["sky"]
    assert len(play.attempts) == 1


async def test_streams_race_to_their_first_item() -> None:
    """A slow first item lets the backup start."""
    slow, fast = after(5_000, streams("late")), streams(wait(100), "fast")
    with scripted(ask, {"a": slow, "b": fast}) as play:
        assert await items("sky?") == ["fast"]
    assert trail(play.calls[0]) == ["a:m race_lost", "b:m selected"]

    with scripted(ask, {"a": hangs(), "b": [streams("there")]}):
        assert await items("sky?") == ["there"]


async def test_a_generator_function_is_a_step() -> None:
    """It is called with the attempt and the caller's arguments."""

    async def spell(attempt: Attempt, prompt: str) -> AsyncGenerator[str]:
        yield attempt.label
        for letter in prompt:
            yield letter

    with scripted(ask, {"*": spell}):
        assert await items("sky") == ["a:m", "s", "k", "y"]


@pytest.mark.parametrize("step", ["text", after(5, "text"), {"a": 1}])
async def test_an_answer_is_no_stream(step: object) -> None:
    """Whether a text is one item or many is not guessed."""
    with scripted(ask, {"*": step}), pytest.raises(ScriptError, match=r"streams\(\.\.\.\)"):
        await items("sky?")


async def test_an_inactive_stream_has_no_bound_on_its_first_item() -> None:
    """Nor has it a race."""
    bounded = ask.with_policy(
        RoutingPolicy(chain=["a:m", "b:m"], latency={"race_after_ms": 5, "first_item_deadline_ms": 50})
    )
    set_active(False)
    try:
        with scripted(bounded, {"a": after(1_000, streams("late"))}):
            assert [item async for item in bounded("sky?")] == ["late"]
    finally:
        set_active(True)


@pytest.mark.parametrize("step", [after(5, "text"), hangs(), answers("text"), streams("text")])
def test_a_step_for_a_whole_attempt_is_no_item(step: object) -> None:
    """It would be yielded as it is."""
    with pytest.raises(ValueError, match=r"items, errors and wait\(ms\)"):
        streams("a", step)
