"""Fewer resamples where no figure is judged: the slow tests and the benchmarks have all of them."""

from __future__ import annotations

import pytest

from routeware.lab import tune_frontier


@pytest.fixture(autouse=True)
def few_resamples(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tune` spends nearly all of its time on them, and what it says is the same sentence after a quarter of them."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(tune_frontier, "_REPEATS", 80)
