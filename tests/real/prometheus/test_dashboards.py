"""The dashboard and the alert rules under docs/dashboards: a real Prometheus answers every query in them."""

from __future__ import annotations

import json
import re
import shutil
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


async def test_every_panel_and_every_alert_has_data(asked_of_all: Ask) -> None:
    """A panel without data looks like good news, and an alert whose query finds nothing never fires."""
    queries = [*panels(), *alerts()]
    assert len(dict(alerts())) == ALERTS.count("- alert:")

    empty = [title for title, query in queries if not asked_of_all(query)]

    assert empty == []


def test_every_metric_is_on_the_dashboard() -> None:
    """What is measured can be seen."""
    page = (FOLDER.parent / "metrics.md").read_text(encoding="utf-8")
    measured = re.findall(r"^\| `(routeware\.[\w.]+)` \|", page, re.MULTILINE)
    shown = " ".join(query for _, query in panels())

    assert [name for name in measured if name.replace(".", "_") not in shown] == []


@pytest.mark.parametrize(("check", "file"), [("check", "alerts.yml"), ("test", "alerts_test.yml")])
def test_promtool_takes_the_rules_and_sees_them_fire(
    check: str, file: str, there_is_a_prometheus: None, tmp_path: Path
) -> None:
    """Each fires on a function or link that is bad enough, and on no other: alerts_test.yml has the series."""
    promtool = program("promtool")
    if promtool is None:
        pytest.skip("no promtool is installed (Debian: it is part of the package prometheus)")
    for source in (FOLDER / "alerts.yml", Path(__file__).with_name("alerts_test.yml")):
        shutil.copy(source, tmp_path)

    told = subprocess.run(
        [promtool, check, "rules", tmp_path / file], capture_output=True, text=True, check=False, timeout=60
    )

    assert told.returncode == 0, told.stdout + told.stderr


def test_promtool_sees_every_alert_fire() -> None:
    """A new rule needs a case."""
    cases = Path(__file__).with_name("alerts_test.yml").read_text(encoding="utf-8")

    assert re.findall(r"alertname: (\w+)", cases) == [name for name, _ in alerts()]


def test_the_dashboard_can_be_imported() -> None:
    """By any Grafana since version 10: its schema, one id per panel, and no data source but the one that is chosen."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    sources = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())}

    assert DASHBOARD["schemaVersion"] >= 39
    assert len(ids) == len(set(ids))
    assert sources == {"${datasource}"}
    assert all(panel["description"] for panel in DASHBOARD["panels"] if panel["type"] != "row")


def test_no_panel_covers_another() -> None:
    """On a grid of 24 columns."""
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
