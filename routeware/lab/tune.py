"""Finds a race threshold from observations: the frontier of latency and spending, and the choice on it.

The estimate alone is not enough to choose by. It is as often too low as too high, so the threshold that just meets a
target by it misses on new data about half the time; the upper bound of the share of misses is what has to meet it.

Sources: Kaplan & Meier 1958; Efron 1979, Bootstrap methods (in blocks: Künsch 1989); Dean & Barroso 2013.
"""

from __future__ import annotations

from collections.abc import Callable

from routeware.lab.tune_drift import drift
from routeware.lab.tune_facts import Choice, Drift, LinkSummary, Sensitivity, Threshold, Tuning
from routeware.lab.tune_links import Goal, Links, Prices, candidates_of, choose, frontier_of, points_of, prepare
from routeware.lab.tune_notes import notes
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, RacedCalls, Sample
from routeware.lab.tune_verdict import verdict
from routeware.lab.tune_ways import ways_of

__all__ = ["tune"]

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
