"""The feedback of a call to its latency target: how long attempts took, or that they were cut off; and if it was late.

Nothing is learned from attempts that were never started, nor from calls in which none was.
"""

from __future__ import annotations

import logging

from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.errors import AttemptTimeoutError
from routeware.records import AttemptStatus, AttemptTrigger
from routeware.threshold import Observation, target_event

__all__ = ["learn"]


def learn(call: Call, now: float) -> None:
    """Tell the learner of the call's policy, if it has one, the outcome of a call with nothing in flight."""
    learner, tactics = call.prepared.learner, call.tactics
    if learner is None or tactics is None or tactics.decision is None or not call.started:
        return
    decision, size = tactics.decision, tactics.size
    for one in call.attempts:
        if one.invoked:
            history = learner.histories[call.prepared.links.index(one.prepared)]
            window = history.as_primary if one.trigger is AttemptTrigger.INITIAL else history.as_backup
            window.add(_took_s(one, now), _how(one), now, size)
    # What losers' clean-up took is not in the way of the answer.
    winner = call.winner
    ended = now if winner is None or winner.answered_at is None else winner.answered_at
    raced = any(one.trigger is AttemptTrigger.RACE for one in call.attempts if one.invoked)
    report = learner.call_ended(decision, ended - call.began, answered=winner is not None, now=now, extra=raced)
    if report is not None:
        event, fields = target_event(report)
        call.emit(event, logging.WARNING, **fields)


def _took_s(execution: Execution, now: float) -> float:
    ended = execution.answered_at if execution.accepted else execution.ended
    return (now if ended is None else ended) - execution.started


def _how(execution: Execution) -> Observation:
    """Say what an attempt tells of its link: a loser that had answered in the same turn has its latency.

    What was cut off took longer than that.
    """
    if execution.accepted:
        return Observation.ANSWERED
    failure = execution.failure
    if (execution.cut is not None and failure is None) or execution.status is AttemptStatus.CANCELLED:
        return Observation.CENSORED
    timed_out = failure is not None and isinstance(failure.error, AttemptTimeoutError)
    return Observation.CENSORED if timed_out else Observation.FAILED
