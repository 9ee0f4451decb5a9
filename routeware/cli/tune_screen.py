"""What ``routeware tune`` shows: the frontier as a table, the choice in words, and what to know before believing it."""

from __future__ import annotations

from collections.abc import Callable

from rich.table import Table

from routeware.cli.screen import console
from routeware.lab.tune_facts import Choice, Estimate, LinkSummary, Threshold, Tuning

__all__ = ["show"]

_ROWS = 10


def show(tuning: Tuning) -> None:
    """Print everything a person needs of ``tuning``."""
    out = console()
    out.print(f"primary  {_link(tuning.primary)}")
    out.print(f"backup   {_link(tuning.backup)}")
    out.print()
    out.print(_table(tuning))
    out.print(f"Latencies in milliseconds; below each figure its {tuning.confidence:.0%} interval.")
    if tuning.choice is not None:
        out.print()
        for line in _choice(tuning.choice, tuning.confidence):
            out.print(line)
    out.print()
    for note in tuning.notes:
        out.print(f"- {note}")


def _link(link: LinkSummary) -> str:
    parts = [f"{link.answered:,} answers"]
    parts += [f"{link.censored:,} cut off"] if link.censored else []
    parts += [f"{link.failed:,} failures"] if link.failed else []
    return f"{link.label}: {', '.join(parts)}"


def _table(tuning: Tuning) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    priced = any(point.extra_usd is not None for point in tuning.thresholds)
    aimed = tuning.target_ms is not None
    names = ["race after", "p50", "p95", "p99", "mean", "extra", *(["$ per 1,000"] if priced else [])]
    for name in [*names, *(["misses"] if aimed else [])]:
        table.add_column(name, justify="right")
    for point in _shown(tuning):
        cells = [_after(point), *(_ms(each) for each in (point.p50_ms, point.p95_ms, point.p99_ms, point.mean_ms))]
        cells.append(_share(point.extra))
        if point.extra_usd is not None:
            cells.append(_usd(point.extra_usd))
        if point.misses is not None:
            cells.append(_share(point.misses))
        table.add_row(*cells, style="bold" if _is_chosen(point, tuning.choice) else None)
    return table


def _shown(tuning: Tuning) -> list[Threshold]:
    """A few rows that are spread over the thresholds; the chosen one among them, and never."""
    timed = [point for point in tuning.thresholds if point.race_after_ms is not None]
    step = max(1, -(-len(timed) // _ROWS))
    chosen = tuning.choice.chosen or tuning.choice.best if tuning.choice is not None else None
    rows = timed[::step]
    if chosen is not None and chosen.race_after_ms is not None:
        rows = [point for point in rows if point.race_after_ms != chosen.race_after_ms] + [chosen]
    return [*sorted(rows, key=lambda point: point.race_after_ms or 0.0), tuning.thresholds[-1]]


def _is_chosen(point: Threshold, choice: Choice | None) -> bool:
    return choice is not None and choice.chosen is not None and choice.chosen.race_after_ms == point.race_after_ms


def _after(point: Threshold) -> str:
    return "never" if point.race_after_ms is None else f"{point.race_after_ms:,.0f} ms"


def _ms(estimate: Estimate) -> str:
    """A latency and, below it, its interval: side by side a row would not fit on a screen."""
    return _figure(estimate, lambda amount: f"{amount:.0f}")


def _share(estimate: Estimate) -> str:
    return _figure(estimate, lambda amount: f"{100 * amount:.1f}", unit="%")


def _usd(estimate: Estimate) -> str:
    return _figure(estimate, lambda amount: f"{1000 * amount:.2f}")


def _figure(estimate: Estimate, shown: Callable[[float], str], unit: str = "") -> str:
    if estimate.value is None:
        return "unknown"
    low, high = ("?" if end is None else shown(end) for end in (estimate.low, estimate.high))
    return f"{shown(estimate.value)}{unit}\n{low}-{high}"


def _choice(choice: Choice, confidence: float) -> list[str]:
    return _for_target(choice, confidence) if choice.rule == "target_p95" else _for_spending(choice)


def _for_target(choice: Choice, confidence: float) -> list[str]:
    chosen, best, point = choice.chosen, choice.best, choice.by_the_point
    asked = f"p95 of {choice.bound:,.0f} ms"
    if choice.unraced:
        return [f"{asked}: met without racing."]
    told = []
    if chosen is not None:
        told.append(f"{asked}: race after {_after(chosen)}, for {_extra(chosen)} extra attempts.")
        told.append(f"At {confidence:.0%} confidence at most {chosen.misses_at_most or 0.0:.1%} of the calls miss it.")
    else:
        assert best is not None
        told.append(f"{asked}: no threshold meets it at {confidence:.0%} confidence.")
        told.append(f"The best possible is to race after {_after(best)}: p95 {_p95(best)}, misses {_misses(best)}.")
    if point is not None and point != chosen:
        told.append(f"By the estimate alone it would be {_after(point)}, for {_extra(point)} extra attempts:")
        told.append("such a choice meets its target on new data about half the time.")
    return told


def _for_spending(choice: Choice) -> list[str]:
    chosen, asked = choice.chosen, f"At most {choice.bound:.1%} extra attempts"
    if chosen is None:
        return [f"{asked}: no threshold whose p95 is known is that cheap."]
    return [f"{asked}: race after {_after(chosen)}; p95 {_p95(chosen)} for {_extra(chosen)} extra attempts."]


def _extra(point: Threshold) -> str:
    return f"{point.extra.value or 0.0:.1%}"


def _misses(point: Threshold) -> str:
    share = None if point.misses is None else point.misses.value
    return "unknown" if share is None else f"{share:.1%}"


def _p95(point: Threshold) -> str:
    return "unknown" if point.p95_ms.value is None else f"{point.p95_ms.value:,.0f} ms"
