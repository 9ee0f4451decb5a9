"""Prints what ``routeware tune`` found: the answer in a sentence, how sure it is, and then the figures behind it."""

from __future__ import annotations

from collections.abc import Callable

from rich.table import Table

from routeware.cli.screen import console
from routeware.lab.tune_facts import Choice, Drift, Estimate, LinkSummary, Sizes, Threshold, Tuning, Way
from routeware.lab.tune_verdict import spending, with_interval

__all__ = ["goal_of", "show"]

_ROWS = 10
_WAYS = {"now": "as it is now", "race": "raced", "swap": "swapped", "swap_and_race": "swapped and raced"}
_WIDE, _NARROW = 76, 56


def show(tuning: Tuning, left_out: int, malformed: int) -> None:
    """Print everything that a person needs of ``tuning``."""
    out = console()
    if tuning.verdict is not None:
        out.print(_encodable(tuning.verdict.sentence, out.encoding), style="bold", soft_wrap=out.width >= _WIDE)
        out.print(tuning.verdict.sure)
        out.print()
    out.print(f"primary  {_link(tuning.primary)}")
    out.print(f"backup   {_link(tuning.backup)}")
    if tuning.verdict is not None:
        out.print()
        for way in tuning.ways:
            out.print(f"- {_way(way)}")
    out.print()
    out.print(_table(tuning, out.width))
    below = "" if out.width < _NARROW else f"; below each figure its {tuning.confidence:.0%} interval"
    out.print(f"Latencies in milliseconds{below}.")
    for lines in (_choice(tuning), _sensitivity(tuning), _sizes(tuning.sizes), _drift(tuning.drift)):
        if lines:
            out.print()
            for line in lines:
                out.print(line)
    out.print()
    if left_out:
        out.print(_left_out(left_out, "answered row", "no latency"))
    if malformed:
        out.print(_left_out(malformed, "row", "an unexpected shape"))
    for note in tuning.notes:
        out.print(f"- {note}")


def _left_out(count: int, noun: str, flaw: str) -> str:
    if count == 1:
        return f"- 1 {noun} has {flaw} and was left out."
    return f"- {count:,} {noun}s have {flaw} and were left out."


def _encodable(text: str, encoding: str) -> str:
    """Return text that a terminal can show: not every encoding has an arrow."""
    return (
        text.replace("→", "->").encode(encoding, "replace").decode(encoding) if not encoding.startswith("utf") else text
    )


def goal_of(choice: Choice) -> str:
    """Return what was asked for in a few words."""
    if choice.rule == "max_extra":
        return f"at most {choice.bound:.1%} extra attempts"
    return f"{choice.percentile} of {choice.bound:,.0f} ms"


def _link(link: LinkSummary) -> str:
    parts = [f"{link.answered:,} answers"]
    parts += [f"{link.censored:,} cut off"] if link.censored else []
    parts += [f"{link.failed:,} failures"] if link.failed else []
    return f"{link.label}: {', '.join(parts)}"


def _way(way: Way) -> str:
    """Return one way to serve the calls, with what it gives and costs."""
    result = way.result
    after = "" if result.race_after_ms is None else f" after {result.after}"
    latencies = f"p95 {with_interval(result.p95_ms)}, p99 {with_interval(result.p99_ms)}"
    cost = "" if way.name == "now" else f", {spending(way)}"
    return f"{way.first} first, {_WAYS[way.name]}{after}: {latencies}{cost}."


def _table(tuning: Tuning, width: int) -> Table:
    """Return the frontier. A narrow terminal gets fewer columns, and below 56 columns no intervals."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    priced = width >= _WIDE and any(point.extra_usd is not None for point in tuning.thresholds)
    names = ["p50", "p95", "p99", "mean"] if width >= _WIDE else ["p95", "p99"]
    titles = ["race after", *names, "extra", *(["$ per 1,000"] if priced else [])]
    for title in [*titles, *(["misses"] if tuning.target_ms is not None else [])]:
        table.add_column(title, justify="right", no_wrap=title != "race after")
    for point in _shown(tuning):
        cells = [_ms(getattr(point, f"{name}_ms")) for name in names] + [_share(point.extra)]
        if priced and point.extra_usd is not None:
            cells.append(_usd(point.extra_usd))
        if point.misses is not None:
            cells.append(_share(point.misses))
        cells = cells if width >= _NARROW else [cell.partition("\n")[0] for cell in cells]
        table.add_row(point.after, *cells, style="bold" if _is_chosen(point, tuning.choice) else None)
    return table


def _shown(tuning: Tuning) -> list[Threshold]:
    """Return a few rows that are spread over the thresholds; the chosen one is among them, and never."""
    timed = [point for point in tuning.thresholds if point.race_after_ms is not None]
    step = max(1, -(-len(timed) // _ROWS))
    chosen = tuning.choice.nearest if tuning.choice is not None else None
    rows = timed[::step]
    if chosen is not None and chosen.race_after_ms is not None:
        rows = [point for point in rows if point.race_after_ms != chosen.race_after_ms] + [chosen]
    return [*sorted(rows, key=lambda point: point.race_after_ms or 0.0), tuning.thresholds[-1]]


def _is_chosen(point: Threshold, choice: Choice | None) -> bool:
    return choice is not None and choice.chosen is not None and choice.chosen.race_after_ms == point.race_after_ms


def _ms(estimate: Estimate) -> str:
    """Return a latency and, below it, its interval: side by side a row would not fit on a screen."""
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


def _choice(tuning: Tuning) -> list[str]:
    if tuning.choice is None:
        return []
    return _for_spending(tuning.choice) if tuning.choice.rule == "max_extra" else _for_target(tuning)


def _for_target(tuning: Tuning) -> list[str]:
    choice = tuning.choice
    assert choice is not None
    chosen, point, asked = choice.chosen, choice.by_the_point, goal_of(choice)
    if choice.unraced:
        return [f"{asked}: met without racing."]
    lines = []
    if chosen is not None:
        lines.append(f"{asked}: race after {chosen.after}, for {_extra(chosen)} extra attempts.")
    else:
        lines.append(f"{asked}: no threshold meets it at {tuning.confidence:.0%} confidence.")
    if point is not None and point != chosen:
        lines.append(f"By the estimate alone it would be {point.after}, for {_extra(point)} extra attempts:")
        lines.append("such a choice meets its target on new data about half the time.")
    return lines


def _for_spending(choice: Choice) -> list[str]:
    chosen, asked = choice.chosen, f"At most {choice.bound:.1%} extra attempts"
    if chosen is None:
        return []
    return [f"{asked}: race after {chosen.after}; p95 {_p95(chosen)} for {_extra(chosen)} extra attempts."]


def _sensitivity(tuning: Tuning) -> list[str]:
    """Return the threshold at other correlations than the assumed one."""
    if not tuning.sensitivity:
        return []
    lines = ["The same threshold at other rank correlations of the two latencies:"]
    for row in tuning.sensitivity:
        p95 = "unknown" if row.p95_ms is None else f"{row.p95_ms:,.0f} ms"
        misses = "" if row.misses is None else f", misses {row.misses:.1%}"
        lines.append(f"  {row.spearman:.1f}: p95 {p95}{misses}")
    return lines


def _sizes(sizes: Sizes | None) -> list[str]:
    if sizes is None:
        return []
    lines = [f"Thresholds by {sizes.column}, with one budget of misses:"]
    for bucket in sizes.buckets:
        starts = " or ".join(
            ("never" if after is None else f"after {after:,.0f} ms") + ("" if share >= 1.0 else f" ({share:.0%})")
            for after, share in bucket.starts
        )
        figures = f"late alone {bucket.late:.1%}, misses {bucket.misses:.1%}, extra {bucket.extra:.1%}"
        lines.append(f"  {bucket.name} ({bucket.calls:,} calls): {starts}; {figures}")
    lines.append(f"Together: misses {sizes.misses:.1%}, extra attempts {sizes.extra:.1%}.")
    if sizes.one_threshold_ms is None or sizes.one_extra is None:
        lines.append("One threshold for all sizes would not keep the target.")
    else:
        lines.append(
            f"One threshold for all sizes ({sizes.one_threshold_ms:,.0f} ms) would cost {sizes.one_extra:.1%}."
        )
    return lines


def _drift(drift: Drift | None) -> list[str]:
    return [] if drift is None else [drift.sentence]


def _extra(point: Threshold) -> str:
    return f"{point.extra.value or 0.0:.1%}"


def _p95(point: Threshold) -> str:
    return "unknown" if point.p95_ms.value is None else f"{point.p95_ms.value:,.0f} ms"
