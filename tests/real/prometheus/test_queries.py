"""The queries of docs/metrics.md, asked of a real Prometheus: each of the four questions has its answer."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from tests.providers import HTTPStatusError, Script, answers, busy, hangs, reports, script
from tests.real.prometheus.server import MISSING, Prometheus, program, running_prometheus, scraped

PAGE = (Path(__file__).parent.parent.parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)


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


async def ask(providers: Script, exposed: Exposed, **settings: Any) -> None:
    """One call."""
    prices = dict.fromkeys(providers.behaviours, 0.5)
    await providers.ask(usd=prices, options={"meter_provider": exposed.provider}, **settings)()


async def test_a_scrape_reads_what_was_measured(exposed: Exposed) -> None:
    """Names with units, labels with underscores, values as they were."""
    await traffic(exposed)

    families = {family.name: family for family in text_string_to_metric_families(scraped(exposed.port))}

    assert {name for name in families if name.startswith("routeware")} == {
        "routeware_call_duration_seconds",
        "routeware_attempt_duration_seconds",
        "routeware_attempts",
        "routeware_cost",
        "routeware_uncertain_cost",
        "routeware_inflight",
        "routeware_race_threshold_seconds",
    }
    costs = {sample.labels["routeware_link_label"]: sample for sample in families["routeware_cost"].samples}
    assert {label: sample.value for label, sample in costs.items()} == {"b": 0.25, "c": 0.25}
    assert [costs[label].labels["routeware_cost_wasted"] for label in "bc"] == ["true", "false"]
    (threshold,) = families["routeware_race_threshold_seconds"].samples
    assert threshold.value == 0.01


@pytest.fixture
def there_is_a_prometheus() -> None:
    """One can be started. Where the checks run, they have put it in place."""
    if program() is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)


@pytest.fixture
async def prometheus(there_is_a_prometheus: None, exposed: Exposed, tmp_path: Path) -> AsyncIterator[Prometheus]:
    """A Prometheus that has scraped before some traffic and after it."""
    await traffic(exposed)
    with running_prometheus(tmp_path, exposed.port) as running:
        # The first scrape sees all of the traffic so far, and so does the last: what is between them adds up.
        await answered(running, ["routeware_cost_total"])
        await traffic(exposed)
        await answered(running, QUERIES)
        await asyncio.sleep(0.5)  # the last scrape has seen all of it
        yield running


async def answered(prometheus: Prometheus, queries: list[str]) -> None:
    """Wait until each of these queries has an answer."""
    until = time.monotonic() + 20
    while missing := [query for query in queries if not prometheus.ask(query)]:
        assert time.monotonic() < until, missing
        await asyncio.sleep(0.1)


async def test_every_query_of_the_page_has_an_answer(prometheus: Prometheus) -> None:
    """And the right one: of three calls two race, the backups win, and losers cost three times what the winners do."""
    now = time.time()
    found = [prometheus.ask(query, now) for query in QUERIES]

    cost, uncertain, per_call, racing, extra, won, failing, unanswered, calls, attempts, threshold, inflight = found
    assert cost["b"] == pytest.approx(cost["c"])
    assert uncertain == {"race_lost": pytest.approx(2 * cost["b"])}
    assert per_call == {"ask": pytest.approx(0.5 / 3)}
    assert racing == {"": pytest.approx(cost["b"] + uncertain["race_lost"])}
    assert extra == {"": pytest.approx(2 / 3)}
    assert won == {"": 1}
    assert list(failing) == ["overloaded, a"]
    assert unanswered == {"": pytest.approx(1 / 3)}
    assert 0.01 < calls["ask"] < 1
    assert 0 < attempts["c"] < 1
    assert threshold == {"ask, fixed": 0.01}
    assert inflight == {"a": 0, "b": 0, "c": 0}
