"""Further rounds through the chain, when everything has failed.

The next link is tried at once; a pause comes only when no link is left. Only links whose last failure waiting may cure
are in a round. A budget of tokens, shared by all calls of the function, keeps retries a tenth of the traffic in a long
outage: without it, every caller's retries would fall on providers that are just coming back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.engine.prepared import PreparedLink
from routeware.engine.verdict import is_stopped_by_caller
from routeware.health import COUNTED

__all__ = ["begin_round"]


async def begin_round(call: Call) -> None:
    """Wait, and begin the next round, if the call has failed in a way that a round may cure; else do nothing.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile.
    """
    if call.attempts_left or not call.may_begin_round:
        return
    if call.failure is None or call.fatal is not None or is_stopped_by_caller(call):
        return
    tactics, now = call.plan_rounds(), call.loop.time()
    alone_s = _left_alone(call, tactics.chain, now)
    if not alone_s:
        return
    failover = call.prepared.policy.failover
    ceiling_ms = min(failover.backoff_max_ms, failover.backoff_ms * 2**tactics.rounds_begun)
    # Half of it at random: callers that failed together do not come back together.
    wait_s = max(ceiling_ms * (0.5 + 0.5 * random.random()) / 1000, min(alone_s.values()))  # noqa: S311
    if wait_s * 1000 > failover.backoff_max_ms or (call.deadline is not None and now + wait_s >= call.deadline):
        tactics.give_up_rounds()
        call.emit("retry_skipped", reason="too_long")
        return
    if not call.prepared.retry_budget.take():
        tactics.give_up_rounds()
        call.emit("retry_skipped", reason="budget")
        return
    call.emit("retry_wait", round=tactics.rounds_begun + 1, wait_ms=wait_s * 1000)
    call.caller.reschedule(None)  # the last attempt's timer must not cut this short
    await asyncio.sleep(wait_s)
    # Those that still have to be left alone come last; the sort is stable, so the rest is in chain order.
    call.begin_round(sorted(alone_s, key=lambda one: alone_s[one] > wait_s))


def _left_alone(call: Call, chain: Sequence[PreparedLink], now: float) -> dict[PreparedLink, float]:
    """Find the links of the next round, in chain order, and how long each asks to be left alone, in seconds."""
    last: dict[PreparedLink, Execution] = {one.prepared: one for one in call.attempts if one.failure is not None}
    return {link: _asked_s(last[link], now) for link in chain if link in last and _is_curable(last[link])}


def _is_curable(execution: Execution) -> bool:
    failure = execution.failure
    return failure is not None and failure.fails_over and failure.snapshot.category in COUNTED


def _asked_s(execution: Execution, now: float) -> float:
    failure = execution.failure
    asked_ms = None if failure is None else failure.snapshot.retry_after_ms
    if not asked_ms:
        return 0.0
    ended = now if execution.ended is None else execution.ended
    return max(0.0, ended + asked_ms / 1000 - now)
