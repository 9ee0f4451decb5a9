"""Finds a race threshold from observations: the frontier of latency and spending, the choice on it, and the other ways.

The estimate alone is not enough to choose by. It is as often too low as too high, so the threshold that just meets a
target by it misses on new data about half the time; the upper bound of the share of misses is what has to meet it.

Often the cheapest answer is to swap the two links: for half of the pairs of hosted models the backup alone meets a
target that the primary needs 30 % extra attempts for. And providers change within weeks: a threshold from July met its
target in August for 9 % of those pairs, so the second half of the data is served by the first half's threshold.

Sources: Kaplan & Meier 1958; Efron 1979, Bootstrap methods (in blocks: Künsch 1989); Dean & Barroso 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import numpy as np

from routeware.lab.summary import duration
from routeware.lab.tune_facts import Choice, Drift, Estimate, LinkSummary, Sensitivity, Threshold, Tuning, Way
from routeware.lab.tune_frontier import Frontier, Goal
from routeware.lab.tune_samples import ANSWERED, CENSORED, FAILED, RacedCalls, Sample
from routeware.lab.tune_verdict import notes, verdict

__all__ = ["tune"]

_THRESHOLDS = 48
_SHOWN_SPEARMANS = (0.0, 0.2, 0.4, 0.6)
_FEWEST = 100
"""Rows per link from which halves are compared."""
_BY_CHANCE = 0.01


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
    for sample in (primary, backup):
        if not (sample.kinds == ANSWERED).any():
            raise ValueError(f"{sample.label} has no answer in these data")
    target_ms = target_p95_ms if target_p99_ms is None else target_p99_ms
    goal = Goal(
        target_ms=target_ms,
        allowed=0.05 if target_p99_ms is None else 0.01,
        rule="max_extra" if target_ms is None else "target_p95" if target_p99_ms is None else "target_p99",
        max_extra=max_extra,
        confidence=confidence,
    )
    prices = (primary_usd_per_attempt, usd_per_attempt)
    frontier = Frontier(
        primary, backup, goal, paired=paired, prices=prices, correlation=correlation, raced=raced, seed=seed
    )
    candidates, points = frontier.candidates(_THRESHOLDS, target_ms), list[Threshold]()
    for threshold_ms in candidates:
        points.append(frontier.point(threshold_ms))
        progress(len(points) / len(candidates))
    choice = frontier.choose(points)
    ways = _ways(frontier, points[-1], choice)
    return Tuning(
        primary=_summary(primary),
        backup=_summary(backup),
        method="paired" if paired else "independent",
        pairs=frontier.pairs,
        correlation=frontier.assumed,
        confidence=confidence,
        target_ms=target_ms,
        thresholds=tuple(points),
        choice=choice,
        notes=notes(primary, backup, frontier.pairs, frontier.assumed, points),
        verdict=None if choice is None else verdict(ways, choice, frontier.assumed, confidence, frontier.pairs),
        ways=ways,
        sensitivity=_sensitivity(frontier, choice),
        drift=None if choice is None else _drift(frontier),
    )


def _summary(sample: Sample) -> LinkSummary:
    counts = np.bincount(sample.kinds, minlength=3).tolist()
    return LinkSummary(
        label=sample.label,
        attempts=len(sample),
        answered=counts[ANSWERED],
        censored=counts[CENSORED],
        failed=counts[FAILED],
    )


def _ways(frontier: Frontier, never: Threshold, choice: Choice | None) -> tuple[Way, ...]:
    """Return what the calls are like now, raced, with the links swapped, and swapped and raced.

    A way that would not meet the goal is left out, but for the two that need no threshold.
    """
    goal, (primary_usd, backup_usd) = frontier.goal, frontier.prices
    dearer = None if primary_usd is None or backup_usd is None else backup_usd - primary_usd
    first, second = frontier.primary.label, frontier.backup.label
    ways = [_way("now", first, second, never, goal, Estimate(0.0, 0.0, 0.0))]
    if (result := _raced(choice)) is not None:
        ways.append(_way("race", first, second, result, goal, _more(result, 0.0, backup_usd)))
    other = frontier.again(frontier.backup, frontier.primary, prices=(backup_usd, primary_usd))
    alone = other.point(math.inf)
    ways.append(_way("swap", second, first, alone, goal, _more(alone, dearer, primary_usd)))
    if choice is not None and not ways[-1].meets and (result := _raced(other.choose())) is not None:
        ways.append(_way("swap_and_race", second, first, result, goal, _more(result, dearer, primary_usd)))
    return tuple(ways)


def _way(name: str, first: str, second: str, result: Threshold, goal: Goal, more: Estimate | None) -> Way:
    """Return a way, and whether it meets the goal: a cap on spending is met by never racing."""
    meets = None if goal.max_extra is None else (result.extra.value or 0.0) <= goal.max_extra
    if goal.target_ms is not None:
        meets = (result.misses_at_most or 0.0) <= goal.allowed
    return Way(name=name, first=first, second=second, result=result, meets=meets, more_usd=more)


def _raced(choice: Choice | None) -> Threshold | None:
    chosen = None if choice is None else choice.chosen
    return None if chosen is None or chosen.race_after_ms is None else chosen


def _more(point: Threshold, base: float | None, usd: float | None) -> Estimate | None:
    """Return dollars per call more than now: ``base`` for the first attempt, and those of the backups."""
    if base is None:
        return None
    if not point.extra.value:
        return Estimate(base, base, base)
    if usd is None:
        return None
    extra = (point.extra.value, point.extra.low, point.extra.high)
    return Estimate(*(None if each is None else base + each * usd for each in extra))


def _sensitivity(frontier: Frontier, choice: Choice | None) -> tuple[Sensitivity, ...]:
    chosen = None if choice is None else choice.nearest
    if frontier.pairs is not None or chosen is None or chosen.race_after_ms is None:
        return ()
    rows = []
    for spearman in _SHOWN_SPEARMANS:
        point = frontier.again(frontier.primary, frontier.backup, spearman=spearman).point(chosen.race_after_ms)
        misses = None if point.misses is None else point.misses.value
        rows.append(Sensitivity(spearman, point.p95_ms.value, point.p99_ms.value, misses))
    return tuple(rows)


def _drift(frontier: Frontier) -> Drift | None:
    """Return how the first half's threshold does on the second; ``None`` where no order or too few rows are known."""
    links = (frontier.primary, frontier.backup)
    if any(not link.ordered or len(link) < _FEWEST for link in links):
        return None
    earlier, later = ([_half(link, late=late) for link in links] for late in (False, True))
    if any(not (half.kinds == ANSWERED).any() for half in (*earlier, *later)):
        return None
    try:
        choice = frontier.again(*earlier).choose()
        assert choice is not None
        chosen = choice.nearest
        if chosen is None:
            return None
        there = frontier.again(*later).point(math.inf if chosen.race_after_ms is None else chosen.race_after_ms)
    except ValueError:  # the halves of pairs may have none
        return None
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
    return attrs.evolve(sample, elapsed_ms=sample.elapsed_ms[rows], kinds=sample.kinds[rows], keys=sample.keys[rows])


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
    after = "never racing" if chosen.race_after_ms is None else f"racing after {chosen.after}"
    source = "the first half's threshold" if choice.chosen is not None else "the first half's nearest threshold"
    p95 = "unknown length" if there.p95_ms.value is None else duration(there.p95_ms.value)
    text = f"In the second half of the data, {source} ({after}) gives a p95 of {p95}"
    if there.misses is not None and there.misses.value is not None:
        text += f", and {there.misses.value:.1%} of the calls take longer than {duration(choice.bound)}"
    text += "."
    if changed:
        text += (
            f" The halves of {' and of '.join(changed)} differ by more than chance: expect a fixed threshold to age."
        )
    return text
