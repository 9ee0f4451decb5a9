"""The dashboard and the alert rules under docs/dashboards: a real Prometheus answers every query in them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.prometheus.conftest import Ask
from tests.real.prometheus.server import program

FOLDER = Path(__file__).parent.parent.parent.parent / "docs" / "dashboards"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
ALERTS = (FOLDER / "alerts.yml").read_text(encoding="utf-8")


def panels() -> Iterator[tuple[str, str]]:
    """Give every query of the dashboard with its panel's title, variables filled in as Grafana does."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1h").replace("$function", ".*")


def alerts() -> Iterator[tuple[str, str]]:
    """Give every alert's query without its threshold, with its name."""
    for name, expression in re.findall(r"alert: (\w+)\n +expr: \|\n(.*?) +(?:for|labels):", ALERTS, re.DOTALL):
        yield name, re.sub(r">[^>]*$", "", expression)


async def test_every_panel_shows_something(asked: Ask) -> None:
    """A panel without data looks like good news."""
    empty = [title for title, query in panels() if not asked(query)]

    assert empty == []


async def test_every_alert_has_data_to_judge(asked: Ask) -> None:
    """An alert whose query finds nothing never fires. No budget refuses here, so that one asks for failures."""
    found = dict(alerts())
    assert len(found) == ALERTS.count("- alert:")

    empty = [name for name, query in found.items() if not asked(query.replace("budget_exceeded", "failed"))]

    assert empty == []


def test_promtool_takes_the_rules(there_is_a_prometheus: None) -> None:
    """The tool that checks rules before they are deployed."""
    promtool = program("promtool")
    if promtool is None:
        pytest.skip("no promtool is installed (Debian: it is part of the package prometheus)")

    told = subprocess.run(
        [promtool, "check", "rules", FOLDER / "alerts.yml"], capture_output=True, text=True, check=False, timeout=60
    )

    assert told.returncode == 0, told.stderr


def test_the_dashboard_can_be_imported() -> None:
    """By any Grafana since version 10: its schema, one id per panel, and no data source but the one that is chosen."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    sources = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())}

    assert DASHBOARD["schemaVersion"] >= 39
    assert len(ids) == len(set(ids))
    assert sources == {"${datasource}"}
    assert all(panel["description"] for panel in DASHBOARD["panels"] if panel["type"] != "row")
