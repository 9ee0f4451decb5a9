"""The attempt as a provider function sees it: a handle with a dozen names, and nothing to break."""

from __future__ import annotations

import math
from contextvars import ContextVar
from typing import TypeVar

from routeware.engine.execution import Execution
from routeware.engine.prepared import bare_link
from routeware.engine.registrations import NO_REQUEST
from routeware.errors import PolicyError
from routeware.money import MOST_USD, Usage, amount_usd, nanos
from routeware.policy import Link
from routeware.pricing import Reading
from routeware.records import AttemptTrigger
from routeware.telemetry import Span
from routeware.text import bounded

__all__ = [
    "CURRENT",
    "Attempt",
    "current_attempt",
    "current_execution",
    "handle_of",
    "put_back",
    "put_current",
    "reported_usage",
]

T = TypeVar("T")

CURRENT: ContextVar[Attempt | None] = ContextVar("routeware.attempt", default=None)

# Methods of an imported variable are bound anew at each call of them.
put_current, put_back = CURRENT.set, CURRENT.reset


def current_attempt() -> Attempt | None:
    """Find the attempt that this code runs in; ``None`` outside of any."""
    return CURRENT.get()


def current_execution() -> Execution | None:
    """Find the attempt that this code runs in, as the engine knows it; ``None`` outside of any."""
    attempt = CURRENT.get()
    return None if attempt is None else attempt._execution


class Attempt:
    """One run of a provider function against one link, as that function sees it. None of its names can be set.

    Args:
        link: the link.
        number: its place among the call's attempts, from 1.
    """

    __slots__ = ("_execution",)

    def __init__(self, link: Link, number: int = 1) -> None:
        # For tests of provider functions; the engine makes its own with handle_of.
        self._execution = Execution(bare_link(link), NO_REQUEST, number, AttemptTrigger.INITIAL)
        self._execution.start(0.0, None if link.timeout_ms is None else link.timeout_ms / 1000)

    def __repr__(self) -> str:
        return f"<attempt {self.number} at {self.label}>"

    @property
    def link(self) -> Link:
        """The link to try."""
        return self._execution.prepared.link

    @property
    def provider(self) -> str:
        """The link's provider."""
        return self._execution.prepared.link.provider

    @property
    def model(self) -> str:
        """The link's model."""
        return self._execution.prepared.link.model

    @property
    def label(self) -> str:
        """The link's label."""
        return self._execution.prepared.link.label

    @property
    def max_output_tokens(self) -> int | None:
        """The link's bound on output, to be passed on; ``None`` where it has none."""
        return self._execution.prepared.link.max_output_tokens

    @property
    def number(self) -> int:
        """Its place among the call's attempts, from 1."""
        return self._execution.number

    @property
    def timeout_ms(self) -> float | None:
        """The time that this attempt really has, the call's deadline included; ``None`` without a bound."""
        return self._execution.timeout_ms

    @property
    def span(self) -> Span:
        """Its OpenTelemetry span, to put attributes of your own on; one that records nothing where none does."""
        return self._execution.span

    def report(self, reply: T) -> T:
        """Read the usage, the model and the cost that an SDK's or API's reply tells, and give the reply back.

        Takes replies, events of their streams, and bare usage objects. A reply without usage that can be read changes
        nothing. A later report replaces what it says of an earlier one, and keeps what it does not say. A report counts
        whatever becomes of the attempt; one that comes after the attempt has been settled corrects the session's books,
        and leaves the span alone.

        A reply that is an error (providers send them under 200, too) says what the function then fails with: the next
        link is tried as if the error had come with its status.
        """
        self._execution.report(reply)
        return reply

    def report_usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        cache_write_1h_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        input_audio_tokens: int | None = None,
        output_audio_tokens: int | None = None,
        web_searches: int | None = None,
        service_tier: str | None = None,
    ) -> None:
        """Say by hand what :meth:`report` would read; ``None`` is unknown, which is not 0. See :class:`Usage`.

        Raises:
            ValueError: a count that is not a whole number from 0 to 2^53, or a tier that is no text.
        """
        usage = Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cached_input_tokens=cached_input_tokens,
            cache_write_tokens=cache_write_tokens,
            cache_write_1h_tokens=cache_write_1h_tokens,
            reasoning_tokens=reasoning_tokens,
            input_audio_tokens=input_audio_tokens,
            output_audio_tokens=output_audio_tokens,
            web_searches=web_searches,
            # Anything but text is refused by Usage, in its own words.
            service_tier=bounded(service_tier) if isinstance(service_tier, str) else service_tier,
        )
        self._execution.sign()
        self._execution.bill.report(Reading(usage), by_hand=True)

    def report_cost(self, usd: float) -> None:
        """Say what this attempt cost, in US dollars. It outranks the price of the usage.

        An amount above 10^12 dollars is left out, and logged once: it is the report's mistake, and no reason to lose
        an answer.

        Raises:
            ValueError: not a finite amount of at least 0.
        """
        self._execution.sign()
        if isinstance(usd, int | float) and MOST_USD < usd < math.inf:
            self._execution.bill.drop(("cost",))
            return
        try:
            amount = amount_usd(usd, "report_cost")
        except PolicyError as error:
            # As itself it would say that nothing was called, and so that the attempt is free.
            raise ValueError(str(error)) from None
        self._execution.bill.report_cost(nanos(amount))


def reported_usage(attempt: Attempt) -> Usage | None:
    """Return what was reported on ``attempt``, for tests of provider functions; ``None`` where nothing was."""
    return attempt._execution.bill.usage if attempt._execution.has_bill else None


def handle_of(execution: Execution) -> Attempt:
    """Make the handle of ``execution`` that its provider function is given."""
    attempt = _new(Attempt)
    attempt._execution = execution
    return attempt


_new = object.__new__
