"""What an attempt may cost, and what it cost.

What was reported counts. An attempt that reported nothing and was answered with an error costs nothing. Everything
else (an answer whose usage cannot be read, a time-out, a lost race, a cancellation, a dropped connection) may have
been billed: it is booked at its projection, as uncertain. What has no price is unknown, which is not nothing.
"""

from __future__ import annotations

import logging

import attrs

from routeware.attempt.run import Run
from routeware.money import Usage, amount_usd, nanos, usd
from routeware.pricing import MINIMUM_OUTPUT_TOKENS, Reading, read_error, read_reply, text_tokens

__all__ = ["open_container", "project", "settle", "settle_late"]

logger = logging.getLogger("routeware")


def project(run: Run) -> int | None:
    """The most that ``run`` is expected to cost, in nano-dollars; ``None`` where its link has no price.

    Raises:
        Exception: what the ``estimate`` hook raised.
    """
    estimate = run.scope.hooks.estimate
    if estimate is None:
        return _built_in(run)
    answer = estimate(run.link, *run.scope.args, **run.scope.kwargs)
    if not isinstance(answer, Usage):
        return nanos(amount_usd(answer, "estimate"))
    if answer.input_tokens is None or answer.output_tokens is None:
        sent, output = _built_in_tokens(run)
        answer = attrs.evolve(
            answer,
            input_tokens=sent if answer.input_tokens is None else answer.input_tokens,
            output_tokens=output if answer.output_tokens is None else answer.output_tokens,
        )
    return run.lane.cost(answer)


def settle(run: Run, *, straggling: bool = False) -> None:
    """Work out what ``run`` cost, and replace its reservation by that. Once; later calls change nothing.

    Args:
        run: an attempt that has ended.
        straggling: it has not, and the call goes on without it: it is put down at its projection, which stays held.
    """
    if run.booked or run.straggling:
        return
    _work_out(run)
    scope, reservation = run.scope, run.reservation
    held = reservation.held if reservation is not None else 0
    scope.committed += (run.settled or 0) + (run.uncertain or 0) - held
    if not straggling:
        run.booked = True
        if reservation is not None:
            reservation.settle(run.settled or 0, run.uncertain or 0)


def settle_late(run: Run) -> None:
    """Book what a straggler cost, now that it has ended; its call and its record are closed."""
    if not run.booked:
        _work_out(run)
        run.booked = True
        if run.reservation is not None:
            run.reservation.settle(run.settled or 0, run.uncertain or 0)


def open_container(run: Run) -> None:
    """``run`` makes routed calls itself: they reserve and are billed, so it holds nothing and costs what it reports."""
    if run.container:
        return
    run.container = True
    reservation = run.reservation
    if reservation is not None and reservation.held:
        run.scope.committed -= reservation.held
        reservation.settle(0, 0)


def _work_out(run: Run) -> None:
    reported = run.usage is not None or run.reported_nanos is not None
    # A reply that was there has been paid for, whatever the error says that came of judging it.
    free = run.free and not run.replied
    if (free or not run.called) and not reported:
        run.settled = run.uncertain = 0
        return
    if run.usage is None and not run.container:
        _read(run)
    if run.take_reports():
        run.uncertain = 0
        if run.reservation is not None and run.reservation.held:
            _compare(run, run.reservation.held)
    elif run.container:
        run.settled = run.uncertain = 0
    else:
        run.uncertain = _for_booking(run)
        run.settled = None if run.uncertain is None else 0
        run.cost_source = None if run.uncertain is None else "estimated"


def _read(run: Run) -> None:
    if run.replied:
        reading = read_reply(run.result)
    elif run.error is not None:
        reading = read_error(run.error)
    else:
        reading = Reading(None, None)
    run.response_model = run.response_model or reading.response_model
    run.usage = reading.usage
    if run.usage is not None and run.usage.output_tokens is not None:
        run.lane.habits.largest_output = max(run.lane.habits.largest_output, run.usage.output_tokens)


def _for_booking(run: Run) -> int | None:
    if not run.projected:
        run.projected = True
        try:
            run.projection = project(run)
        except Exception as error:  # noqa: BLE001 - a hook's failure must not lose a cost
            logger.warning("the estimate hook failed (%s); the built-in projection is booked", type(error).__qualname__)
            run.projection = _built_in(run)
    return run.projection


def _built_in(run: Run) -> int | None:
    if run.lane.tariff is None:
        return None
    sent, output = _built_in_tokens(run)
    return run.lane.cost(Usage(input_tokens=sent, output_tokens=output))


def _built_in_tokens(run: Run) -> tuple[int, int]:
    scope = run.scope
    if scope.input_tokens is None:
        scope.input_tokens = text_tokens(scope.args, scope.kwargs)
        scope.output_limit = scope.hooks.output_argument(scope.args, scope.kwargs)
    return scope.input_tokens, scope.output_limit or run.link.max_output_tokens or _guessed_output(run)


def _guessed_output(run: Run) -> int:
    habits = run.lane.habits
    if run.scope.capped and not habits.said_guessing and not run.lane.per_request:
        habits.said_guessing = True
        logger.warning(
            "%s is capped, and nothing says how much it may answer: projecting with the largest answer so far, at least"
            " %d tokens. Give the link max_output_tokens, or pass max_tokens",
            run.label,
            MINIMUM_OUTPUT_TOKENS,
        )
    return habits.largest_output


def _compare(run: Run, held: int) -> None:
    if run.settled is None or run.settled <= held:
        return
    run.over_projection = True
    if not run.lane.habits.said_over:
        run.lane.habits.said_over = True
        logger.warning(
            "%s cost $%.9f, and was projected at $%.9f: it is settled at what it cost. Give the function an @estimate,"
            " or the link max_output_tokens",
            run.label,
            usd(run.settled),
            usd(held),
        )
