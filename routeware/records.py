"""The record of a call: frozen facts, plain values only.

Records keep no request, no response, no exception and no traceback, so they can be pickled, stored and compared, and
keep nothing alive. They know nothing of the engine that makes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, StrEnum
from typing import Any, Generic, Literal, Self, TypeVar, assert_never

import attrs

from routeware.classify import ErrorSnapshot
from routeware.money import Price, Usage
from routeware.policy import Link
from routeware.restoring import restored

__all__ = [
    "AttemptRecord",
    "AttemptStatus",
    "AttemptTrigger",
    "CallOutcome",
    "CallRecord",
    "CostSource",
    "DecisionAlternative",
    "Outcome",
    "RoutingDecision",
    "SkipReason",
    "Step",
    "StreamEnd",
    "attach_record",
    "filled",
    "own_attributes",
    "record_of",
    "trail_of",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

CallOutcome = Literal["succeeded", "failed", "cancelled", "budget_exceeded", "deadline_exceeded"]
CostSource = Literal["reported", "priced", "estimated"]
SkipReason = Literal["budget", "cooldown"]
StreamEnd = Literal["completed", "closed", "failed", "cancelled"]

_RECORD_KEY = "__routeware_record__"


class AttemptStatus(StrEnum):
    """The status of one attempt."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    RACE_LOST = "race_lost"
    CANCELLED = "cancelled"


class AttemptTrigger(StrEnum):
    """The reason for starting an attempt."""

    INITIAL = "initial"
    FAILOVER = "failover"
    RACE = "race"
    RETRY = "retry"


@attrs.frozen(kw_only=True, slots=False)  # see filled()
class AttemptRecord:
    """One finished attempt at one link.

    Attributes:
        number: its place in the call's ``attempts``, from 1, skipped links included.
        provider: the link's provider.
        model: the link's model.
        label: the link's label.
        tier: the link's tier, free text.
        price: the price in force, if it was known.
        status: how it ended.
        trigger: why it was started.
        started_ms: its start, in milliseconds after the call's.
        duration_ms: its duration on the same clock, until it ended or was cut off.
        cost_usd: its cost; ``None`` if it is unknown.
        cost_source: ``reported`` (a cost), ``priced`` (usage times price) or ``estimated`` (its projection, uncertain).
        usage: the tokens it used, if they are known.
        unpriced: the counts that have no price, and so are not in ``cost_usd``: ``("web_searches",)``.
        error: its error, if it failed.
        skip_reason: the reason if its link was skipped: ``budget`` or ``cooldown``.
        first_item_ms: time from the attempt's start to a stream's first item; ``None`` without one.
        items: number of items that the reader got, 0 for losers; ``None`` for plain calls.
    """

    number: int
    provider: str
    model: str
    label: str
    tier: str | None = None
    price: Price | None = None
    status: AttemptStatus
    trigger: AttemptTrigger
    started_ms: float
    duration_ms: float
    cost_usd: float | None = None
    cost_source: CostSource | None = None
    usage: Usage | None = None
    unpriced: tuple[str, ...] = ()
    error: ErrorSnapshot | None = None
    skip_reason: SkipReason | None = None
    first_item_ms: float | None = None
    items: int | None = None


@attrs.frozen(kw_only=True)
class DecisionAlternative:
    """One link that was considered, and the reason for choosing it or not."""

    provider: str
    model: str
    label: str
    tier: str | None
    input_usd_per_mtok: float | None
    output_usd_per_mtok: float | None
    reason: str


@attrs.frozen(kw_only=True)
class RoutingDecision:
    """The link that a call selected, and the others that were considered.

    Attributes:
        policy: the policy's label.
        selected_provider: of the attempt whose result was returned; ``None`` without one.
        selected_model: its model.
        alternatives: one for each attempt, in order. Their ``reason`` is ``selected``, ``failed:<category>``,
            ``rejected``, ``skipped:budget``, ``skipped:cooldown``, ``race_lost`` or ``cancelled``.
    """

    policy: str
    selected_provider: str | None
    selected_model: str | None
    alternatives: tuple[DecisionAlternative, ...]


@attrs.frozen(kw_only=True, slots=False)  # see filled()
class CallRecord:
    """One call, from entering the decorated function to leaving it.

    Attributes:
        label: the policy's label.
        name: the decorated function's name, or what ``routed(name=)`` said.
        outcome: how the call ended.
        attempts: its attempts in the order of their starts, skipped links included.
        selected: index in ``attempts`` of the one whose result was returned; ``None`` without one.
        duration_ms: the call's duration.
        cost_usd: the settled cost, 0 if all of it is uncertain; ``None`` if an answered attempt's cost is unknown.
        uncertain_usd: further cost that may have been incurred; ``None`` if an attempt that may have cost has no price.
        wasted_usd: settled and uncertain cost of all attempts but the winner; ``None`` if one of them is unknown.
        race_after_ms: the race threshold in force; ``None`` without racing.
        race_source: where it came from (``fixed``, ...); ``None`` without racing.
        session_name: the innermost session's name.
        session_spent_usd: that session's settled cost when the call ended; ``None`` without a session.
        trace_id: hexadecimal; ``None`` if the call was not traced.
        first_item_ms: time from the call's start to a stream's first item; ``None`` without one, and for plain calls.
        items: number of items that a stream's reader had got when the call ended (of those that were there by then it
            may still get some); ``None`` for plain calls, and if no attempt answered.
        ended: how a stream ended: ``completed`` (by itself), ``closed`` (its reader left), ``failed`` (an error, a
            stall, a truncation, the deadline, or nothing answered) or ``cancelled``; ``None`` for plain calls.
        started_unix_s: the call's start, in seconds since 1970; ``None`` in records of earlier versions.
    """

    label: str
    name: str
    outcome: CallOutcome
    attempts: tuple[AttemptRecord, ...]
    selected: int | None
    duration_ms: float
    cost_usd: float | None
    uncertain_usd: float | None
    wasted_usd: float | None
    race_after_ms: float | None = None
    race_source: str | None = None
    session_name: str | None = None
    session_spent_usd: float | None = None
    trace_id: str | None = None
    first_item_ms: float | None = None
    items: int | None = None
    ended: StreamEnd | None = None
    started_unix_s: float | None = None

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], /) -> Self:
        """Restore a record from the result of ``to_dict``; the two records are equal.

        Unknown fields are ignored, so that records of later versions can be read. Missing optional fields take their
        defaults.

        Raises:
            ValueError: a field is missing or has the wrong type; names it.
        """
        return restored(cls, plain)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON: dicts, lists, strings, numbers, booleans and ``None``."""
        return attrs.asdict(self, value_serializer=_plain)

    @property
    def raced(self) -> bool:
        """True if a backup was started while an attempt was slow."""
        return any(attempt.trigger is AttemptTrigger.RACE for attempt in self.attempts)

    @property
    def failed_over(self) -> bool:
        """True if an attempt was started because the one before had failed."""
        return any(attempt.trigger is AttemptTrigger.FAILOVER for attempt in self.attempts)

    def trail(self) -> str:
        """Return the attempts in one line: ``gpt-4o 429 rate_limit, claude-sonnet-4-6 answered``."""
        return trail_of([(one, one.status, one.error) for one in self.attempts])

    def decision(self) -> RoutingDecision:
        """Return the same call as a routing decision."""
        winner = None if self.selected is None else self.attempts[self.selected]
        return RoutingDecision(
            policy=self.label,
            selected_provider=winner.provider if winner else None,
            selected_model=winner.model if winner else None,
            alternatives=tuple(_alternative(attempt, attempt is winner) for attempt in self.attempts),
        )


@attrs.frozen(slots=False)  # see filled()
class Outcome(Generic[T_co]):
    """A result and the record of the call that gave it."""

    value: T_co
    record: CallRecord


def filled(kind: type[T], values: dict[str, Any]) -> T:
    """Make a frozen object of one of these classes, of all its values, in one step.

    The ``__init__`` of a frozen class writes one value after another past its own ``__setattr__``, which takes twice as
    long as this; and a record is made at every call that asks for one.

    Args:
        kind: the class. It has no slots, and nothing to check.
        values: all its attributes. They are kept, not copied.
    """
    made = _new(kind)
    _set(made, "__dict__", values)
    return made


_new, _set = object.__new__, object.__setattr__


def record_of(error: BaseException) -> CallRecord | None:
    """Return the record of the call that raised ``error``; ``None`` for an error that no routed call raised.

    Where routed calls nest it is the outermost one's; where several calls raise one object, the latest one's.
    """
    found = own_attributes(error).get(_RECORD_KEY)
    return found if isinstance(found, CallRecord) else None


def attach_record(error: BaseException, record: CallRecord) -> None:
    """Leave ``record`` where :func:`record_of` finds it.

    Written past ``__setattr__``, which frozen exceptions refuse.
    """
    own_attributes(error)[_RECORD_KEY] = record


def own_attributes(error: BaseException) -> dict[str, Any]:
    """Return the ``__dict__`` of ``error``, written past ``__setattr__``; an empty one where its class hides it."""
    try:
        own = error.__dict__
    except Exception:  # noqa: BLE001 - a foreign property; the error is raised without what would be written there
        return {}
    return own if type(own) is dict else {}


Step = tuple["Link | AttemptRecord", AttemptStatus, ErrorSnapshot | None]
"""One attempt, as a trail tells it: the link, or what has its names, then how it ended, and its error."""


def trail_of(steps: Sequence[Step]) -> str:
    """Tell attempts in one line, each by its link's own label, or else by its model if that is clear."""
    links = [link for link, _, _ in steps]
    return ", ".join([f"{_short_name(link, links)} {_became(status, error)}" for link, status, error in steps])


def _short_name(link: Link | AttemptRecord, links: Sequence[Link | AttemptRecord]) -> str:
    if link.label != f"{link.provider}:{link.model}":
        return link.label
    return link.label if any(one.model == link.model and one.label != link.label for one in links) else link.model


def _became(status: AttemptStatus, error: ErrorSnapshot | None) -> str:
    if status is not AttemptStatus.FAILED:
        return _BECAME[status]
    if error is None:
        return "failed"
    return error.category.value if error.status is None else f"{error.status} {error.category.value}"


_BECAME = {
    AttemptStatus.SUCCEEDED: "answered",
    AttemptStatus.REJECTED: "was rejected",
    AttemptStatus.SKIPPED: "was skipped",
    AttemptStatus.RACE_LOST: "lost the race",
    AttemptStatus.CANCELLED: "was cancelled",
}


def _plain(_owner: object, _field: object, value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _alternative(attempt: AttemptRecord, selected: bool) -> DecisionAlternative:
    return DecisionAlternative(
        provider=attempt.provider,
        model=attempt.model,
        label=attempt.label,
        tier=attempt.tier,
        input_usd_per_mtok=attempt.price.input_usd_per_mtok if attempt.price else None,
        output_usd_per_mtok=attempt.price.output_usd_per_mtok if attempt.price else None,
        reason="selected" if selected else _reason(attempt),
    )


def _reason(attempt: AttemptRecord) -> str:
    match attempt.status:
        case AttemptStatus.FAILED:
            return f"failed:{attempt.error.category if attempt.error else 'generic'}"
        case AttemptStatus.SKIPPED:
            return f"skipped:{attempt.skip_reason or 'budget'}"
        case AttemptStatus.SUCCEEDED:
            # It answered after the caller had gone, so the answer was lost.
            return "cancelled"
        case AttemptStatus.REJECTED | AttemptStatus.RACE_LOST | AttemptStatus.CANCELLED as status:
            return status.value
        case other:
            assert_never(other)
