"""A scope of anyio cancels in every turn of the loop until its task has left: clean-up is awaited without spinning."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.providers import cleans_up, hangs, script, stopwatch


@pytest.mark.timeout(30)  # while the loop spins, its clock never jumps
async def test_a_scope_that_ends_waits_for_the_clean_up_of_a_race() -> None:
    """Both attempts take 100 ms; a core that is busy all that time would be the caller's, not theirs."""
    anyio = pytest.importorskip("anyio")
    ask = script(a=cleans_up(100, hangs()), b=cleans_up(100, hangs())).ask(race_after_ms=20)
    clock = stopwatch()

    with anyio.move_on_after(0.1) as scope:
        await ask()

    task = asyncio.current_task()
    assert task is not None
    assert (scope.cancelled_caught, clock(), task.cancelling()) == (True, 200, 0)
