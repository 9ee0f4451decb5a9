"""Draws a frontier: the call's latency over the threshold, and what a 95th percentile costs, with the chosen point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from routeware.lab.tune_facts import Estimate, Threshold, Tuning

__all__ = ["plot"]

_QUANTILES = (("p50", "#4c78a8"), ("p95", "#e45756"), ("p99", "#9d755d"))
_ROOM = 1.12


def plot(tuning: Tuning, path: str | Path) -> None:
    """Draw ``tuning`` into a file whose name ends in ``.png`` or ``.svg``; a ``ValueError`` for others."""
    if Path(path).suffix.lower() not in (".png", ".svg"):
        raise ValueError(f"a picture is a .png or an .svg, not {Path(path).name!r}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 9.0), layout="constrained")
    FigureCanvasAgg(figure)
    latency, cost = figure.subplots(2, 1, height_ratios=(3, 2))
    _draw_latency(latency, tuning)
    _draw_cost(cost, tuning)
    latency.set_title(f"{tuning.primary.label} raced against {tuning.backup.label}")
    # Beside the axes: there it covers no line, wherever the lines are.
    latency.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for axes in (latency, cost):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def _draw_latency(axes: Any, tuning: Tuning) -> None:
    """Draw latencies over thresholds; "never" is the last mark on the axis, behind a gap."""
    timed = [point for point in tuning.thresholds if point.race_after_ms is not None]
    last = max((point.race_after_ms or 0.0 for point in timed), default=1.0)
    never_at = _ROOM * max(last, 1.0)
    for name, colour in _QUANTILES:
        _line(axes, [(point.race_after_ms or 0.0, point.quantile(name)) for point in timed], colour, name)
        never = tuning.thresholds[-1].quantile(name)
        if never.value is not None:
            low, high = never.low or never.value, never.high or never.value
            axes.errorbar([never_at], [never.value], [[never.value - low], [high - never.value]], fmt="s", color=colour)
    ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= last]
    axes.set_xticks([*ticks, never_at], [*(f"{tick:,.0f}" for tick in ticks), "never"])
    axes.set_xlabel("race_after_ms")
    axes.set_ylabel("latency of the call, ms")
    axes.set_ylim(bottom=0.0)
    if tuning.target_ms is not None:
        axes.axhline(tuning.target_ms, color="black", linestyle=":", linewidth=1)
        axes.annotate(f"target {tuning.target_ms:,.0f} ms", (0.0, tuning.target_ms), va="bottom", fontsize=9)
    _mark(axes, tuning, never_at)


def _mark(axes: Any, tuning: Tuning, never_at: float) -> None:
    point, word = _chosen(tuning)
    if point is None:
        return
    at = never_at if point.race_after_ms is None else point.race_after_ms
    axes.axvline(at, color="black", linestyle="--", linewidth=1)
    if point.p95_ms.value is not None:
        axes.plot([at], [point.p95_ms.value], "o", color="black", label=word)


def _draw_cost(axes: Any, tuning: Tuning) -> None:
    """Draw the 95th percentile over dollars, or over extra attempts where no price is known."""
    priced = all(point.extra_usd is not None for point in tuning.thresholds)
    known = [point for point in tuning.thresholds if point.p95_ms.value is not None]
    _line(axes, [(_spent(point, priced=priced), point.p95_ms) for point in known], "#e45756", "p95")
    point, _ = _chosen(tuning)
    if point is not None and point.p95_ms.value is not None:
        spent = _spent(point, priced=priced)
        axes.plot([spent], [point.p95_ms.value], "o", color="black")
        axes.annotate(f"  {point.after}", (spent, point.p95_ms.value), fontsize=9)
    axes.set_xlabel("dollars more per 1,000 calls" if priced else "extra attempts, % of calls")
    axes.set_ylabel("p95 of the call, ms")
    axes.set_xlim(left=0.0)
    axes.set_ylim(bottom=0.0)


def _spent(point: Threshold, *, priced: bool) -> float:
    if priced and point.extra_usd is not None:
        return 1000.0 * (point.extra_usd.value or 0.0)
    return 100.0 * (point.extra.value or 0.0)


def _chosen(tuning: Tuning) -> tuple[Threshold | None, str]:
    """Return the point to mark, and what to call it."""
    if tuning.choice is None:
        return None, ""
    if tuning.choice.chosen is not None:
        return tuning.choice.chosen, "chosen"
    return tuning.choice.best, "nearest, misses the target"


def _line(axes: Any, points: Sequence[tuple[float, Estimate]], colour: str, label: str) -> None:
    """Draw a line with its interval shaded; it breaks off where the data do."""
    known = [(at, each.value, each.low, each.high) for at, each in points if each.value is not None]
    if not known:
        return
    places = [at for at, *_ in known]
    axes.plot(places, [value for _, value, _, _ in known], color=colour, label=label)
    low = [value if lowest is None else lowest for _, value, lowest, _ in known]
    high = [value if highest is None else highest for _, value, _, highest in known]
    axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
