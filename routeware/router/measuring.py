"""A call in numbers: what its metrics are told when it has ended."""

from __future__ import annotations

from routeware.attempt import Run
from routeware.router.meaning import snapshot_of
from routeware.router.state import Call
from routeware.telemetry import Meters, detach

__all__ = ["measure"]


def measure(call: Call, meters: Meters) -> None:
    """Measure a call that has ended, and its attempts."""
    # In the call's context: what is measured there leads back to its trace (an exemplar).
    attached = call.trace.attach(call.trace.span) if call.trace is not None else None
    for run in call.runs:
        _measure_attempt(call, run, meters)
    meters.call_ended(call.outcome, call.ended - call.began)
    if call.race_after_s is not None and call.race_source is not None:
        meters.call_raced(call.race_after_s, call.race_source)
    if attached is not None:
        detach(attached)


def _measure_attempt(call: Call, run: Run, meters: Meters) -> None:
    assert run.status is not None
    snapshot = snapshot_of(call, run)
    category = None if snapshot is None else snapshot.category
    took_s = (call.ended if run.ended is None else run.ended) - run.started
    meters.attempt_ended(run.link, run.status, run.trigger, category, took_s)
    meters.attempt_cost(run.link, run.status, run is not call.winner, run.settled, run.uncertain)
