"""The answer in plain sentences: what to set, the latency that follows, what it costs, how sure; and notes to it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from routeware.lab.summary import duration
from routeware.lab.tune_facts import Assumption, Choice, Estimate, Threshold, Verdict, Way
from routeware.lab.tune_samples import CENSORED, FAILED, Sample

__all__ = ["notes", "spending", "verdict", "with_interval"]


def verdict(
    ways: tuple[Way, ...], choice: Choice, assumed: Assumption | None, confidence: float, pairs: int | None
) -> Verdict:
    """Return the cheapest way that meets what was asked for, in words.

    Dollars decide if all of these ways have a price, else extra attempts; under a cap on extra attempts, the best 95th
    percentile. Of equals, the way with the fewest changes.
    """
    now = ways[0]
    fitting = [way for way in ways if way.meets]
    if not fitting or (choice.rule == "max_extra" and choice.chosen is None):
        return _none(now, choice, confidence)
    priced = all(way.more_usd is not None for way in fitting)
    if choice.rule == "max_extra":
        best = min(fitting, key=lambda way: (_latency(way), _cost(way, priced=priced), ways.index(way)))
    else:
        best = min(fitting, key=lambda way: (_cost(way, priced=priced), ways.index(way)))
    return Verdict(
        action="keep" if best is now else best.name,
        first=best.first,
        race_after_ms=best.result.race_after_ms,
        sentence=_sentence(best, now, choice),
        sure=_sure(best, choice, assumed, confidence, pairs),
    )


def _latency(way: Way) -> float:
    return math.inf if way.result.p95_ms.value is None else way.result.p95_ms.value


def _cost(way: Way, *, priced: bool) -> float:
    if priced and way.more_usd is not None:
        return round(way.more_usd.value or 0.0, 12)
    return round(way.result.extra.value or 0.0, 9)


def _sentence(best: Way, now: Way, choice: Choice) -> str:
    quantile = choice.percentile
    if best is now:
        return f"Leave it as it is: {quantile} {with_interval(now.result.quantile(quantile))} without racing."
    after = "" if best.result.race_after_ms is None else f"race after {best.result.after}"
    action = {
        "race": f"R{after[1:]}",
        "swap": f"Try {best.first} first, without racing",
        "swap_and_race": f"Try {best.first} first, and {after}",
    }[best.name]
    changes = [
        f"{name} {_value(now.result.quantile(name))} → {with_interval(best.result.quantile(name))}"
        for name in ("p95", "p99")
    ]
    return f"{action}: {', '.join([*changes, spending(best)])}."


def spending(way: Way) -> str:
    """Return what a way costs more than now: extra attempts, and dollars where prices are known."""
    extra = way.result.extra
    attempts = "no extra attempts" if not extra.value else f"{_percent(extra.value)} extra attempts"
    if way.more_usd is None or way.more_usd.value is None:
        return attempts
    more = way.more_usd
    low, high = sorted((abs(1000 * (more.low or 0.0)), abs(1000 * (more.high or 0.0))))
    word = "less" if (more.value or 0.0) < 0 else "more"
    between = f" ({low:.2f} to {high:.2f})" if high - low >= 0.005 else ""
    return f"{attempts}, ${_usd_per_thousand(abs(more.value or 0.0))} {word} per 1,000 calls{between}"


def _usd_per_thousand(amount: float) -> str:
    """Return dollars per call as dollars per 1,000 calls, with two decimals or as many as show two digits."""
    thousand = 1000 * amount
    return f"{thousand:.2f}" if thousand >= 0.1 or thousand == 0 else f"{thousand:.2g}"


def _sure(best: Way, choice: Choice, assumed: Assumption | None, confidence: float, pairs: int | None) -> str:
    if choice.rule == "max_extra":
        bound = f"Extra attempts are at most {_percent(choice.bound)} by the estimate."
    else:
        late = best.result.misses_at_most or 0.0
        bound = (
            f"At {confidence:.0%} confidence at most {late:.1%} of the calls take longer than {duration(choice.bound)}."
        )
    if pairs is not None:
        return f"{bound} This rests on {pairs:,} pairs."
    if assumed is None or best.result.race_after_ms is None:
        return bound
    return f"{bound} {_dependence(assumed)}"


def _dependence(assumed: Assumption) -> str:
    how = f"a rank correlation of {assumed.spearman:.2g}"
    between = f"{assumed.low:.2f} to {assumed.high:.2f}"
    match assumed.source:
        case "given":
            return f"This goes by {how} between the two latencies, as you said."
        case "raced":
            return f"This goes by {how} ({between}), learned from {assumed.raced_calls:,} calls that raced."
        case _:
            return (
                f"The data have no pairs, so {how} between the two latencies is assumed ({between}): "
                "requests that are slow at one provider tend to be slow at the other."
            )


def _none(now: Way, choice: Choice, confidence: float) -> Verdict:
    best = choice.best
    if choice.rule == "max_extra" or best is None:
        return Verdict(
            action="none",
            first=now.first,
            race_after_ms=None,
            sentence=f"At most {_percent(choice.bound)} extra attempts: no threshold whose p95 is known is that cheap.",
            sure="The longest observations were cut off, and nothing is extrapolated.",
        )
    quantile = choice.percentile
    misses = "unknown" if best.misses is None else f"{best.misses.value or 0.0:.1%}"
    return Verdict(
        action="none",
        first=now.first,
        race_after_ms=None,
        sentence=f"No threshold keeps the {quantile} at {duration(choice.bound)} with {confidence:.0%} confidence, "
        "in either order of the links.",
        sure=f"The best possible is to race after {best.after}: "
        f"{quantile} {with_interval(best.quantile(quantile))}, misses {misses}.",
    )


def with_interval(estimate: Estimate) -> str:
    """Return a latency with its interval; an end that the data do not reach is open."""
    if estimate.value is None:
        return f"unknown (at least {duration(estimate.low)})" if estimate.low is not None else "unknown"
    if estimate.high is None:
        return f"{duration(estimate.value)} ({duration(estimate.low or 0.0)} or more)"
    return f"{duration(estimate.value)} ({duration(estimate.low or 0.0)} to {duration(estimate.high)})"


def _value(estimate: Estimate) -> str:
    return "unknown" if estimate.value is None else duration(estimate.value)


def _percent(share: float) -> str:
    return f"{share:.1%}"


_FEW_BEYOND = 5
"""Answers beyond a quantile, below which it rests on chance."""


def notes(
    primary: Sample, backup: Sample, pairs: int | None, assumed: Assumption | None, points: Sequence[Threshold]
) -> tuple[str, ...]:
    """Return what to know of the samples, of how they were put together, and of what they do not reach."""
    lines = [*_together(primary, backup, pairs, assumed), *_small(primary, backup, pairs)]
    for sample in (primary, backup):
        lines += _cut(sample)
    if any(point.p99_ms.value is None or point.p95_ms.value is None for point in points):
        lines.append(
            "Unknown is what the data do not reach: the longest observations were cut off. Nothing is extrapolated."
        )
    return tuple(lines)


def _together(primary: Sample, backup: Sample, pairs: int | None, assumed: Assumption | None) -> list[str]:
    if pairs is not None:
        left = len(primary) + len(backup) - 2 * pairs
        lines = [f"{pairs:,} pairs of rows belong together; {left:,} rows have no partner and were left out."]
        if any((sample.kinds == CENSORED).any() for sample in (primary, backup)):
            lines.append("In pairs, an attempt that was cut off counts as one that never answers.")
        return lines
    assert assumed is not None
    judged = f"{primary.label} and {backup.label} are judged at a rank correlation of {assumed.spearman:.2g}"
    remedy = "If the same requests went to both, --pair-by COLUMN measures it."
    lines = [f"No pairs: {judged} ({_source(assumed)}). {remedy}"]
    if primary.ordered and backup.ordered:
        lines.append("The intervals are drawn in blocks, because the order is known.")
    return lines


def _source(assumed: Assumption) -> str:
    return {
        "given": "--correlation",
        "raced": f"learned from {assumed.raced_calls:,} calls that raced",
        "assumed": "assumed; --correlation changes it",
    }[assumed.source]


def _small(primary: Sample, backup: Sample, pairs: int | None) -> list[str]:
    count = min(len(primary), len(backup)) if pairs is None else pairs
    lines = []
    for name, beyond in (("p95", 0.05), ("p99", 0.01)):
        if count * beyond < _FEW_BEYOND:
            slowest = max(1, int(count * beyond))
            lines.append(f"{count:,} requests do not make a {name}: it rests on the slowest {slowest} of them.")
    return lines


def _cut(sample: Sample) -> list[str]:
    cut, failed = int((sample.kinds == CENSORED).sum()), int((sample.kinds == FAILED).sum())
    lines = []
    if cut:
        lines.append(
            f"{cut:,} of {len(sample):,} attempts at {sample.label} were cut off; they count as longer than that."
        )
    if failed:
        lines.append(
            f"{failed:,} of {len(sample):,} attempts at {sample.label} failed; a failure is followed by the other link."
        )
    if failed and (sample.elapsed_ms[sample.kinds == FAILED] == 0).all():
        lines.append(f"How long failures of {sample.label} took is not in the data: they count as immediate.")
    return lines
