"""Starting an attempt: its place in the call, its time and its span."""

from __future__ import annotations

from routeware.attempt import Run, perform
from routeware.router.plan import DEFAULT_TIMEOUT_MS
from routeware.router.state import Call

__all__ = ["launch", "start"]


def start(call: Call, run: Run) -> None:
    """Take the next link for ``run``; from here on it counts, and its time runs."""
    now = call.loop.time()
    call.cursor += 1
    call.started += 1
    call.attempts_left -= 1
    call.runs.append(run)
    call.latest_start = run.started = now
    call.racing = call.race_after_s is not None
    timeout_ms = run.lane.timeout_ms
    if timeout_ms is None and call.attempts_left:
        timeout_ms = DEFAULT_TIMEOUT_MS
    if timeout_ms is not None:
        run.due = now + timeout_ms / 1000
    if call.deadline is not None and (run.due is None or call.deadline < run.due):
        timeout_ms = (call.deadline - now) * 1000
    run.timeout_ms = timeout_ms
    if call.trace is not None:
        attributes = {
            **run.lane.span_attributes,
            "routeware.attempt.number": run.number,
            "routeware.attempt.trigger": run.trigger.value,
        }
        if timeout_ms is not None:
            attributes["routeware.attempt.timeout_s"] = timeout_ms / 1000
        run.span = call.trace.start_attempt(run.lane.span_name, attributes)


def launch(call: Call, run: Run) -> None:
    """Run an attempt in a task of its own."""
    run.apart = True  # said before: an eager task runs its first step while it is made
    run.task = call.loop.create_task(perform(run))
    call.flying.append(run)
