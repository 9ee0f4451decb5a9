"""Finds a race threshold from observations: the frontier of latency and spending, and the choice on it.

The estimate alone is not enough to choose by. It is as often too low as too high, so the threshold that just meets a
target by it misses on new data about half the time; the upper bound of the share of misses is what has to meet it.

Sources: Kaplan & Meier 1958; Efron 1979, Bootstrap methods (in blocks: Künsch 1989); Dean & Barroso 2013.

The ways to serve the calls: as it is now, raced, and with the two links swapped.

Often the cheapest answer is to swap: for half of the pairs of hosted models the backup alone meets a target that the
primary needs 30 % extra attempts for.

The test that yesterday's threshold holds today: the second half of the data, served by the first half's threshold.

Providers change within weeks: a threshold from July met its target in August for 9 % of the pairs of hosted models.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np

from routeware.lab.summary import duration
from routeware.lab.tune_facts import Choice, Drift, Estimate, LinkSummary, Sensitivity, Threshold, Tuning, Way
from routeware.lab.tune_frontier import Goal, Links, Prices, candidates_of, choose, frontier_of, points_of, prepare
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, RacedCalls, Sample
from routeware.lab.tune_verdict import notes, verdict

__all__ = ["FEWEST", "drift", "tune", "ways_of"]

_THRESHOLDS = 48
_SHOWN_SPEARMANS = (0.0, 0.2, 0.4, 0.6)


def tune(
    primary: Sample,
    backup: Sample,
    *,
    paired: bool = False,
    target_p95_ms: float | None = None,
    target_p99_ms: float | None = None,
    max_extra: float | None = None,
    confidence: float = 0.9,
    usd_per_attempt: float | None = None,
    primary_usd_per_attempt: float | None = None,
    correlation: float | None = None,
    raced: RacedCalls | None = None,
    seed: int = 0,
    progress: Callable[[float], object] = lambda _share: None,
) -> Tuning:
    """Compute what racing ``primary`` against ``backup`` would do, and choose a threshold.

    Args:
        primary: what was observed of the link that is tried first.
        backup: what was observed of the other link.
        paired: whether rows with the same key belong together; otherwise ``correlation`` stands for their dependence.
        target_p95_ms: choose the cheapest threshold that keeps this 95th percentile, with confidence.
        target_p99_ms: the same for the 99th percentile.
        max_extra: choose the threshold with the best 95th percentile that starts no more backups per call than this.
        confidence: of the intervals, two-sided, and of the upper bound on misses, one-sided; 0 to 1.
        usd_per_attempt: the price of an attempt at the backup.
        primary_usd_per_attempt: the price of an attempt at the primary.
        correlation: the rank correlation of the two latencies of one request; by default 0.5, or what ``raced`` shows.
        raced: calls of these two links that raced.
        seed: of the resamples.
        progress: called with the share of the work that is done.

    Raises:
        ValueError: a link has no answer, or nothing can be paired.
    """
    _require_answers(primary, backup)
    target_ms = target_p95_ms if target_p99_ms is None else target_p99_ms
    goal = Goal(
        target_ms=target_ms,
        allowed=0.05 if target_p99_ms is None else 0.01,
        rule="max_extra" if target_ms is None else "target_p95" if target_p99_ms is None else "target_p99",
        max_extra=max_extra,
        confidence=confidence,
    )
    prices = Prices(primary_usd_per_attempt, usd_per_attempt)
    links = prepare(
        primary, backup, paired=paired, target_ms=target_ms, correlation=correlation, raced=raced, seed=seed
    )
    points = points_of(links, goal, prices, candidates_of(primary, target_ms, _THRESHOLDS), progress)
    choice = choose(links, goal, prices, points)
    ways = ways_of(links, goal, prices, points[-1], choice)
    return Tuning(
        primary=_summary(primary),
        backup=_summary(backup),
        method="paired" if paired else "independent",
        pairs=links.pairs,
        correlation=links.assumed,
        confidence=confidence,
        target_ms=target_ms,
        thresholds=tuple(points),
        choice=choice,
        notes=notes(primary, backup, links.pairs, links.assumed, tuple(points)),
        verdict=None if choice is None else verdict(ways, choice, links.assumed, confidence, links.pairs),
        ways=ways,
        sensitivity=_sensitivity(links, goal, choice),
        drift=_drift(links, goal),
    )


def _require_answers(*samples: Sample) -> None:
    for sample in samples:
        if not (sample.kinds == ANSWERED).any():
            raise ValueError(f"{sample.label} has no answer in these data")


def _sensitivity(links: Links, goal: Goal, choice: Choice | None) -> tuple[Sensitivity, ...]:
    """Return what the chosen threshold would do at rank correlations from 0 to 0.6."""
    chosen = None if choice is None else choice.chosen or choice.best
    if links.pairs is not None or chosen is None or chosen.race_after_ms is None:
        return ()
    rows = []
    for spearman in _SHOWN_SPEARMANS:
        other = links.again(links.primary, links.backup, spearman)
        point = frontier_of(other, goal, Prices()).point(chosen.race_after_ms)
        misses = None if point.misses is None else point.misses.value
        rows.append(Sensitivity(spearman, point.p95_ms.value, point.p99_ms.value, misses))
    return tuple(rows)


def _drift(links: Links, goal: Goal) -> Drift | None:
    if goal.target_ms is None and goal.max_extra is None:
        return None

    def threshold(first: Sample, second: Sample) -> Choice:
        choice = choose(links.again(first, second, None), goal, Prices())
        assert choice is not None
        return choice

    def serve(first: Sample, second: Sample, after_ms: float) -> Threshold:
        return frontier_of(links.again(first, second, None), goal, Prices()).point(after_ms)

    try:
        return drift(links.primary, links.backup, threshold, serve)
    except ValueError:  # the halves of pairs may have none
        return None


def _summary(sample: Sample) -> LinkSummary:
    kinds = sample.kinds
    return LinkSummary(
        label=sample.label,
        attempts=len(sample),
        answered=int((kinds == ANSWERED).sum()),
        censored=int((kinds == CENSORED).sum()),
        failed=int((kinds == FAILED).sum()),
    )


def ways_of(links: Links, goal: Goal, prices: Prices, never: Threshold, choice: Choice | None) -> tuple[Way, ...]:
    """Return what the calls are like now, raced, with the links swapped, and swapped and raced.

    A way that would not meet the goal is left out, but for the two that need no threshold.
    """
    free = Estimate(0.0, 0.0, 0.0)
    kept, swapped = (links.primary.label, links.backup.label), (links.backup.label, links.primary.label)
    ways = [_way("now", kept, never, goal, free)]
    if (result := _raced(choice)) is not None:
        ways.append(_way("race", kept, result, goal, _more(result, prices, None)))
    other, back = links.again(links.backup, links.primary, None), prices.swapped()
    alone = frontier_of(other, goal, back).point(math.inf)
    ways.append(_way("swap", swapped, alone, goal, _more(alone, back, prices)))
    if choice is not None and not ways[-1].meets and (result := _raced(choose(other, goal, back))) is not None:
        ways.append(_way("swap_and_race", swapped, result, goal, _more(result, back, prices)))
    return tuple(ways)


def _way(name: str, order: tuple[str, str], result: Threshold, goal: Goal, more: Estimate | None) -> Way:
    return Way(name=name, first=order[0], second=order[1], result=result, meets=_meets(result, goal), more_usd=more)


def _raced(choice: Choice | None) -> Threshold | None:
    """Return the chosen threshold, unless it is never."""
    chosen = None if choice is None else choice.chosen
    return None if chosen is None or chosen.race_after_ms is None else chosen


def _meets(point: Threshold, goal: Goal) -> bool | None:
    """Return whether a call meets the goal; ``None`` without one. A cap on spending is met by never racing."""
    if goal.target_ms is None:
        return None if goal.max_extra is None else (point.extra.value or 0.0) <= goal.max_extra
    return (point.misses_at_most or 0.0) <= goal.allowed


def _more(point: Threshold, prices: Prices, before: Prices | None) -> Estimate | None:
    """Return dollars per call more than now: those of the backups, and where the order changes those of the first."""
    base = 0.0
    if before is not None:
        if prices.primary_usd is None or before.primary_usd is None:
            return None
        base = prices.primary_usd - before.primary_usd
    if not point.extra.value:
        return Estimate(base, base, base)
    usd = prices.backup_usd
    if usd is None:
        return None
    extra = (point.extra.value, point.extra.low, point.extra.high)
    return Estimate(*(None if each is None else base + each * usd for each in extra))


FEWEST = 100
"""Rows per link from which halves are compared."""

_BY_CHANCE = 0.01


def drift(
    primary: Sample,
    backup: Sample,
    choose: Callable[[Sample, Sample], Choice],
    serve: Callable[[Sample, Sample, float], Threshold],
) -> Drift | None:
    """Return how the first half's threshold does on the second half; ``None`` where no order or too few rows are known.

    Args:
        primary: the link that is tried first.
        backup: the other link.
        choose: finds a threshold.
        serve: computes what a call looks like at a threshold.
    """
    links = (primary, backup)
    if any(not link.ordered or len(link) < FEWEST for link in links):
        return None
    earlier, later = ([_half(link, late=late) for link in links] for late in (False, True))
    if any(not (half.kinds == ANSWERED).any() for half in (*earlier, *later)):
        return None
    choice = choose(earlier[0], earlier[1])
    chosen = choice.chosen or choice.best
    if chosen is None:
        return None
    after_ms = math.inf if chosen.race_after_ms is None else chosen.race_after_ms
    there = serve(later[0], later[1], after_ms)
    changed = tuple(link.label for link, old, new in zip(links, earlier, later, strict=True) if _differ(old, new))
    return Drift(
        race_after_ms=chosen.race_after_ms,
        found=choice.chosen is not None,
        misses=None if there.misses is None else there.misses.value,
        p95_ms=there.p95_ms.value,
        changed=changed,
        sentence=_sentence(choice, chosen, there, changed),
    )


def _half(sample: Sample, *, late: bool) -> Sample:
    middle = len(sample) // 2
    rows = slice(middle, None) if late else slice(None, middle)
    keys = sample.keys[rows] if sample.keys else ()
    return attrs.evolve(sample, elapsed_ms=sample.elapsed_ms[rows], kinds=sample.kinds[rows], keys=keys)


def _differ(first: Sample, second: Sample) -> bool:
    """Return True if the answers' latencies differ by more than chance (Kolmogorov 1933, Smirnov 1948)."""
    a, b = (np.sort(half.elapsed_ms[half.kinds == ANSWERED]) for half in (first, second))
    both = np.concatenate([a, b])
    distance = np.abs(
        np.searchsorted(a, both, side="right") / len(a) - np.searchsorted(b, both, side="right") / len(b)
    ).max()
    scaled = float(distance) * math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    return 2.0 * math.exp(-2.0 * scaled**2) < _BY_CHANCE


def _sentence(choice: Choice, chosen: Threshold, there: Threshold, changed: tuple[str, ...]) -> str:
    after = "never racing" if chosen.race_after_ms is None else f"racing after {chosen.race_after_ms:,.0f} ms"
    source = "the first half's threshold" if choice.chosen is not None else "the first half's nearest threshold"
    parts = [f"In the second half of the data, {source} ({after}) gives a p95 of {_ms(there.p95_ms.value)}"]
    if there.misses is not None and there.misses.value is not None:
        parts.append(f"and {there.misses.value:.1%} of the calls take longer than {duration(choice.bound)}")
    text = f"{', '.join(parts)}."
    if changed:
        text += (
            f" The halves of {' and of '.join(changed)} differ by more than chance: expect a fixed threshold to age."
        )
    return text


def _ms(amount: float | None) -> str:
    return "unknown length" if amount is None else duration(amount)
