"""What a learner says: the decision for one call, and what it believes about each link."""

from __future__ import annotations

from enum import StrEnum

import attrs

__all__ = ["Decision", "LatencyReport", "LinkReport", "RaceSource", "RoleReport"]


class RaceSource(StrEnum):
    """Where a race threshold came from."""

    FIXED = "fixed"
    """The policy's ``race_after_ms``, and no target."""
    PRIOR = "prior"
    """Too little is known yet: ``race_after_ms``, or half the target."""
    FITTED = "fitted"
    """The latest start that meets the target."""
    CAPPED = "capped"
    """``max_extra`` does not allow that start: a random share of the calls races early."""
    EXPLORED = "explored"
    """This call races at once, so that the backup is known before it is needed."""
    NONE = "none"
    """The primary meets the target alone."""
    INFEASIBLE = "infeasible"
    """No start meets the target."""


@attrs.frozen(slots=True)
class Decision:
    """What one call is to do.

    Attributes:
        race_after_s: when the backup starts, in seconds after the latest start; ``None`` is not at all.
        source: where that came from.
        swap: whether the first two links of the chain change places.
    """

    race_after_s: float | None
    source: RaceSource
    swap: bool = False


@attrs.frozen(kw_only=True)
class RoleReport:
    """What is known of a link in one role.

    Attributes:
        attempts: how many are remembered.
        censored: how many of them were cut off before they answered.
        failed_share: the share that ended in an error, 0 to 1.
        p50_ms: the median of answers; ``None`` where what was seen does not reach it.
        p95_ms: likewise.
        late_share: the share that takes longer than the target, 0 to 1; failures left out.
    """

    attempts: int
    censored: int
    failed_share: float
    p50_ms: float | None
    p95_ms: float | None
    late_share: float


@attrs.frozen(kw_only=True)
class LinkReport:
    """What is known of a link: when it was tried first, and when it was tried after or beside another."""

    label: str
    as_primary: RoleReport
    as_backup: RoleReport


@attrs.frozen(kw_only=True)
class LatencyReport:
    """What a target has led to so far.

    Attributes:
        target_ms: the 95th percentile to reach.
        race_after_ms: the threshold in force; ``None`` without racing.
        race_share: the share of calls that race there, 0 to 1.
        source: where the threshold came from.
        swapped: whether the backup is tried first, because the primary is out.
        allowed_share: the share of misses that the rule aims at, after its correction; 0.05 at first.
        best_miss_share: the smallest share of misses that racing could reach; ``None`` while too little is known.
        links: what is known of each link.
    """

    target_ms: float
    race_after_ms: float | None
    race_share: float
    source: RaceSource
    swapped: bool
    allowed_share: float
    best_miss_share: float | None
    links: tuple[LinkReport, ...]
