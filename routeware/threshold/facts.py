"""The facts that a learner gives: the decision for one call, and its estimates for links and sizes of requests."""

from __future__ import annotations

from enum import StrEnum

import attrs

__all__ = ["BucketReport", "Decision", "LatencyReport", "LinkReport", "RaceSource", "RoleReport", "StartReport"]


class RaceSource(StrEnum):
    """The source of a race threshold."""

    FIXED = "fixed"
    """The policy's ``race_after_ms``, and no target."""
    PRIOR = "prior"
    """Too little is known yet: ``race_after_ms``, or half the target."""
    FITTED = "fitted"
    """The starts that meet the target at the least expense."""
    CAPPED = "capped"
    """``max_extra`` does not allow those starts: it is spent where it saves most."""
    EXPLORED = "explored"
    """This call races at once, so that the backup is known before it is needed."""
    NONE = "none"
    """The primary meets the target alone."""
    INFEASIBLE = "infeasible"
    """No start meets the target."""


@attrs.frozen(slots=True)
class Decision:
    """The decision for one call.

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
    """The observations of a link in one role.

    Attributes:
        attempts: how many are remembered.
        censored: how many of them were cut off before they answered.
        failed_share: the share that ended in an error, 0 to 1.
        p50_ms: the median of answers; ``None`` if the attempts do not reach it.
        p95_ms: the 95th percentile of answers; ``None`` if the attempts do not reach it.
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
    """The observations of a link: tried first, and tried after another link or in a race."""

    label: str
    as_primary: RoleReport
    as_backup: RoleReport


@attrs.frozen(kw_only=True)
class StartReport:
    """The start of the backup for a share of a bucket's calls.

    Attributes:
        race_after_ms: the start; ``None`` is no race.
        share: the share of the bucket's calls, 0 to 1.
    """

    race_after_ms: float | None
    share: float


@attrs.frozen(kw_only=True)
class BucketReport:
    """The estimates for requests of similar size.

    Attributes:
        above: numbers above this; ``None`` is no bound.
        up_to: numbers up to this; ``None`` is no bound.
        value: the text that they share; "other" for the rarest together, "unknown" where no size was given. ``None``
            for numbers, and where all calls are one bucket.
        calls: how many were remembered when the starts were found.
        late_share: the share that would take longer than the target without racing.
        starts: when their backups start, the earliest first.
        expected_miss_share: the share of them that is expected to miss the target.
        expected_extra: extra attempts that are expected for each.
    """

    above: float | None = None
    up_to: float | None = None
    value: str | None = None
    calls: int
    late_share: float
    starts: tuple[StartReport, ...]
    expected_miss_share: float
    expected_extra: float


@attrs.frozen(kw_only=True)
class LatencyReport:
    """The effects of a target so far.

    Attributes:
        target_ms: the percentile to reach.
        race_after_ms: the earliest start in force; ``None`` without racing. ``buckets`` has all of them.
        race_share: the share of calls that have this start, 0 to 1.
        source: where the starts came from.
        swapped: whether the backup is tried first, because the primary is out.
        allowed_share: the share of misses that the rule aims at, after its correction; 0.05 at first, 0.01 for
            ``target_p99_ms``.
        best_miss_share: the smallest share of misses that racing could reach; ``None`` while too little is known.
        expected_miss_share: the share of misses that is expected; ``None`` while too little is known.
        max_extra_needed: the ``max_extra`` that would meet the target, where the policy's does not; else ``None``.
        buckets: what is believed of requests by size; one row where sizes are not used.
        links: what is known of each link.
    """

    target_ms: float
    race_after_ms: float | None
    race_share: float
    source: RaceSource
    swapped: bool
    allowed_share: float
    best_miss_share: float | None
    expected_miss_share: float | None = None
    max_extra_needed: float | None = None
    buckets: tuple[BucketReport, ...] = ()
    links: tuple[LinkReport, ...]
