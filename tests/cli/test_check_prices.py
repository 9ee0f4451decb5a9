"""``routeware check`` says what links cost, and who says so."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import genai_prices
import pytest
from genai_prices.data_snapshot import set_custom_snapshot
from typer.testing import CliRunner, Result

from routeware.cli.app import app
from tests.fakes.catalogues import a_snapshot

VERSION = genai_prices.__version__

POLICY = """
[[chain]]
provider = "mine"
model = "own"
price = { output_usd_per_mtok = 7 }

[[chain]]
provider = "azure"
model = "plain-2026"

[[chain]]
provider = "openai"
model = "plane"

[[chain]]
provider = "nobody"
model = "zzzzzzzzzzzz"
"""


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    """A catalogue whose figures are known."""
    set_custom_snapshot(a_snapshot())
    yield
    set_custom_snapshot(None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A policy with prices of all kinds."""
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


def check(*arguments: object) -> Result:
    """The command, run in this process."""
    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    assert result.exit_code == 0
    return result


def test_prices_are_shown_with_their_source(file: Path) -> None:
    """The policy's own without words; the catalogue's with its version; what it does not know with its nearest."""
    said = " ".join(check(file).stdout.split())

    assert "1 mine:own 120,000 ms $0 $7" in said
    assert "2 azure:plain-2026 120,000 ms $2 $10" in said
    assert "3 openai:plane 120,000 ms not given not given" in said
    assert f"2 as azure:plain in genai-prices {VERSION}, if that is given as prices=" in said
    assert f"3 is not in genai-prices {VERSION}; nearest: openai:plain" in said
    assert f"4 is not in genai-prices {VERSION}" in said


def test_prices_are_told_to_a_script(file: Path) -> None:
    """By link."""
    told = [link["price"] for link in json.loads(check(file, "--json").stdout)["links"]]

    plain = {"input_usd_per_mtok": 2, "output_usd_per_mtok": 10, "cached_input_usd_per_mtok": 0.5, "request_usd": 0}
    assert [one["source"] for one in told] == ["policy", *[f"genai-prices {VERSION}"] * 3]
    assert told[1]["price"] == plain
    assert [one["matched"] for one in told] == [None, "azure:plain", None, None]
    assert told[2]["price"] is None
    assert told[2]["nearest"][0] == "openai:plain"
    assert told[3]["nearest"] == []


def test_without_the_catalogue_nothing_is_said_of_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; the check works without."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)

    assert "genai-prices" not in check(file).stdout
    told = [link["price"] for link in json.loads(check(file, "--json").stdout)["links"]]
    assert [one and one["source"] for one in told] == ["policy", None, None, None]


def test_where_all_links_have_prices_the_catalogue_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading it takes longer than the rest of the check."""
    file = tmp_path / "policy.toml"
    file.write_text('chain = [{ provider = "a", model = "b", price = {} }]')
    monkeypatch.setattr("routeware.contrib.genai_prices.catalogue", None)

    assert "prices" not in check(file).stdout.splitlines()[-3]
