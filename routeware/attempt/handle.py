"""What a provider function is handed, and what it can say of its own cost."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TypeVar

from routeware.money import Usage, amount_usd, nanos
from routeware.policy import Link
from routeware.pricing import read_reply
from routeware.telemetry import NO_SPAN, Span

__all__ = ["CURRENT", "Attempt", "current_attempt"]

T = TypeVar("T")

CURRENT: ContextVar[Attempt | None] = ContextVar("routeware.attempt", default=None)


def current_attempt() -> Attempt | None:
    """The attempt that this code runs in; ``None`` outside of any."""
    return CURRENT.get()


class Attempt:
    """One run of a provider function against one link, as that function sees it.

    Attributes:
        link: the link to try.
        number: its place among the call's attempts, from 1.
        timeout_ms: the time that this attempt really has, the call's deadline included; ``None`` without a bound.
        span: its OpenTelemetry span, to put attributes of your own on; one that records nothing where none does.
    """

    timeout_ms: float | None = None
    span: Span = NO_SPAN
    # What was reported so far. On the class, because most attempts report none or one of them.
    usage: Usage | None = None
    reported_nanos: int | None = None
    response_model: str | None = None

    def __init__(self, link: Link, number: int) -> None:
        self.link = link
        self.number = number

    def __repr__(self) -> str:
        return f"<attempt {self.number} at {self.link.label}>"

    @property
    def provider(self) -> str:
        """The link's provider."""
        return self.link.provider

    @property
    def model(self) -> str:
        """The link's model."""
        return self.link.model

    @property
    def label(self) -> str:
        """The link's label."""
        return self.link.label

    @property
    def max_output_tokens(self) -> int | None:
        """The link's bound on output, to be passed on; ``None`` where it has none."""
        return self.link.max_output_tokens

    def report(self, reply: T) -> T:
        """Read the token usage and the model that answered off an SDK's or API's reply, and give the reply back.

        A reply without usage that can be read changes nothing. A later report replaces an earlier one. A report
        counts whatever becomes of the attempt; one that comes after the attempt has been settled corrects the
        session's books, and leaves the span alone.
        """
        reading = read_reply(reply)
        if reading.response_model is not None:
            self.response_model = reading.response_model
        if reading.usage is not None:
            self.usage = reading.usage
            self._reported()
        return reply

    def report_usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_input_tokens: int | None = None,
        cache_write_tokens: int | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """Say by hand what :meth:`report` would read; ``None`` is unknown, which is not 0.

        Raises:
            ValueError: a count that is not a whole number of at least 0.
        """
        self.usage = Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cached_input_tokens=cached_input_tokens,
            cache_write_tokens=cache_write_tokens,
            reasoning_tokens=reasoning_tokens,
        )
        self._reported()

    def report_cost(self, usd: float) -> None:
        """Say what this attempt cost, in US dollars. It goes over what the usage and the price come to.

        Raises:
            PolicyError: not a finite amount of at least 0.
        """
        self.reported_nanos = nanos(amount_usd(usd, "report_cost"))
        self._reported()

    def _reported(self) -> None:
        """Take notice of a report."""
