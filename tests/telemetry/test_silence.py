"""The library prints nothing by itself: what it logs is for handlers that the program has set up."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, routeware

@routeware.routed(routeware.RoutingPolicy(chain=["a:m"]))
async def ask(attempt):
    raise ConnectionResetError

async def main():
    try:
        await ask()
    except ConnectionResetError:
        print("failed")

asyncio.run(main())
"""


def test_a_program_without_logging_sees_no_line_of_ours() -> None:
    """An exhausted chain is logged as a warning, which Python would print where no handler is."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30)

    assert (ran.stdout, ran.stderr) == ("failed\n", "")
