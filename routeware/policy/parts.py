"""The parts of a policy: links and rules, as frozen facts.

Each may be given as a mapping wherever a policy takes it. A part that is built by itself names the field in its errors
(``timeout_ms``); inside a policy the same error names the whole path (``chain[1].timeout_ms``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Any

import attrs

from routeware.errors import CATEGORY_ALIASES, DEFAULT_KINDS, ErrorCategory, PolicyError
from routeware.money import MOST_USD, Price
from routeware.policy import checks
from routeware.policy.checks import as_float, as_optional_float, as_optional_text, as_text
from routeware.policy.shape import named, names_nearest

__all__ = ["BudgetRules", "FailoverRules", "LatencyRules", "Link", "ObserveRules", "OnExceed"]

_ABOVE_0 = attrs.validators.optional(checks.number(above=0))
_AT_LEAST_0 = attrs.validators.optional(checks.number(low=0))
_AMOUNT = attrs.validators.optional(checks.number(low=0, high=MOST_USD))
_COUNT = attrs.validators.optional(checks.whole_number(low=1))

names_nearest(Price)  # here, because prices are written where links are

_KINDS: dict[str, str] = {
    **{category.value: category.value for category in ErrorCategory},
    **{alias: category.value for alias, category in CATEGORY_ALIASES.items()},
    **{kind: kind for kind in DEFAULT_KINDS},
}


class OnExceed(StrEnum):
    """The reaction to an attempt that would pass a cap."""

    ABORT = "abort"
    SKIP = "skip"
    WARN = "warn"


_ON_EXCEED = {**{choice.value: choice for choice in OnExceed}, "downgrade": OnExceed.SKIP}


def _price(value: Price | Mapping[str, Any] | None) -> Price | None:
    if value is None or isinstance(value, Price):
        return value
    with checks.within("price"):
        rates = named(Price, value)
        for name, rate in rates.items():
            rates[name] = rate if rate is None else checks.finite(rate, name)
    return Price(**rates)  # knows which rates may be None, and names them price.… by itself


def _label(link: Link) -> str:
    # Made before the validators have seen either, and a number of 5,000 digits has no text.
    texts = isinstance(link.provider, str) and isinstance(link.model, str)
    return f"{link.provider}:{link.model}" if texts else "link"


@names_nearest
@attrs.frozen(kw_only=True)
class Link:
    """One place to try: a provider and a model, or any other service and its variant.

    Attributes:
        provider: the provider's name; not empty.
        model: the model's name; not empty.
        timeout_ms: time-out of one attempt, above 0; ``None`` uses ``failover.on_timeout_ms``.
        label: its name in spans, records and errors; ``provider:model`` by default.
        price: a :class:`~routeware.Price` or a mapping; overrides any price book.
        max_output_tokens: the longest answer, at least 1. Projections use it, and the function can pass it on.
        tier: free text for the decision record.
        uncertain_share: the share of the projection, 0 to 1, that is booked for an attempt that was cut off or reset
            before an answer arrived. Lower it only if bills show that the provider doesn't charge for such attempts.
        idle_timeout_ms: time-out between the items of a stream, above 0; overrides ``failover.idle_timeout_ms``. Plain
            calls ignore it.
        spread: a name shared with neighbouring links: their order is drawn anew for each call.
        weight: the link's share in that draw, relative to the others'; above 0.

    Raises:
        PolicyError: a value has the wrong type or is out of range.
    """

    provider: str = attrs.field(converter=as_text, validator=checks.text)
    model: str = attrs.field(converter=as_text, validator=checks.text)
    timeout_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_ABOVE_0)
    label: str = attrs.field(default=attrs.Factory(_label, takes_self=True), converter=as_text, validator=checks.text)
    price: Price | None = attrs.field(default=None, converter=_price)
    max_output_tokens: int | None = attrs.field(default=None, validator=_COUNT)
    tier: str | None = attrs.field(
        default=None, converter=as_optional_text, validator=attrs.validators.optional(checks.free_text)
    )
    uncertain_share: float = attrs.field(default=1.0, converter=as_float, validator=checks.number(high=1))
    idle_timeout_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_ABOVE_0)
    spread: str | None = attrs.field(
        default=None, converter=as_optional_text, validator=attrs.validators.optional(checks.text)
    )
    weight: float = attrs.field(default=1.0, converter=as_float, validator=checks.number(above=0))


def _on_status(value: Sequence[int] | AbstractSet[int] | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        raise checks.refusal("on_status", "a list of statuses", value, f"write [{value.strip()}]")
    members = enumerate(checks.items(value, "on_status", "a list of statuses"))
    return tuple(sorted({checks.whole(member, f"on_status[{at}]", low=100, high=599) for at, member in members}))


def _kind(value: object, key: str) -> str:
    return checks.word(value, key, "an error kind", _KINDS)


def _on_error_kinds(value: Sequence[str] | AbstractSet[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    wanted = 'a list of error kinds or a text like "default, auth"'
    if isinstance(value, str):
        words: Sequence[object] = [word for word in value.split(",") if word.strip()] or [value]
    else:
        words = checks.items(value, "on_error_kinds", wanted)
    members = enumerate(sorted(words, key=str) if isinstance(value, AbstractSet) else words)
    return tuple(dict.fromkeys(_kind(member, f"on_error_kinds[{at}]") for at, member in members))


@names_nearest
@attrs.frozen(kw_only=True)
class FailoverRules:
    """The failures that move a call on to the next link, and how far.

    Attributes:
        on_status: HTTP statuses, each 100 to 599; kept sorted.
        on_error_kinds: error categories, their aliases, ``default`` or ``any``; a list or ``"a, b"``, in any case. Kept
            as category names, in the order given. If neither this nor ``on_status`` is set, the default rules apply;
            an empty list matches no error.
        on_timeout_ms: time-out, above 0, of every attempt whose link has none. Setting it keeps the default rules.
        idle_timeout_ms: time-out between the items of a stream, for every link that has none.
        max_attempts: most attempts of a call, races included, at least 1; ``None`` is the length of the chain times the
            number of rounds.
        cooldown_ms: first pause of a link that keeps failing, above 0; ``None`` switches cooldown off.
        cooldown_after: number of failures in a row that start a pause, at least 1.
        cooldown_max_ms: longest pause, above 0; also bounds a ``Retry-After``.
        retries: further rounds through the chain after every link has failed, 0 to 10.
        backoff_ms: longest pause before the first further round, above 0; doubles with each round.
        backoff_max_ms: longest pause before any round, above 0; also bounds a ``Retry-After``.

    Raises:
        PolicyError: a value has the wrong type or is out of range.
    """

    on_status: tuple[int, ...] | None = attrs.field(default=None, converter=_on_status)
    on_error_kinds: tuple[str, ...] | None = attrs.field(default=None, converter=_on_error_kinds)
    on_timeout_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_ABOVE_0)
    idle_timeout_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_ABOVE_0)
    max_attempts: int | None = attrs.field(default=None, validator=_COUNT)
    cooldown_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_ABOVE_0)
    cooldown_after: int = attrs.field(default=5, validator=checks.whole_number(low=1))
    cooldown_max_ms: float = attrs.field(default=60_000.0, converter=as_float, validator=checks.number(above=0))
    retries: int = attrs.field(default=0, validator=checks.whole_number(low=0, high=10))
    backoff_ms: float = attrs.field(default=500.0, converter=as_float, validator=checks.number(above=0))
    backoff_max_ms: float = attrs.field(default=10_000.0, converter=as_float, validator=checks.number(above=0))

    def __attrs_post_init__(self) -> None:
        if self.cooldown_ms is not None and self.cooldown_max_ms < self.cooldown_ms:
            raise checks.refusal(
                "cooldown_max_ms", f"at least cooldown_ms ({self.cooldown_ms:g})", self.cooldown_max_ms
            )
        if self.backoff_max_ms < self.backoff_ms:
            raise checks.refusal("backoff_max_ms", f"at least backoff_ms ({self.backoff_ms:g})", self.backoff_max_ms)


@names_nearest
@attrs.frozen(kw_only=True)
class LatencyRules:
    """Rules for racing a slow attempt, and for the length of a call.

    Attributes:
        race_after_ms: time after the latest start at which the next link joins, at least 0; ``None`` is no racing.
        target_p95_ms: the 95th percentile to reach, above 0. The threshold is then found from recent attempts;
            ``race_after_ms`` applies until there are enough of them, and is the upper bound of what is found.
        target_p99_ms: the 99th percentile to reach instead, above 0; not together with ``target_p95_ms``.
        by_size: True to race requests of different size at different times.
        max_extra: most extra attempts per call that a target may cost, 0 to 1.
        explore: share of calls that race early to learn the backup, 0 to 0.1.
        swap_in_outage: True to let a target try the backup first while the primary is out.
        race_width: most attempts in flight at once in one call, at least 2.
        deadline_ms: bound on the whole call, above 0.
        first_item_deadline_ms: bound on the time to a stream's first item, over all attempts, above 0. Ignored
            for plain calls.

    Raises:
        PolicyError: a value has the wrong type or is out of range.
    """

    race_after_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_AT_LEAST_0)
    target_p95_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_ABOVE_0)
    target_p99_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_ABOVE_0)
    by_size: bool = attrs.field(default=False, validator=checks.flag)
    max_extra: float = attrs.field(default=0.35, converter=as_float, validator=checks.number(high=1))
    explore: float = attrs.field(default=0.005, converter=as_float, validator=checks.number(high=0.1))
    swap_in_outage: bool = attrs.field(default=False, validator=checks.flag)
    race_width: int = attrs.field(default=2, validator=checks.whole_number(low=2))
    deadline_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_ABOVE_0)
    first_item_deadline_ms: float | None = attrs.field(default=None, converter=as_optional_float, validator=_ABOVE_0)

    def __attrs_post_init__(self) -> None:
        if self.target_p95_ms is not None and self.target_p99_ms is not None:
            raise PolicyError("can't be combined with target_p95_ms: set only one of them", key="target_p99_ms")

    @property
    def target_ms(self) -> float | None:
        """The target in force, whichever percentile it is for."""
        return self.target_p95_ms if self.target_p99_ms is None else self.target_p99_ms


def _on_exceed(value: OnExceed | str) -> OnExceed:
    return checks.word(value, "on_exceed", "abort, skip or warn", _ON_EXCEED)


@names_nearest
@attrs.frozen(kw_only=True)
class BudgetRules:
    """The caps on a call and its session.

    Attributes:
        per_call_usd: cap on one call, at least 0: what it has committed so far and the next projection.
        session_usd: cap on the innermost session's total, at least 0.
        on_exceed: the reaction to an attempt that would pass a cap; ``downgrade`` is an alias of ``skip``.
        allow_unpriced: True if links without a known price may run under a cap.

    Raises:
        PolicyError: a value has the wrong type or is out of range.
    """

    per_call_usd: float | None = attrs.field(default=None, converter=as_optional_float, validator=_AMOUNT)
    session_usd: float | None = attrs.field(default=None, converter=as_optional_float, validator=_AMOUNT)
    on_exceed: OnExceed = attrs.field(default=OnExceed.ABORT, converter=_on_exceed)
    allow_unpriced: bool = attrs.field(default=False, validator=checks.flag)

    @property
    def capped(self) -> bool:
        """True if the policy sets a cap."""
        return self.per_call_usd is not None or self.session_usd is not None


@names_nearest
@attrs.frozen(kw_only=True)
class ObserveRules:
    """The settings of what is recorded and logged about a call.

    Attributes:
        emit_event: prefix of event names; not empty.
        error_messages: True to keep the providers' error texts, which may quote prompts and keys, in spans and records.

    Raises:
        PolicyError: a value has the wrong type or is out of range.
    """

    emit_event: str = attrs.field(default="llm.routing", converter=as_text, validator=checks.text)
    error_messages: bool = attrs.field(default=False, validator=checks.flag)
