"""What an attempt may cost, and what it cost.

What was reported counts. An attempt that reported nothing and was answered with an error costs nothing. Everything
else (an answer whose usage cannot be read, a time-out, a lost race, a cancellation, a dropped connection) may have
been billed: it is booked at its projection, as uncertain. What has no price is unknown, which is not nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from routeware.budget import Reservation
from routeware.engine.cost_warnings import (
    warn_dropped,
    warn_exceeded,
    warn_guessing,
    warn_unpriced,
    warn_unreadable,
)
from routeware.engine.prepared import PreparedLink
from routeware.engine.registrations import Request
from routeware.money import Usage, amount_usd, nanos
from routeware.observers import Cost
from routeware.pricing import (
    Reading,
    merged_usage,
    projected_usage,
    read_error,
    read_reply,
    read_report,
)
from routeware.pricing.chunks import is_unfinished

__all__ = ["FREE", "Bill", "Ending"]

logger = logging.getLogger("routeware")


FREE = Cost()
"""What an attempt cost that was not billed."""


class Ending(NamedTuple):
    """How an attempt ended, as far as its cost depends on that.

    Attributes:
        given: the result of its function, or the error.
        has_value: True if the function gave a result.
        invoked: True if it was called at all.
        not_billed: True if it failed in a way that the provider does not bill.
        uncertain_share: the share of the projection to book where nothing better is known.
        is_partial: True if it is a stream that did not come to its end: what it reported is the least that it cost.
    """

    given: object
    has_value: bool
    invoked: bool
    not_billed: bool
    uncertain_share: float
    is_partial: bool = False


class Bill:
    """The money of one attempt, from its projection to what it cost. Made when money is held, reported or asked for.

    Args:
        link: the link.
        request: what was asked of it, and who pays.
        cost: what it cost, where it is settled already: it reports late.

    Attributes:
        projection: the most that it is expected to cost, in nano-dollars; ``None`` where its link has no price.
        reservation: what it has set aside; ``None`` where nothing has to be.
        cost: what it cost, as its call sees it; ``None`` until it is settled, and replaced by a later report.
        is_unfinished: True if the usage is that of a message whose API had not said yet why it stopped.
    """

    __slots__ = (
        "_by_hand",
        "_deduced_output",
        "_has_learned",
        "_has_projection",
        "_is_container",
        "_is_settled",
        "_link",
        "_reported_nanos",
        "_request",
        "_response_model",
        "_usage",
        "cost",
        "is_unfinished",
        "projection",
        "reservation",
    )

    def __init__(self, link: PreparedLink, request: Request, cost: Cost | None = None) -> None:
        self._link = link
        self._request = request
        self._reported_nanos: int | None = None
        self._usage: Usage | None = None
        self._response_model: str | None = None
        self._has_projection = self._is_container = False
        self._deduced_output = self._has_learned = False
        self._by_hand = self.is_unfinished = False
        self._is_settled = cost is not None
        self.projection: int | None = None
        self.reservation: Reservation | None = None
        self.cost = cost

    @property
    def usage(self) -> Usage | None:
        """What was reported, or read from the answer; ``None`` where nothing was."""
        return self._usage

    @property
    def committed(self) -> int:
        """What it counts for under a cap, in nano-dollars: what it holds, or what it cost."""
        if self.cost is not None:
            return (self.cost.settled or 0) + (self.cost.uncertain or 0)
        return 0 if self.reservation is None else self.reservation.held

    def project(self, *, warn: bool) -> int | None:
        """Work out the projection.

        Args:
            warn: log it once where the size of the answer has to be guessed.

        Raises:
            Exception: what the ``estimate`` hook raised.
        """
        self._has_projection = True
        if warn:
            warn_guessing(self._link, self._request)
        self.projection = _by_hook(self._link, self._request)
        return self.projection

    def hold(self, amount: int, cap: int | None = None) -> None:
        """Set ``amount`` aside in every tally of this process that counts it.

        Raises:
            BudgetExceededError: a cap would be passed.
        """
        self.reservation = Reservation(self._request.payer)
        self.reservation.hold(amount, cap)

    def release(self) -> None:
        """Give back what is set aside for an attempt that is not started after all."""
        if self.reservation is not None:
            self.reservation.release()  # also where nothing is held: a ledger keeps the question's id until then

    def open_container(self) -> None:
        """Take note that the attempt makes routed calls: they are billed, and it costs what is reported on it."""
        if not self._is_container:
            self._is_container = True
            if self.reservation is not None and self.reservation.held:
                self.reservation.release()

    def report(self, reading: Reading, *, by_hand: bool = False, is_unfinished: bool = False) -> None:
        """Take what a reply says. It replaces what it says of an earlier report, and keeps what it leaves out.

        Args:
            reading: what it says.
            by_hand: True if the function says it, and no reply: it counts as it is, however a stream ends.
            is_unfinished: True if it is a message whose API has not said yet why it stopped.
        """
        self._by_hand = self._by_hand or by_hand
        self._take(reading)
        if reading.usage is not None:
            self.is_unfinished = is_unfinished
        if reading.usage is not None or reading.cost_nanos is not None:
            self._correct()

    def report_cost(self, amount: int) -> None:
        """Take a cost, in nano-dollars. It outranks the price of the usage."""
        self._by_hand = True
        self._reported_nanos = amount
        self._correct()

    def drop(self, names: Sequence[str]) -> None:
        """Leave out what was reported and can't be meant; say so once per link."""
        if names:
            warn_dropped(self._link, names)

    def read_items(self, items: Sequence[object]) -> None:
        """Read the usage off items of a stream, part by part, if its function has reported none."""
        if self._usage is None and not self._is_container:
            for item in items:
                reading = read_report(item)
                self._take(reading, by_report=False)
                if reading.usage is not None:
                    self.is_unfinished = is_unfinished(item)

    def learn(self) -> None:
        """Let projections learn from the answer, once it is known in full. Once per attempt, not per report."""
        usage = self._usage
        if usage is None or usage.output_tokens is None or self._has_learned:
            return
        self._has_learned = True
        self._link.stats.outputs.learn(usage.output_tokens, deduced=self._deduced_output)

    def settle(self, ending: Ending) -> Cost:
        """Work out what the attempt cost, and replace its reservation by that. Once; later calls change nothing."""
        if self.cost is None:
            self.cost = self._work_out(ending)
            self._book(self.cost)
        return self.cost

    def detach(self, ending: Ending) -> Cost:
        """Estimate what an attempt costs whose call goes on without it. What it holds stays held until it ends."""
        if self.cost is None:
            self.cost = self._work_out(ending)
        return self.cost

    def settle_detached(self, ending: Ending) -> None:
        """Book what a detached attempt cost, now that it has ended. Its call, record and span are closed."""
        if not self._is_settled:
            self._book(self._work_out(ending))

    def give_up(self) -> None:
        """Book a detached attempt at its estimate: its session is left before it ends. Its end still corrects that."""
        if self.cost is not None:
            self._settle(self.cost.settled or 0, self.cost.uncertain or 0)

    def _book(self, cost: Cost) -> None:
        usage, reported = self._usage, self._reported_nanos
        self._settle(cost.settled or 0, cost.uncertain or 0)
        self._is_settled = True
        if usage is not self._usage or reported != self._reported_nanos:
            self._correct()  # another thread has reported meanwhile, and took the attempt for running

    def _correct(self) -> None:
        # Reported after it was settled: the session is corrected, and so is the record, unless the call has ended. The
        # span is closed.
        if not self._is_settled:
            return
        self.learn()
        cost = self._reported()
        if cost is not None:
            self.cost = cost
            self._settle(cost.settled or 0, 0)

    def _settle(self, settled: int, uncertain: int) -> None:
        if self.reservation is None:
            if self._request.payer is None or not (settled or uncertain):
                return
            # Nothing had to be set aside: no cap is in force, and no ledger is asked.
            self.reservation = Reservation(self._request.payer)
        self.reservation.settle(settled, uncertain)

    def _reported(self) -> Cost | None:
        """Price what was reported; ``None`` where nothing was, or where that has no known price."""
        usage, model = self._usage, self._response_model
        if self._reported_nanos is not None:
            return Cost(self._reported_nanos, 0, "reported", usage, model)
        amount = None if usage is None else self._link.cost(usage)
        if usage is None or amount is None:
            return None
        unpriced = self._link.unpriced(usage)
        if unpriced:
            warn_unpriced(self._link, unpriced)
        return Cost(amount, 0, "priced", usage, model, None, unpriced)

    def _work_out(self, ending: Ending) -> Cost:
        nothing_reported = self._usage is None and self._reported_nanos is None
        # A reply that was there has been paid for, whatever the error says that came of judging it.
        if nothing_reported and (not ending.invoked or (ending.not_billed and not ending.has_value)):
            return Cost(response_model=self._response_model)
        if self._usage is None and not self._is_container:
            self._read(ending)
        self.learn()
        cost = self._reported()
        if cost is not None and ending.is_partial and not self._by_hand:
            return self._at_least(cost)
        if cost is not None:
            held = 0 if self.reservation is None else self.reservation.held
            return cost if not held or (cost.settled or 0) <= held else self._exceeding(cost, held)
        facts = self._usage, self._response_model
        if self._is_container:
            return Cost(0, 0, None, *facts)
        projection = self._projection_to_book()
        if projection is None:
            return Cost(None, None, None, *facts)
        if ending.has_value:
            warn_unreadable(self._link, ending.given, partly=self._usage is not None)
        return Cost(0, round(projection * ending.uncertain_share), "estimated", *facts)

    def _at_least(self, cost: Cost) -> Cost:
        """Settle what a stream that was cut short is known to have used; the rest of its projection is uncertain."""
        settled = cost.settled or 0
        return cost._replace(uncertain=max(0, (self._projection_to_book() or 0) - settled), source="estimated")

    def _read(self, ending: Ending) -> None:
        if ending.has_value:
            self._take(read_reply(ending.given), by_report=False)
        elif isinstance(ending.given, BaseException):
            self._take(read_error(ending.given), by_report=False)

    def _take(self, reading: Reading, *, by_report: bool = True) -> None:
        if reading.dropped:
            self.drop(reading.dropped)
        # What was said on purpose outranks what is found in the result.
        if reading.response_model is not None and (by_report or self._response_model is None):
            self._response_model = reading.response_model
        if reading.cost_nanos is not None and (by_report or self._reported_nanos is None):
            self._reported_nanos = reading.cost_nanos
        if reading.usage is not None:
            self._usage = merged_usage(self._usage, reading.usage, plain_input=reading.plain_input)
            self._deduced_output = reading.deduced_output

    def _projection_to_book(self) -> int | None:
        if self._has_projection:
            return self.projection
        if self._link.tariff is None and self._request.registrations.estimate is None:
            return None
        try:
            return self.project(warn=False)
        except Exception as error:  # noqa: BLE001 - a hook's failure must not lose a cost
            logger.warning("the estimate hook failed (%s); the built-in projection is booked", type(error).__qualname__)
            self.projection = _built_in(self._link, self._request)
            return self.projection

    def _exceeding(self, cost: Cost, held: int) -> Cost:
        warn_exceeded(self._link, cost.settled or 0, held)
        return cost._replace(exceeded=self.projection)


def _by_hook(link: PreparedLink, request: Request) -> int | None:
    estimate = request.registrations.estimate
    if estimate is None:
        return _built_in(link, request)
    answer = estimate(link.link, *request.args, **request.kwargs)
    if not isinstance(answer, Usage):
        return nanos(amount_usd(answer, "estimate"))
    if answer.input_tokens is None or answer.output_tokens is None:
        return link.cost(merged_usage(_built_in_usage(link, request), answer) or answer)
    return link.cost(answer)


def _built_in(link: PreparedLink, request: Request) -> int | None:
    return None if link.tariff is None else link.cost(_built_in_usage(link, request))


def _built_in_usage(link: PreparedLink, request: Request) -> Usage:
    sent, limit = request.tokens
    return projected_usage(sent, limit or link.link.max_output_tokens or link.stats.outputs.tokens)
