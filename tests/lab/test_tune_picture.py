"""What `routeware tune` shows, and draws, where the data end too early to say."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from tests.fakes.commands import routeware_tune


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """Two links of which more than half of all attempts were cut off."""
    rows = [f"{link},{100 + place},{'ok' if place < 40 else 'timeout'}" for link in "ab" for place in range(100)]
    file = tmp_path / "cut.csv"
    file.write_text("link,latency_ms,status\n" + "\n".join(rows) + "\n")
    return file


def test_what_the_data_do_not_reach_is_unknown(cut: Path, tmp_path: Path) -> None:
    """In the table, in the picture and in the choice: never an extrapolation without the word."""
    result = routeware_tune(cut, "--max-extra", 10, "--plot", tmp_path / "cut.svg")

    assert result.exit_code == 3
    assert "unknown" in result.stdout
    assert "no threshold whose p95 is known is that cheap" in result.stdout


def test_a_target_that_no_data_reach_is_drawn_without_a_point(cut: Path, tmp_path: Path) -> None:
    """The nearest threshold has no 95th percentile to mark."""
    picture = tmp_path / "cut.svg"

    result = routeware_tune(cut, "--target-p95", 120, "--plot", picture)

    assert result.exit_code == 3
    assert "p95 unknown" in result.stdout
    assert picture.stat().st_size > 5_000
