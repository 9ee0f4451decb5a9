"""The report on links and sizes, for people: only quantiles that the data support."""

from __future__ import annotations

from routeware.threshold.buckets import BucketRange, Buckets
from routeware.threshold.facts import BucketReport, LinkReport, RoleReport, StartReport
from routeware.threshold.rule import Bucket, Fit
from routeware.threshold.window import LinkHistory, Window

__all__ = ["bucket_reports", "earliest", "link_report", "ms"]


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
        (share.start_s, bucket.weight * share.share)
        for bucket in found.buckets
        for share in bucket.starts
        if share.start_s is not None and bucket.weight
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
        starts=tuple(StartReport(race_after_ms=ms(each.start_s), share=each.share) for each in bucket.starts),
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
