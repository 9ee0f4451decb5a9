"""Jaeger goes away in the middle: callers never notice."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.providers import answers, busy, hangs, script
from tests.real.jaeger.sending import Sender
from tests.real.jaeger.server import running_jaeger

CALLS = 200


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_callers_do_not_notice_that_jaeger_is_gone(
    jaeger_is_there: None, tmp_path: Path, how: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed, it refuses connections; stopped, it takes them and says nothing. Results and times stay as they were."""
    with (
        running_jaeger(tmp_path / "log") as jaeger,
        Sender.to(jaeger.otlp_url, service="outage", timeout_s=0.5, delay_ms=20) as sender,
    ):
        before = await timed(sender)
        sender.flush()
        jaeger.has("outage", traces=CALLS)

        jaeger.process.send_signal(how)
        during = await timed(sender)

        jaeger.process.kill()
    assert during < 5 * before + 3.0
    assert [record for record in caplog.records if record.name.startswith("routeware")] == []


async def timed(sender: Sender) -> float:
    """Seconds that so many calls take, of which all fail over, some race, and all are answered."""
    started = time.perf_counter()
    for number in range(CALLS):
        providers = script(a=busy(), b=hangs() if number % 20 == 0 else answers(), c=answers())
        record = (await ask(providers, sender).outcome()).record
        assert record.outcome == "succeeded"
        assert record.trace_id is not None
        # On a busy machine an answer may take longer than the race waits.
        assert len(record.attempts) in ({3} if number % 20 == 0 else {2, 3})
    return time.perf_counter() - started


def ask(providers: Any, sender: Sender) -> Any:
    """A decorated function that leaves spans for Jaeger."""
    return providers.ask(race_after_ms=10, options=sender.options)
