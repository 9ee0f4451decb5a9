"""The program that docs/metrics.md shows sets metrics up: what is scraped from it has routeware's names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

from opentelemetry.metrics import Meter

from routeware.telemetry.metrics import Instruments

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")

CALLS = """
import asyncio
import urllib.request
from routeware import RoutingPolicy, routed

@routed(RoutingPolicy(chain=["a:b"]))
async def ask(attempt):
    return "done"

asyncio.run(ask())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(f"http://127.0.0.1:{server.server_port}/metrics") as reply:
    print(reply.read().decode())
"""


def test_the_program_exposes_metrics() -> None:
    """On its own port; here on a free one."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    start = 'start_http_server(9464, addr="127.0.0.1")'
    assert start in program

    told = subprocess.run(
        [sys.executable, "-c", program.replace(start, 'server, _ = start_http_server(0, addr="127.0.0.1")') + CALLS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert told.returncode == 0, told.stderr
    for name in ("routeware_call_duration_seconds_count", "routeware_attempts_total", "routeware_inflight"):
        assert f"\n{name}{{" in told.stdout


def test_every_metric_stands_on_the_page() -> None:
    """And no other."""
    meter = Mock(spec=Meter)
    Instruments(meter)
    made = {call.args[0] for call in meter.method_calls}

    assert len(made) == 10
    assert set(re.findall(r"^\| `(routeware\.[\w.]+)` \|", PAGE, re.MULTILINE)) == made
