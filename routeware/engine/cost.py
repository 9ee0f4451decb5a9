"""The money of an attempt: its projection, its reservation and its cost.

A reported cost or usage counts. An attempt that reported nothing and was answered with an error costs nothing. Others
(an answer whose usage cannot be read, a time-out, a lost race, a cancellation, a dropped connection) may have been
billed: they are booked at their projection, as uncertain. A cost without a price is unknown, which is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import attrs

from routeware.budget import Reservation, caps, charge
from routeware.engine.cost_warnings import warn
from routeware.engine.prepared import PreparedLink
from routeware.engine.projections import project, project_to_book
from routeware.engine.registrations import Request
from routeware.money import Usage, plain_usage, usd
from routeware.observers import Cost
from routeware.pricing import NO_READING, PlainCounts, Reading, joined, read_error, read_reply, read_report
from routeware.pricing.chunks import is_unfinished
from routeware.text import bounded

__all__ = ["FREE", "UNKNOWN", "Bill", "Ending", "settle_plain"]

FREE = Cost()
"""The cost of an attempt that was not billed."""
UNKNOWN = Cost(None, None)
"""The cost of an attempt at a link without a price."""


def settle_plain(link: PreparedLink, request: Request, plain: PlainCounts) -> Cost | None:
    """Settle an attempt for which nothing is held at plain counts; ``None`` if its price takes more than these."""
    sent, output, model = plain
    if link.plain_cost is None:
        return None
    amount = link.plain_cost(sent, output)
    if request.payer is not None:
        charge(request.payer.accounts, amount, 0)
    return Cost(amount, 0, "priced", plain_usage(sent, output), bounded(model))


class Ending(NamedTuple):
    """The end of an attempt, as far as its cost depends on it.

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
        reading: what was reported before.
        cost: what it cost, where it is settled already: it reports late.
        has_learned: True if projections have learned from what was reported before.

    Attributes:
        projection: the most that it is expected to cost, in nano-dollars; ``None`` where its link has no price.
        reservation: what it has set aside; ``None`` where nothing has to be.
        cost: what it cost, as its call sees it; ``None`` until it is settled, and replaced by a later report.
        is_unfinished: True if the usage is that of a message whose API had not said yet why it stopped.
    """

    __slots__ = (
        "_booked",
        "_by_hand",
        "_has_learned",
        "_has_projection",
        "_is_container",
        "_link",
        "_reading",
        "_request",
        "cost",
        "is_unfinished",
        "projection",
        "reservation",
    )

    def __init__(
        self, link: PreparedLink, request: Request, reading: Reading, cost: Cost | None, *, has_learned: bool
    ) -> None:
        self._link = link
        self._request = request
        # All that was reported, in one object that is replaced as a whole: threads may report while this is settled.
        self._reading = reading
        self._has_learned = has_learned
        self._has_projection = self._is_container = self._by_hand = self.is_unfinished = False
        self.projection: int | None = None
        self.reservation: Reservation | None = None
        self.cost = self._booked = cost

    @property
    def usage(self) -> Usage | None:
        """The usage that was reported, or read from the answer; ``None`` without any."""
        return self._reading.usage

    @property
    def committed(self) -> int:
        """The amount that counts under a cap, in nano-dollars: its reservation, or its cost."""
        if self.cost is not None:
            return (self.cost.settled or 0) + (self.cost.uncertain or 0)
        return 0 if self.reservation is None else self.reservation.held

    def project(self, *, may_warn: bool) -> int | None:
        """Work out the projection.

        Args:
            may_warn: log it once where the size of the answer has to be guessed.

        Raises:
            Exception: what the ``estimate`` hook raised.
        """
        self._has_projection = True
        self.projection = project(self._link, self._request, may_warn=may_warn)
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
        if by_hand:
            self._by_hand = True
        self._take(reading)
        if reading.usage is not None:
            self.is_unfinished = is_unfinished
        if self._booked is not None:
            self._correct_books()

    def report_cost(self, amount: int) -> None:
        """Take a cost, in nano-dollars. It outranks the price of the usage."""
        self.report(Reading(cost_nanos=amount), by_hand=True)

    def drop(self, names: Sequence[str]) -> None:
        """Leave out what was reported and can't be meant; say so once per link."""
        warn(self._link, "dropped", ", ".join(names))

    def read_items(self, items: Sequence[object]) -> None:
        """Read the usage off items of a stream, part by part, if its function has reported none."""
        if self._reading.usage is None and not self._is_container:
            readings = [read_report(item) for item in items]
            if self._take(*readings, on_purpose=False):
                counting = [item for item, reading in zip(items, readings, strict=True) if reading.usage is not None]
                self.is_unfinished = bool(counting) and is_unfinished(counting[-1])

    def learn(self) -> None:
        """Let projections learn from the answer, once it is known in full. Once per attempt, not per report."""
        if self._has_learned:
            return
        usage = self._reading.usage
        if usage is not None and usage.output_tokens is not None:
            self._has_learned = True
            self._link.stats.outputs.learn(usage.output_tokens, deduced=self._reading.deduced_output)

    def settle(self, ending: Ending) -> Cost:
        """Work out what the attempt cost, and replace its reservation by that. Only to be called once."""
        self.cost, reading = self._work_out(ending)
        self._book(self.cost, reading)
        return self.cost

    def detach(self, ending: Ending) -> None:
        """Estimate what an attempt costs whose call goes on without it. What it holds stays held until it ends."""
        if self.cost is None:
            self.cost, _ = self._work_out(ending)

    def settle_detached(self, ending: Ending) -> None:
        """Book what a detached attempt cost, now that it has ended. Its call, record and span are closed."""
        if self._booked is None:
            self._book(*self._work_out(ending))
            self.learn()  # its call, at whose end others do, is over

    def give_up(self) -> None:
        """Book a detached attempt at its estimate: its session is left before it ends. Its end still corrects that."""
        if self.cost is not None:
            self._change(self.cost.settled or 0, self.cost.uncertain or 0)

    def _book(self, cost: Cost, reading: Reading) -> None:
        settled, uncertain = cost[:2]  # by place: names of a tuple's fields are read in C calls
        if self.reservation is not None:
            self.reservation.settle(settled or 0, uncertain or 0)
        elif settled or uncertain:
            # Nothing had to be set aside: no cap is in force, and no ledger is asked.
            payer = self._request.payer
            if payer is not None:
                charge(payer.accounts, settled or 0, uncertain or 0)
        self._booked = cost
        if reading is not self._reading:
            self._correct_books()  # another thread has reported meanwhile, and took the attempt for running

    def _correct_books(self) -> None:
        # Reported after it was settled: the session is corrected, and so is the record, unless the call has ended. The
        # span is closed.
        self.learn()
        reading = None
        while reading is not self._reading:  # another thread may report meanwhile: the last one to book looks again
            reading = self._reading
            cost = self._priced(reading)
            if cost is not None:
                self.cost = cost
                self._change(cost.settled or 0, 0)

    def _change(self, settled: int, uncertain: int) -> None:
        """Correct what is booked; a reservation knows what that was."""
        payer = self._request.payer
        with caps.LOCK:
            if self.reservation is None and payer is not None:
                booked = self._booked or FREE
                self.reservation = Reservation(payer, booked.settled or 0, booked.uncertain or 0)
        if self.reservation is not None:
            self.reservation.settle(settled, uncertain)

    def _priced(self, reading: Reading) -> Cost | None:
        """Price what was reported; ``None`` where nothing was, or where that has no known price."""
        usage, model, link = reading.usage, reading.response_model, self._link
        if reading.cost_nanos is not None:
            return Cost(reading.cost_nanos, 0, "reported", usage, model)
        if usage is None:
            return None
        amount = link.cost(usage)
        if amount is None:
            return None
        unpriced = link.unpriced(usage)
        if unpriced:
            warn(link, "unpriced", ", ".join(unpriced))
        return Cost(amount, 0, "priced", usage, model, None, unpriced)

    def _compared(self, cost: Cost, held: int) -> Cost:
        """Mark a cost that exceeds what was set aside."""
        settled = cost.settled or 0
        if not held or settled <= held:
            return cost
        warn(self._link, "exceeded", usd(settled), usd(held))
        return cost._replace(exceeded=self.projection)

    def _work_out(self, ending: Ending) -> tuple[Cost, Reading]:
        """Work out what the attempt cost, and what that is made of."""
        reading = self._reading
        nothing_reported = reading.usage is None and reading.cost_nanos is None
        # A reply that was there has been paid for, whatever the error says that came of judging it.
        if nothing_reported and (not ending.invoked or (ending.not_billed and not ending.has_value)):
            return Cost(response_model=reading.response_model), reading
        if reading.usage is None and not self._is_container:
            self._read(ending)
        reading = self._reading
        cost = self._priced(reading)
        if cost is not None:
            if ending.is_partial and not self._by_hand:
                cost = self._at_least(cost)
            elif self.reservation is not None:
                cost = self._compared(cost, self.reservation.held)
            return cost, reading
        return self._estimated(ending, reading), reading

    def _estimated(self, ending: Ending, reading: Reading) -> Cost:
        """Book the projection, because nothing that was reported says what the attempt cost."""
        facts = reading.usage, reading.response_model
        if self._is_container:
            return Cost(0, 0, None, *facts)
        projection = self._projection_to_book()
        if projection is None:
            return Cost(None, None, None, *facts)
        if ending.has_value:
            what = "no usage" if reading.usage is None else "not all usage"
            warn(self._link, "unreadable", type(ending.given).__qualname__, what)
        return Cost(0, max(round(projection * ending.uncertain_share), self._known(reading.usage)), "estimated", *facts)

    def _known(self, usage: Usage | None) -> int:
        """Price what is known of a usage that lacks a count: the attempt cost at least that, whatever was projected."""
        if usage is None:
            return 0
        counted = attrs.evolve(usage, input_tokens=usage.input_tokens or 0, output_tokens=usage.output_tokens or 0)
        return self._link.cost(counted) or 0

    def _at_least(self, cost: Cost) -> Cost:
        """Settle what a stream that was cut short is known to have used; the rest of its projection is uncertain."""
        settled = cost.settled or 0
        return cost._replace(uncertain=max(0, (self._projection_to_book() or 0) - settled), source="estimated")

    def _read(self, ending: Ending) -> None:
        if ending.has_value:
            self._take(read_reply(ending.given), on_purpose=False)
        elif isinstance(ending.given, BaseException):
            self._take(read_error(ending.given), on_purpose=False)

    def _take(self, *readings: Reading, on_purpose: bool = True) -> bool:
        """Take what was reported, or found in a result; ``False`` if a usage was reported while that was read."""
        with caps.LOCK:  # two threads that report at once
            if not on_purpose and self._reading.usage is not None:
                return False
            for reading in readings:
                known = self._reading
                self._reading = reading if known is NO_READING else joined(known, reading, on_purpose=on_purpose)
        for reading in readings:
            if reading.dropped:
                self.drop(reading.dropped)
        return True

    def _projection_to_book(self) -> int | None:
        if not self._has_projection:
            self._has_projection = True
            self.projection = project_to_book(self._link, self._request)
        return self.projection
