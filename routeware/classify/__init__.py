"""The meaning of an exception: one closed set of categories for every SDK, found without importing any of them."""

from routeware.classify.names import error_type
from routeware.classify.replies import error_in_reply
from routeware.classify.rules import ClassifyHook, eligible, failed_over_by_status, snapshot_from_hook, statuses_taken
from routeware.classify.snapshot import ErrorSnapshot
from routeware.classify.structural import classify

__all__ = [
    "ClassifyHook",
    "ErrorSnapshot",
    "classify",
    "eligible",
    "error_in_reply",
    "error_type",
    "failed_over_by_status",
    "snapshot_from_hook",
    "statuses_taken",
]
