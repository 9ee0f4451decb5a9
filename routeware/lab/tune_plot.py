"""A picture of a frontier: the call's latency and the extra attempts over the threshold, with the chosen point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from routeware.lab.tune_facts import Estimate, Threshold, Tuning

__all__ = ["plot"]

_QUANTILES = (("p50", "#4c78a8"), ("p95", "#e45756"), ("p99", "#9d755d"))


def plot(tuning: Tuning, path: str | Path) -> None:
    """Draw ``tuning`` into a file whose name ends in ``.png`` or ``.svg``.

    Raises:
        ValueError: the name ends otherwise.
        OSError: the file cannot be written.
    """
    if Path(path).suffix.lower() not in (".png", ".svg"):
        raise ValueError(f"a picture is a .png or an .svg, not {Path(path).name!r}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 7.0), layout="constrained")
    FigureCanvasAgg(figure)
    latency, spend = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    points = [point for point in tuning.thresholds if point.race_after_ms is not None]
    for name, colour in _QUANTILES:
        _band(latency, points, [_quantile(point, name) for point in points], 1.0, colour, name)
    _band(spend, points, [point.extra for point in points], 100.0, "#54a24b", "extra attempts")
    _marks(latency, spend, tuning)
    latency.set_ylabel("latency of the call, ms")
    latency.set_title(f"{tuning.primary.label} raced against {tuning.backup.label} ({tuning.method})")
    spend.set_ylabel("extra attempts, % of calls")
    spend.set_xlabel("race_after_ms")
    spend.set_ylim(bottom=0.0)
    for axes in (latency, spend):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")
    figure.savefig(path, dpi=120)


def _quantile(point: Threshold, name: str) -> Estimate:
    return {"p50": point.p50_ms, "p95": point.p95_ms, "p99": point.p99_ms}[name]


def _band(axes: Any, points: list[Threshold], values: list[Estimate], scale: float, colour: str, label: str) -> None:
    """A line with its interval shaded; it breaks off where the data do."""
    known = [
        (point.race_after_ms, each.value, each.low, each.high)
        for point, each in zip(points, values, strict=True)
        if each.value is not None
    ]
    if not known:
        return
    at = [place for place, *_ in known]
    axes.plot(at, [scale * value for _, value, _, _ in known], color=colour, label=label)
    low = [scale * (value if lowest is None else lowest) for _, value, lowest, _ in known]
    high = [scale * (value if highest is None else highest) for _, value, _, highest in known]
    axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)


def _marks(latency: Any, spend: Any, tuning: Tuning) -> None:
    if tuning.target_ms is not None:
        latency.axhline(tuning.target_ms, color="black", linestyle=":", linewidth=1, label="target p95")
    choice = tuning.choice
    chosen = None if choice is None else choice.chosen or choice.best
    if choice is None or chosen is None or chosen.race_after_ms is None:
        return
    word = "chosen" if choice.chosen is not None else "nearest, misses the target"
    for axes in (latency, spend):
        axes.axvline(chosen.race_after_ms, color="black", linestyle="--", linewidth=1)
    if chosen.p95_ms.value is not None:
        latency.plot([chosen.race_after_ms], [chosen.p95_ms.value], "o", color="black", label=word)
