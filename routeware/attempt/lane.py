"""A link, prepared: all about trying it that is the same for every call is worked out once."""

from __future__ import annotations

import logging
import types
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from routeware.attempt.handle import Attempt
from routeware.classify import ClassifyHook
from routeware.money import Price, Tariff, Usage, amount_usd, meter, nanos
from routeware.policy import Link
from routeware.pricing import MINIMUM_OUTPUT_TOKENS, OutputArgument
from routeware.records import CallRecord
from routeware.threshold import Memory

__all__ = ["UNBOUND", "Habits", "Hooks", "Lane", "ProviderFunction"]

logger = logging.getLogger("routeware")

UNBOUND: object = object()
"""In place of an instance, where the decorated function is not a method."""


class ProviderFunction:
    """A function that calls providers, with or without an instance before the attempt."""

    __slots__ = ("_fn", "_plain")

    def __init__(self, fn: Callable[..., Awaitable[Any]]) -> None:
        self._fn = fn
        self._plain = isinstance(fn, types.FunctionType)

    def __call__(
        self, owner: object, attempt: Attempt, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Awaitable[Any]:
        """Call it for ``owner``. What it raises here, before anything is awaited, is about its arguments."""
        if owner is UNBOUND:
            return self._fn(attempt, *args, **kwargs)
        if self._plain:
            return self._fn(owner, attempt, *args, **kwargs)
        # Instances bind other callables as they bind them anywhere else: by __get__, or not at all.
        binds = getattr(type(self._fn), "__get__", None)
        bound = self._fn if binds is None else binds(self._fn, owner, type(owner))
        called: Awaitable[Any] = bound(attempt, *args, **kwargs)
        return called


class Habits:
    """What was learned of one link here, for projections; and what was already said about it."""

    __slots__ = ("largest_output", "said_guessing", "said_over")

    def __init__(self) -> None:
        self.largest_output = MINIMUM_OUTPUT_TOKENS
        self.said_guessing = False
        self.said_over = False


class Hooks:
    """What was registered on one decorated function, and what it has learned. Shared by all its views."""

    def __init__(
        self,
        fn: ProviderFunction,
        output_argument: OutputArgument,
        classify: ClassifyHook | None,
        on_call: Callable[[CallRecord], object] | None,
        wrap_errors: bool,
    ) -> None:
        self.fn = fn
        self.on_call = on_call
        self.wrap_errors = wrap_errors
        self.by_provider: dict[str, ProviderFunction] = {}
        self.accept: Callable[[Any], bool | Awaitable[bool]] | None = None
        self.estimate: Callable[..., Usage | float] | None = None
        self.output_argument = output_argument
        self.classify = classify
        self.memory = Memory()
        self._habits: dict[tuple[str, str], Habits] = {}

    def habits(self, link: Link) -> Habits:
        """What is known of ``link``, under every policy that names it."""
        return self._habits.setdefault((link.provider, link.model), Habits())


class Lane:
    """One link of a policy, ready to be tried.

    Attributes:
        link: the link.
        tariff: what it costs; ``None`` where nobody knows.
        cost: what a usage costs here now, in nano-dollars; ``None`` where that is unknown.
        per_request: whether an answer costs the same whatever its size, so that its size need not be guessed.
        timeout_ms: its own time-out, or the policy's for all links; ``None`` where neither is set.
        habits: what was learned of it.
        span_name: the name of its attempts' spans.
        span_attributes: what these spans start with.
    """

    __slots__ = ("cost", "habits", "link", "per_request", "span_attributes", "span_name", "tariff", "timeout_ms")

    def __init__(
        self,
        link: Link,
        tariff: Tariff | None,
        timeout_ms: float | None,
        habits: Habits,
        span: tuple[str, dict[str, Any]],
    ) -> None:
        self.link = link
        self.tariff = tariff
        self.cost = _meter(tariff)
        self.per_request = isinstance(tariff, Price) and not (
            tariff.input_usd_per_mtok or tariff.output_usd_per_mtok or tariff.cached_input_usd_per_mtok
        )
        self.timeout_ms = timeout_ms
        self.habits = habits
        self.span_name, self.span_attributes = span

    def price(self) -> Price | None:
        """The plain price in force now, for the record."""
        try:
            return None if self.tariff is None else self.tariff.price(datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - an answer must not be lost to a price list
            _say_broken(error)
            return None


def _meter(tariff: Tariff | None) -> Callable[[Usage], int | None]:
    if tariff is None:
        return lambda _usage: None
    if isinstance(tariff, Price):
        return meter(tariff)

    def cost(usage: Usage) -> int | None:
        try:
            amount = tariff.cost_usd(usage, datetime.now(UTC))
            return None if amount is None else nanos(amount_usd(amount, "tariff"))
        except Exception as error:  # noqa: BLE001 - as above; what it cost is unknown then
            _say_broken(error)
            return None

    return cost


def _say_broken(error: Exception) -> None:
    logger.warning("a tariff could not be read (%s): the cost is unknown", type(error).__qualname__)
