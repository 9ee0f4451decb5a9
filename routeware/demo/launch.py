"""Starting the providers' process, and seeing it gone."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

from routeware.demo.errors import DemoError
from routeware.demo.servers import PATH

__all__ = ["DemoError", "providers"]

_START_S = 30.0
_END_S = 5.0


@asynccontextmanager
async def providers(seed: int, speed_up: float) -> AsyncGenerator[Mapping[str, str]]:
    """Run the providers: yield provider to URL, and end their process on leaving, whatever the reason.

    Raises:
        DemoError: they do not start.
    """
    arguments = ("-m", "routeware.demo.servers", "--seed", str(seed), "--speed-up", str(speed_up))
    # A session of its own: Ctrl-C in a terminal goes to the caller alone, which then ends the servers in order.
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        ports = await _ports(process)
        yield {provider: f"http://127.0.0.1:{port}{PATH}" for provider, port in ports.items()}
    finally:
        await _end(process)


async def _ports(process: Process) -> Mapping[str, int]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            line = await process.stdout.readline()
        ports: dict[str, int] = json.loads(line)
    except (TimeoutError, ValueError):
        raise DemoError("the demo's providers did not start") from None
    return ports


async def _end(process: Process) -> None:
    """Close its standard input, which is what it lives by; kill it if that does not help."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
