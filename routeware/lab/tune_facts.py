"""The result of tuning as plain facts, for the screen, JSON and pictures. ``None`` is unknown, or never."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = [
    "Assumption",
    "Bucket",
    "Choice",
    "Drift",
    "Estimate",
    "LinkSummary",
    "Sensitivity",
    "Sizes",
    "Threshold",
    "Tuning",
    "Verdict",
    "Way",
]


@attrs.frozen
class Estimate:
    """A figure and its interval, of 90 % by default; ``None`` where the data do not reach it."""

    value: float | None
    low: float | None
    high: float | None


@attrs.frozen(kw_only=True)
class Threshold:
    """A call that races at one threshold.

    Attributes:
        race_after_ms: when the backup starts; ``None`` is never.
        mean_ms: over calls that are answered.
        extra: extra attempts per call: how often a backup starts while the primary runs.
        extra_usd: what they cost per call.
        failed: the share of calls without an answer.
        misses: the share of calls that take longer than the target.
        misses_at_most: the one-sided upper bound on it.
    """

    race_after_ms: float | None
    p50_ms: Estimate
    p95_ms: Estimate
    p99_ms: Estimate
    mean_ms: Estimate
    extra: Estimate
    extra_usd: Estimate | None
    failed: float
    misses: Estimate | None
    misses_at_most: float | None

    @property
    def after(self) -> str:
        """Say when the backup starts."""
        return "never" if self.race_after_ms is None else f"{self.race_after_ms:,.0f} ms"

    def quantile(self, name: str) -> Estimate:
        """Return the latency that is called ``p50``, ``p95`` or ``p99``."""
        return {"p50": self.p50_ms, "p95": self.p95_ms, "p99": self.p99_ms}[name]


@attrs.frozen(kw_only=True)
class LinkSummary:
    """The number of attempts of a link, by how they ended."""

    label: str
    attempts: int
    answered: int
    censored: int
    failed: int


@attrs.frozen(kw_only=True)
class Choice:
    """The goal, and the threshold that meets it in the given order of the links.

    Attributes:
        rule: ``target_p95``, ``target_p99`` or ``max_extra``.
        bound: the target in milliseconds, or the cap in extra attempts per call.
        by_the_point: the one that the estimate alone would choose; it meets a target on new data about half the time.
        best: the nearest threshold, if none is chosen.
        unraced: whether the target is met without racing.
    """

    rule: str
    bound: float
    chosen: Threshold | None
    by_the_point: Threshold | None
    best: Threshold | None
    unraced: bool = False

    @property
    def percentile(self) -> str:
        """Return the name of the latency that it is about."""
        return "p99" if self.rule == "target_p99" else "p95"

    @property
    def nearest(self) -> Threshold | None:
        """Return the chosen threshold, or the nearest one if none is chosen."""
        return self.chosen or self.best


@attrs.frozen
class Assumption:
    """The dependence of the two latencies that unpaired data are judged at.

    Attributes:
        spearman: the rank correlation of the two latencies of one request; nine in ten would lie between the ends.
        source: ``assumed`` (the default), ``given`` or ``raced`` (learned from calls that raced).
        raced_calls: how many calls raced.
    """

    spearman: float
    low: float
    high: float
    source: str
    raced_calls: int


@attrs.frozen
class Sensitivity:
    """The effect of the chosen threshold at another rank correlation."""

    spearman: float
    p95_ms: float | None
    p99_ms: float | None
    misses: float | None


@attrs.frozen(kw_only=True)
class Way:
    """One way to serve the calls.

    Attributes:
        name: ``now``, ``race``, ``swap`` or ``swap_and_race``.
        first: the link that is tried first.
        second: the other link.
        result: what a call then looks like.
        meets: whether it meets what was asked for, with confidence.
        more_usd: dollars per call more than now.
    """

    name: str
    first: str
    second: str
    result: Threshold
    meets: bool | None
    more_usd: Estimate | None


@attrs.frozen(kw_only=True)
class Verdict:
    """The answer: what to set, and how sure that is.

    Attributes:
        action: ``keep``, ``race``, ``swap``, ``swap_and_race`` or ``none`` (nothing meets what was asked for).
        first: the link to try first.
    """

    action: str
    first: str
    race_after_ms: float | None
    sentence: str
    sure: str


@attrs.frozen(kw_only=True)
class Drift:
    """The second half of the data, served by the threshold that the first half gives.

    Attributes:
        found: whether the first half has a threshold at all; if not, the nearest one is meant.
        changed: the links whose halves differ by more than chance.
        sentence: all of it in words.
    """

    race_after_ms: float | None
    found: bool
    misses: float | None
    p95_ms: float | None
    changed: tuple[str, ...]
    sentence: str


@attrs.frozen(kw_only=True)
class Bucket:
    """Calls of similar size, and the threshold for them.

    Attributes:
        name: the range of sizes, or the value.
        late: the share of them that would miss the target without a race.
        starts: pairs of a threshold and the share of the bucket's calls that race at it.
        misses: the share of them that would miss the target.
        extra: extra attempts per call.
    """

    name: str
    calls: int
    late: float
    starts: tuple[tuple[float | None, float], ...]
    misses: float
    extra: float


@attrs.frozen(kw_only=True)
class Sizes:
    """Thresholds per size, which share one budget of misses; and the one that misses as rarely if all sizes have it."""

    column: str
    buckets: tuple[Bucket, ...]
    misses: float
    extra: float
    one_threshold_ms: float | None
    one_extra: float | None


@attrs.frozen(kw_only=True)
class Tuning:
    """The effect of racing a primary against a backup, over thresholds from 0 to never.

    Attributes:
        method: ``independent`` (the samples of the two links have nothing in common: no pairs) or ``paired``.
        correlation: the dependence that unpaired data are judged at.
        confidence: of the intervals and of the upper bound, 0 to 1.
        thresholds: ascending, never last.
        choice: the answer to what was asked for; ``None`` where nothing was.
        notes: what a reader has to know, in sentences.
        verdict: what to set; ``None`` where nothing was asked for.
        ways: what the calls are like now, raced, and with the links swapped.
        sensitivity: the chosen threshold at other rank correlations; empty for pairs.
        drift: whether a threshold of yesterday holds today; ``None`` where no order is known.
        sizes: thresholds per size; ``None`` where none were asked for.
    """

    primary: LinkSummary
    backup: LinkSummary
    method: str
    pairs: int | None
    correlation: Assumption | None = None
    confidence: float
    target_ms: float | None
    thresholds: tuple[Threshold, ...]
    choice: Choice | None
    notes: tuple[str, ...]
    verdict: Verdict | None = None
    ways: tuple[Way, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    drift: Drift | None = None
    sizes: Sizes | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return attrs.asdict(self)
