"""What the tests of metrics share: metrics that are exposed, some traffic, and a Prometheus that has scraped it."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from routeware import Attempt, BudgetExceededError, RoutingPolicy, routed
from tests.fakes.providers import HTTPStatusError, Script, answers, busy, hangs, reports, script
from tests.real.prometheus.server import MISSING, Prometheus, program, running_prometheus, scraped

Ask = Callable[[str], dict[str, float]]

# What only grows: it adds up to what is exposed once it has all been read.
COUNTED = "routeware_.*_(total|count)"
PATIENCE_S = 60


@attrs.frozen
class Exposed:
    """A meter provider, and the port on which it is scraped."""

    provider: MeterProvider
    port: int


@pytest.fixture
def exposed() -> Iterator[Exposed]:
    """Metrics as a program exposes them to Prometheus."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    yield Exposed(provider, server.server_port)
    server.shutdown()
    server.server_close()
    thread.join()
    provider.shutdown()


async def traffic(exposed: Exposed) -> None:
    """Two calls that fail over, race and are answered, whose losers cost more than the winners; and one that fails."""
    for loser in (reports(0.25, hangs()), hangs()):
        await ask(script(a=busy(), b=loser, c=reports(0.125, answers(5))), exposed, race_after_ms=10)
    with suppress(HTTPStatusError):
        await ask(script(a=busy()), exposed)


async def all_traffic(exposed: Exposed) -> None:
    """The same; a link that cooldown takes out, a call that its budget refuses, and a stream."""
    await traffic(exposed)
    resting = script(a=busy(), b=answers())
    await ask(resting, exposed, failover={"cooldown_ms": 60_000, "cooldown_after": 1})
    with suppress(BudgetExceededError):
        await ask(script(a=answers()), exposed, per_call_usd=0.1)

    @routed(RoutingPolicy(chain=["a:m"]), name="ask", meter_provider=exposed.provider)
    async def films(attempt: Attempt) -> AsyncIterator[str]:
        yield "item"

    assert [item async for item in films()] == ["item"]


async def ask(providers: Script, exposed: Exposed, **settings: Any) -> None:
    """One call."""
    prices = dict.fromkeys(providers.behaviours, 0.5)
    await providers.ask(usd=prices, options={"meter_provider": exposed.provider}, **settings)()


@pytest.fixture
def there_is_a_prometheus() -> None:
    """One can be started. Where the checks run, they have put it in place."""
    if program() is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)


@pytest.fixture
async def asked(there_is_a_prometheus: None, exposed: Exposed, tmp_path: Path) -> AsyncIterator[Ask]:
    """A Prometheus that has scraped before some traffic and after it, asked about its scrape of all of that."""
    async with scraping(traffic, exposed, tmp_path) as ask_it:
        yield ask_it


@pytest.fixture
async def asked_of_all(there_is_a_prometheus: None, exposed: Exposed, tmp_path: Path) -> AsyncIterator[Ask]:
    """The same, with traffic that moves every metric."""
    async with scraping(all_traffic, exposed, tmp_path) as ask_it:
        yield ask_it


@asynccontextmanager
async def scraping(send: Callable[[Exposed], Awaitable[None]], exposed: Exposed, tmp_path: Path) -> AsyncGenerator[Ask]:
    """A Prometheus that scrapes before and after what is sent."""
    await send(exposed)
    with running_prometheus(tmp_path, exposed.port) as running:
        # The first scrape that is read sees all of the traffic so far, and so does the last: what is between adds up.
        await scraped_all(running, exposed)
        await send(exposed)
        # Always at the moment of that scrape: a later one that fails, as on a busy machine, has no values.
        at = await scraped_all(running, exposed)
        yield lambda query: running.ask(query, at)


async def scraped_all(prometheus: Prometheus, exposed: Exposed) -> float:
    """Wait until a scrape has seen all that is exposed; the moment of that scrape, in seconds since 1970."""
    families = text_string_to_metric_families(scraped(exposed.port))
    samples = [sample for family in families for sample in family.samples if re.fullmatch(COUNTED, sample.name)]
    until = time.monotonic() + PATIENCE_S
    while True:
        for at in prometheus.ask("max(timestamp(routeware_call_duration_seconds_count))").values():
            seen = prometheus.ask(f'sum({{__name__=~"{COUNTED}"}})', at)
            if seen == {"": pytest.approx(sum(sample.value for sample in samples))}:
                return at
        assert time.monotonic() < until, "no scrape has seen it all"
        await asyncio.sleep(0.1)
