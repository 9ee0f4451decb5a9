"""The queries of docs/metrics.md, asked of a real Prometheus: each of the four questions has its answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.real.prometheus.conftest import Ask, Exposed, traffic
from tests.real.prometheus.server import scraped

PAGE = (Path(__file__).parent.parent.parent.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)


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


async def test_every_query_of_the_page_has_an_answer(asked: Ask) -> None:
    """And the right one: of three calls two race, the backups win, and losers cost three times what the winners do."""
    found = [asked(query) for query in QUERIES]

    cost, uncertain, per_call, racing, extra, won, failing, unanswered, calls, attempts, threshold, inflight = found
    assert cost["b"] == pytest.approx(cost["c"])
    assert uncertain == {"race_lost": pytest.approx(2 * cost["b"])}
    assert per_call == {"ask": pytest.approx(0.5 / 3)}
    assert racing == {"": pytest.approx(cost["b"] + uncertain["race_lost"])}
    assert extra == {"": pytest.approx(2 / 3)}
    assert won == {"": 1}
    assert list(failing) == ["overloaded, a"]
    assert unanswered == {"": pytest.approx(1 / 3)}
    assert calls["ask"] > 0.01
    assert attempts["c"] > 0
    assert threshold == {"ask, fixed": 0.01}
    assert inflight == {"a": 0, "b": 0, "c": 0}
