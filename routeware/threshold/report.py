"""The report on a latency target: its links and sizes, and whether it is out of reach.

Only quantiles that the data support are reported.
"""

from __future__ import annotations

import math

import attrs

from routeware.threshold.buckets import BucketRange, Buckets
from routeware.threshold.rule import Bucket, Fit, RaceSource
from routeware.threshold.window import LinkHistory, Window

__all__ = [
    "BucketReport",
    "LatencyReport",
    "LinkReport",
    "Notices",
    "RoleReport",
    "StartReport",
    "bucket_reports",
    "earliest",
    "link_report",
    "ms",
    "target_event",
]


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
class BucketReport(BucketRange):
    """The estimates for requests of similar size.

    Attributes:
        calls: how many were remembered when the starts were found.
        late_share: the share that would take longer than the target without racing.
        starts: when their backups start, the earliest first.
        expected_miss_share: the share of them that is expected to miss the target.
        expected_extra: extra attempts that are expected for each.
    """

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


# Calls without the state after which it is new again.
_NEW_AGAIN = 300
# A fit on a hundred calls may be capped by chance; three in a row are reported.
_CAPPED_FITS = 3
_CAPPED_CALLS = 100
_WORTH_TELLING = 1.1
_HOUR_S = 3600.0


class Notices:
    """Decides which fits are reported.

    Args:
        misses: the share of calls that may miss the target.
    """

    def __init__(self, misses: float) -> None:
        self._worth_telling = _WORTH_TELLING * misses
        self._since_infeasible = self._since_capped = _NEW_AGAIN
        self._capped_fits = 0
        self._told_capped_at = -math.inf

    def look(self, found: Fit, *, calls: int, known: int, now: float) -> bool:
        """Return whether to report a new fit, ``calls`` after the one before: it has just turned infeasible, or capped.

        ``known`` counts the first attempts that it was made from.
        """
        infeasible = self._infeasible(found.source is RaceSource.INFEASIBLE, calls)
        capped = found.source is RaceSource.CAPPED and found.misses > self._worth_telling
        return self._capped(capped and known >= _CAPPED_CALLS, calls, now) or infeasible

    def _infeasible(self, now_so: bool, calls: int) -> bool:
        if not now_so:
            self._since_infeasible += calls
            return False
        told = self._since_infeasible < _NEW_AGAIN
        self._since_infeasible = 0
        return not told

    def _capped(self, now_so: bool, calls: int, now: float) -> bool:
        """Once per state and hour: a function near its cap would otherwise tell it every few minutes."""
        if not now_so:
            self._since_capped += calls
            self._capped_fits = 0
            return False
        self._capped_fits += 1
        if self._capped_fits < _CAPPED_FITS:
            return False
        new = self._since_capped >= _NEW_AGAIN and now - self._told_capped_at >= _HOUR_S
        self._since_capped = 0
        if new:
            self._told_capped_at = now
        return new


def target_event(report: LatencyReport) -> tuple[str, dict[str, float | None]]:
    """Return the event for a report from :meth:`Learner.call_ended`, and its fields."""
    if report.source is RaceSource.CAPPED:
        return "target_capped", {
            "target_ms": report.target_ms,
            "expected_miss_share": report.expected_miss_share,
            "max_extra_needed": report.max_extra_needed,
        }
    return "target_out_of_reach", {"target_ms": report.target_ms, "best_miss_share": report.best_miss_share}


def link_report(history: LinkHistory, target_s: float) -> LinkReport:
    """Return what is known of a link, with the share of its attempts that takes longer than ``target_s``."""
    return LinkReport(
        label=history.label,
        as_primary=_role_report(history.as_primary, target_s),
        as_backup=_role_report(history.as_backup, target_s),
    )


def bucket_reports(found: Fit, buckets: Buckets | None) -> tuple[BucketReport, ...]:
    """Return what was found for each bucket, those without calls left out."""
    ranges = [BucketRange()] if buckets is None else buckets.ranges
    rows = zip(ranges, found.buckets, strict=True)
    return tuple(_bucket_report(held, bucket) for held, bucket in rows if bucket.calls or buckets is None)


def earliest(found: Fit) -> tuple[float | None, float]:
    """Return the earliest start of a fit, in seconds, and the share of calls that have it; ``None`` without racing."""
    starts = [
        (start_s, bucket.weight * share)
        for bucket in found.buckets
        for start_s, share in bucket.starts
        if start_s is not None and bucket.weight
    ]
    if not starts:
        return None, 0.0
    first = min(start_s for start_s, _ in starts)
    return first, sum(share for start_s, share in starts if start_s == first)


def ms(seconds: float | None) -> float | None:
    """Return seconds in milliseconds."""
    return None if seconds is None else seconds * 1000


def _bucket_report(held: BucketRange, bucket: Bucket) -> BucketReport:
    return BucketReport(
        above=held.above,
        up_to=held.up_to,
        value=held.value,
        calls=bucket.calls,
        late_share=bucket.late,
        starts=tuple(StartReport(race_after_ms=ms(start_s), share=share) for start_s, share in bucket.starts),
        expected_miss_share=bucket.misses,
        expected_extra=bucket.extra,
    )


def _role_report(window: Window, target_s: float) -> RoleReport:
    curve = window.curve()
    return RoleReport(
        attempts=len(window),
        censored=window.censored,
        failed_share=window.failed_share,
        p50_ms=ms(curve.quantile(0.5)),
        p95_ms=ms(curve.quantile(0.95)),
        late_share=curve.beyond(target_s) if curve.longest_s else 0.0,
    )
