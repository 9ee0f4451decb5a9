"""A real client's own time-outs, with whatever version of it is installed: each is a failure of its provider.

aiohttp before 3.10.7 leaves the task's ``cancelling()`` one too high after its ``total`` time-out.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("httpx")

import aiohttp
import httpx
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from routeware import Attempt, RoutingPolicy, routed

SETTINGS = [{}, {"deadline_ms": 3000}, {"race_after_ms": 2000}]
TIMEOUTS = [aiohttp.ClientTimeout(total=0.1), aiohttp.ClientTimeout(sock_read=0.1)]


async def stall(request: web.BaseRequest) -> web.StreamResponse:
    """Answer too late."""
    await asyncio.sleep(1)
    return web.Response()


@pytest.mark.parametrize("latency", SETTINGS, ids=str)
@pytest.mark.parametrize("within", TIMEOUTS, ids=["total", "sock_read"])
async def test_aiohttps_time_outs_fail_over(within: aiohttp.ClientTimeout, latency: dict[str, Any]) -> None:
    """As an `except TimeoutError` around the request would."""
    async with RawTestServer(stall) as server, aiohttp.ClientSession(timeout=within) as client:

        @routed(RoutingPolicy.from_dict({"chain": ["one:m", "two:m"], "latency": latency}))
        async def ask(attempt: Attempt) -> str:
            if attempt.provider == "two":
                return "two"
            async with client.get(server.make_url("/")) as reply:
                return await reply.text()

        assert await ask() == "two"


@pytest.mark.parametrize("latency", SETTINGS, ids=str)
async def test_httpxs_time_outs_fail_over(latency: dict[str, Any]) -> None:
    """They never touch the task."""
    async with RawTestServer(stall) as server, httpx.AsyncClient(timeout=0.1) as client:

        @routed(RoutingPolicy.from_dict({"chain": ["one:m", "two:m"], "latency": latency}))
        async def ask(attempt: Attempt) -> str:
            if attempt.provider == "two":
                return "two"
            return (await client.get(str(server.make_url("/")))).text

        assert await ask() == "two"
