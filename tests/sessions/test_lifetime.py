"""A session that was left is freed at once: no timer, task or circle of references keeps it, and what it holds."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import Any

import pytest

import routeware
from routeware import Attempt, RoutingPolicy, routed
from tests.fakes.providers import FOREVER_MS, pause

SETTINGS: list[dict[str, Any]] = [
    {},
    {"failover": {"on_timeout_ms": FOREVER_MS}},
    {"latency": {"deadline_ms": FOREVER_MS}},
    {"latency": {"race_after_ms": FOREVER_MS}},
    {"latency": {"race_after_ms": 3}},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("fails", [False, True])
async def test_it_is_freed_while_its_timers_would_still_run(settings: dict[str, Any], fails: bool) -> None:
    """A cancelled timer stays in the loop until its time, and would keep the context that it was armed in."""
    links = [{"provider": name, "model": "m", "price": {"request_usd": 0.1}} for name in "abc"]
    policy = RoutingPolicy.from_dict({"chain": links, **settings})
    seen: list[weakref.ref[routeware.Session]] = []

    @routed(policy)
    async def ask(attempt: Attempt) -> str:
        await pause(5)
        if fails and attempt.provider == "a":
            raise ConnectionResetError
        return attempt.provider

    async def request() -> None:
        async with routeware.session("day", limit_usd=1) as spending:
            seen.append(weakref.ref(spending))
            await ask()

    # The loop drops a cancelled timer only when all before it have fired.
    earlier = asyncio.get_running_loop().call_later(60, list)
    gc.collect()
    gc.disable()
    try:
        await asyncio.get_running_loop().create_task(request(), context=contextvars.copy_context())
        await pause(1)
        assert seen[0]() is None
    finally:
        gc.enable()
        earlier.cancel()
