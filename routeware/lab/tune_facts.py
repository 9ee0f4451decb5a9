"""What tuning finds, as plain facts: for screens, JSON and plots alike."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["Choice", "Estimate", "LinkSummary", "Threshold", "Tuning"]


@attrs.frozen
class Estimate:
    """A figure and its interval; ``None`` where the data do not reach it."""

    value: float | None
    low: float | None
    high: float | None


@attrs.frozen(kw_only=True)
class Threshold:
    """A call that races at one threshold.

    Attributes:
        race_after_ms: when the backup starts; ``None`` is never.
        p50_ms: the median of the call's latency.
        p95_ms: likewise.
        p99_ms: likewise.
        mean_ms: over calls that are answered.
        extra: extra attempts per call: how often a backup starts beside a running primary.
        extra_usd: what they cost per call; ``None`` without a price.
        failed: the share of calls without an answer.
        misses: the share of calls that take longer than the target; ``None`` without one.
        misses_at_most: the one-sided upper bound on it; ``None`` without a target.
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


@attrs.frozen(kw_only=True)
class LinkSummary:
    """How much is known of a link."""

    label: str
    attempts: int
    answered: int
    censored: int
    failed: int


@attrs.frozen(kw_only=True)
class Choice:
    """What was asked for, and which threshold answers it.

    Attributes:
        rule: ``target_p95`` or ``max_extra``.
        bound: the target in milliseconds, or the cap in extra attempts per call.
        chosen: the threshold; ``None`` where none does.
        by_the_point: the one that the estimate alone would choose; it meets a target on new data about half the time.
        best: where none does, the one that comes nearest.
        unraced: whether the target is met without racing.
    """

    rule: str
    bound: float
    chosen: Threshold | None
    by_the_point: Threshold | None
    best: Threshold | None
    unraced: bool = False


@attrs.frozen(kw_only=True)
class Tuning:
    """What racing a primary against a backup would do, over thresholds from 0 to never.

    Attributes:
        primary: what is known of the link that is tried first.
        backup: what is known of the other one.
        method: ``independent`` or ``paired``.
        pairs: how many pairs there were; ``None`` where none were asked for.
        confidence: of the intervals and of the upper bound, 0 to 1.
        target_ms: the 95th percentile that was asked for.
        thresholds: ascending, never last.
        choice: the answer to what was asked for; ``None`` where nothing was.
        notes: what a reader has to know, in sentences.
    """

    primary: LinkSummary
    backup: LinkSummary
    method: str
    pairs: int | None
    confidence: float
    target_ms: float | None
    thresholds: tuple[Threshold, ...]
    choice: Choice | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON; ``null`` is unknown, or never."""
        return attrs.asdict(self)
