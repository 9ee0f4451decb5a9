"""What is known of a link, for people: quantiles that the data reach, and nothing that they do not."""

from __future__ import annotations

from routeware.threshold.facts import LinkReport, RoleReport
from routeware.threshold.window import LinkHistory, Window

__all__ = ["link_report"]


def link_report(history: LinkHistory, target_s: float) -> LinkReport:
    """What is known of a link, with the share of its attempts that takes longer than ``target_s``."""
    return LinkReport(
        label=history.label,
        as_primary=_role_report(history.as_primary, target_s),
        as_backup=_role_report(history.as_backup, target_s),
    )


def _role_report(window: Window, target_s: float) -> RoleReport:
    curve = window.curve()
    return RoleReport(
        attempts=len(window),
        censored=window.censored,
        failed_share=window.failed_share,
        p50_ms=_ms(curve.quantile(0.5)),
        p95_ms=_ms(curve.quantile(0.95)),
        late_share=curve.beyond(target_s) if curve.longest_s else 0.0,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
