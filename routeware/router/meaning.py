"""What an error means, asked for when somebody needs to know, and remembered on the attempt."""

from __future__ import annotations

import asyncio
import logging

from routeware.attempt import Run
from routeware.classify import ErrorSnapshot, classify, eligible, failed_over_by_status, snapshot_from_hook
from routeware.errors import ResultRejectedError
from routeware.router.state import Call

__all__ = ["goes_on", "snapshot_of"]

logger = logging.getLogger("routeware")


def goes_on(call: Call, run: Run, error: BaseException) -> bool:
    """Whether the call goes on after ``run`` failed with ``error``; and see whether that was free."""
    if call.hooks.classify is None and failed_over_by_status(error, call.plan.statuses_taken):
        # The status alone decides: the rest is read when a record or a span wants it, if ever.
        run.free = True
        return True
    run.snapshot, by_hook = _classified(call, error)
    run.free = not run.snapshot.may_have_cost
    return eligible(run.snapshot, call.plan.rules, by_hook=by_hook)


def snapshot_of(call: Call, run: Run) -> ErrorSnapshot | None:
    """How ``run`` failed; ``None`` where it did not."""
    if run.snapshot is None and run.failure is not None:
        run.snapshot, _ = _classified(call, run.failure)
    return run.snapshot


def _classified(call: Call, error: BaseException) -> tuple[ErrorSnapshot, bool]:
    hook, with_text = call.hooks.classify, call.plan.error_messages
    if hook is not None and not isinstance(error, ResultRejectedError | asyncio.CancelledError):
        try:
            answer = hook(error)
            return snapshot_from_hook(answer, error, with_text=with_text), answer is not None
        except Exception as failure:  # noqa: BLE001 - a hook's failure must not hide the provider's
            logger.warning("the classify hook failed (%s): classified without it", type(failure).__qualname__)
    return classify(error, with_text=with_text), False
