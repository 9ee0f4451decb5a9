"""What a call tells a latency target: how long its attempts took, or that they were cut off, and whether it was late.

Nothing is learned from attempts that were never started, nor from calls in which none was.
"""

from __future__ import annotations

import logging

from routeware.attempt import Run
from routeware.errors import AttemptTimeoutError
from routeware.records import AttemptStatus, AttemptTrigger
from routeware.router.state import Call
from routeware.threshold import Decision, Ended, LatencyReport, Learner

__all__ = ["learn"]


def learn(call: Call) -> None:
    """Tell the learner of the call's policy, if it has one, what became of a call with nothing in flight."""
    learner, decision = call.plan.learner, call.decision
    if learner is None or decision is None or not call.started:
        return
    for run in call.runs:
        if run.called:
            _remember(call, learner, run)
    told = _conclude(call, learner, decision)
    if told is not None:
        call.plan.events.say(
            call.trace,
            "target_out_of_reach",
            logging.WARNING,
            target_ms=told.target_ms,
            best_miss_share=told.best_miss_share,
        )


def _remember(call: Call, learner: Learner, run: Run) -> None:
    history = learner.histories[call.plan.lanes.index(run.lane)]
    window = history.as_primary if run.trigger is AttemptTrigger.INITIAL else history.as_backup
    ended = call.ended if run.ended is None else run.ended
    window.add(ended - run.started, _how(run), call.ended)


def _how(run: Run) -> Ended:
    """A loser that had answered in the same turn has its latency; what was cut off took longer."""
    if run.answered:
        return Ended.ANSWERED
    if run.cut or run.status is AttemptStatus.CANCELLED or isinstance(run.failure, AttemptTimeoutError):
        return Ended.CENSORED
    return Ended.FAILED


def _conclude(call: Call, learner: Learner, decision: Decision) -> LatencyReport | None:
    # What losers' clean-up took is not in the way of the answer.
    winner = call.winner
    ended = call.ended if winner is None or winner.ended is None else winner.ended
    return learner.call_ended(decision, ended - call.began, answered=winner is not None, now=call.ended)
