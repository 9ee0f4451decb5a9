"""A session is not tied to the event loop that it was entered on: calls of another thread's loop are its calls."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from pathlib import Path

import pytest

import routeware
from routeware import Attempt, BudgetExceededError, Ledger, Link, MemoryLedger, Price, RoutingPolicy, routed
from routeware.contrib.sqlite import SqliteLedger


@routed(RoutingPolicy(chain=[Link(provider="a", model="m", price=Price(request_usd=0.25))]))
async def ask(attempt: Attempt) -> str:
    """Answer at a known cost."""
    attempt.report_cost(0.25)
    await asyncio.sleep(0)
    return "answer"


def on_a_loop_of_its_own() -> str:
    """Call from a thread without a loop, as a sync web framework's worker does."""
    return asyncio.run(ask())


@pytest.mark.parametrize("kind", ["none", "memory", "sqlite"])
async def test_calls_of_another_loop_are_counted_and_capped(kind: str, tmp_path: Path) -> None:
    """With the context, which is where the session is found; as ``asyncio.to_thread`` passes it on."""
    file = SqliteLedger(tmp_path / "budget.db")
    ledgers: dict[str, Ledger | None] = {"none": None, "memory": MemoryLedger(), "sqlite": file}

    async with file, routeware.session("tenant", limit_usd=0.75, ledger=ledgers[kind]) as spending:
        await ask()
        assert await asyncio.to_thread(on_a_loop_of_its_own) == "answer"
        assert await asyncio.to_thread(copy_context().run, on_a_loop_of_its_own) == "answer"
        with pytest.raises(BudgetExceededError):
            await asyncio.to_thread(on_a_loop_of_its_own)

    assert spending.spent_usd == 0.75
