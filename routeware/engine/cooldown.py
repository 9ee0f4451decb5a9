"""Passing over links that cool, and reporting the outcomes of attempts to their health.

A cooling link goes to the end of the call's chain. It is never taken out, so cooldown never fails a call: what was
passed over is tried when everything else has failed.
"""

from __future__ import annotations

import logging

from routeware.engine.call import Call
from routeware.engine.execution import Execution
from routeware.health import LinkStates, PauseStarted
from routeware.observers import Failure

__all__ = [
    "everything_cools",
    "note_answer",
    "note_end",
    "note_failure",
    "note_success",
    "pass_over_cooling",
    "withdraw",
]


def withdraw(call: Call, execution: Execution) -> None:
    """Tell the link's health that an attempt says nothing: it was never started, or was cut off."""
    ticket = None if call.health is None else execution.take_ticket()
    if ticket is not None and call.health is not None:
        call.health.said_nothing(ticket)


def pass_over_cooling(call: Call, states: LinkStates) -> None:
    """Have the next link be one that does not cool, if there is one; else the one whose pause ends first."""
    now = call.loop.time()
    remaining = call.links[call.cursor :]
    if states.cooling_until(remaining[0].label, now) is None:
        return
    pauses = [(one, states.cooling_until(one.label, now)) for one in remaining]
    ready = next((at for at, (_, until) in enumerate(pauses) if until is None), None)
    if ready is None:
        # Cooldown is ignored where nothing else is left. The sort is stable, so ties keep the chain's order.
        cooling = sorted(pauses, key=lambda pause: pause[1] or 0.0)
        call.reorder([one for one, _ in cooling])
        return
    passed = pauses[:ready]
    call.reorder([*remaining[ready:], *(one for one, _ in passed)])
    for one, until in passed:
        if not any(earlier.prepared is one and earlier.skip_reason == "cooldown" for earlier in call.attempts):
            call.pass_over(Execution(one, call, len(call.attempts) + 1, call.next_trigger()))
            left_ms = max(0.0, (until or 0.0) - now) * 1000
            call.emit("cooldown_skipped", link=one.label, left_ms=left_ms)


def has_passed_over(call: Call) -> bool:
    """Say whether a link that was passed over, because it cools, is left behind the next one."""
    passed = [one.prepared for one in call.attempts if one.skip_reason == "cooldown"]
    return any(one in passed for one in call.links[call.cursor + 1 :])


def everything_cools(call: Call) -> bool:
    """Say whether no link is left that could be raced: a cooling one never is."""
    states = call.health
    if states is None:
        return False
    now = call.loop.time()
    return all(states.cooling_until(one.label, now) is not None for one in call.links[call.cursor :])


def note_success(call: Call, winner: Execution) -> None:
    """Tell the winner's link of its answer, before losers clean up, and give back to the budget of retries."""
    if call.prepared.retries:
        call.prepared.retry_budget.give_back()
    if call.health is not None and call.health.troubled:
        note_answer(call, winner)


def note_answer(call: Call, execution: Execution) -> None:
    """Tell the link's health of an answer: it ends the row of failures, and the pause."""
    ticket = execution.take_ticket()
    if ticket is not None and call.health is not None and call.health.answered(ticket):
        if call.meters is not None:
            call.meters.cooling(execution.link, cooling=False, category=None)
        call.emit("cooldown_ended", logging.INFO, link=ticket.label)


def note_failure(call: Call, execution: Execution, failure: Failure) -> None:
    """Tell the link's health of a failure, if it is one that the policy fails over on."""
    states, rule = call.health, call.prepared.cooldown
    if states is None or rule is None or not failure.fails_over:
        return
    ticket = execution.take_ticket()
    assert ticket is not None
    snapshot = failure.snapshot
    started = states.failed(ticket, rule, snapshot.category, snapshot.retry_after_ms, call.loop.time())
    if started is not None:
        _emit_started(call, execution, started)


def note_end(execution: Execution, call: Call) -> None:
    """Report an attempt that has ended to its link's health, unless its answer or failure was reported before."""
    if execution.accepted:
        note_answer(call, execution)
    else:
        withdraw(call, execution)


def _emit_started(call: Call, execution: Execution, started: PauseStarted) -> None:
    if call.meters is not None:
        call.meters.cooling(execution.link, cooling=True, category=started.category)
    call.emit(
        "cooldown_started",
        logging.WARNING,
        link=started.label,
        category=started.category,
        failures=started.failures,
        pause_ms=started.pause_ms,
    )
