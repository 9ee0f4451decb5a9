"""Calls with their attempts: what a waterfall draws and what the words tell, from exported spans or from a record.

Both give the same tree, so a call looks the same whether it was just made here or read back from a tracing backend.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from routeware.lab.spans import Plain
from routeware.records import AttemptRecord, AttemptStatus, AttemptTrigger, CallRecord

__all__ = ["AttemptBar", "CallEvent", "CallTree", "call_from_record"]

_ONE_NS = 1e-6  # in milliseconds: spans know no shorter time


@attrs.frozen(kw_only=True)
class CallEvent:
    """Something that happened in a call, ``at_ms`` after its start; ``name`` is without the policy's prefix."""

    name: str
    at_ms: float
    attributes: Mapping[str, Plain]


@attrs.frozen(kw_only=True)
class AttemptBar:
    """One attempt, as it is drawn.

    Attributes:
        number: its place among the call's attempts, from 1, skipped links included.
        label: the link's label.
        provider: as the source spells it; ``None`` where it does not say.
        model: its model.
        status: how it ended; ``None`` if it had not ended.
        skip_reason: why a link was passed over (``budget`` or ``cooldown``); ``None`` if it was not.
        trigger: why it was started.
        selected: whether its result is the call's.
        started_ms: when it started, after the call did.
        duration_ms: how long it took, or until it was cut off.
        first_item_ms: how long a stream's first item took; ``None`` without one, and for plain calls.
        cost_usd: what it cost; ``None`` where that is unknown.
        cost_source: ``reported``, ``priced`` or ``estimated``.
        input_tokens: the input tokens that its provider counted; ``None`` where that is unknown.
        output_tokens: the output tokens that its provider counted; ``None`` where that is unknown.
        error_category: how it failed, where it did.
        error_status: the HTTP status it failed with.
        error_type: the class of its error; ``None`` in a tree made from a record.
        retry_after_ms: how long its provider asked to be left alone.
    """

    number: int
    label: str
    provider: str | None = None
    model: str | None = None
    status: AttemptStatus | None
    skip_reason: str | None = None
    trigger: AttemptTrigger
    selected: bool = False
    started_ms: float
    duration_ms: float
    first_item_ms: float | None = None
    cost_usd: float | None = None
    cost_source: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error_category: str | None = None
    error_status: int | None = None
    error_type: str | None = None
    retry_after_ms: float | None = None

    @property
    def uncertain(self) -> bool:
        """True if its cost is a projection: money that may have been spent."""
        return self.cost_source == "estimated"

    @property
    def answer_ms(self) -> float:
        """The time that its answer took, or until it was cut off: a stream answers with its first item."""
        return self.duration_ms if self.first_item_ms is None else self.first_item_ms

    @property
    def ended_ms(self) -> float:
        """When it ended, after the call's start."""
        return self.started_ms + self.duration_ms


@attrs.frozen(kw_only=True)
class CallTree:
    """One call and its attempts, as it is drawn.

    Attributes:
        name: the decorated function's name.
        policy: the policy's label.
        outcome: how the call ended; ``None`` where its own span is missing, and only its attempts are known.
        selected: the label of the link whose result was returned.
        cost_usd: what was settled; ``None`` where it is unknown.
        uncertain_usd: what may have been spent besides; ``None`` where it is unknown.
        wasted_usd: settled and uncertain of all attempts but the winner; ``None`` where it is unknown.
        race_after_ms: the race threshold; ``None`` without racing.
        race_source: where it came from (``fixed``, ...).
        session_name: the innermost session's name.
        started_at_ms: when the call started, in milliseconds since 1970; ``None`` in a tree made from a record.
        duration_ms: how long it took.
        trace_id: hexadecimal; ``None`` if it was not traced.
        attempts: in the order of their numbers.
        events: what happened in the call, in time; empty in a tree made from a record.
    """

    name: str
    policy: str | None = None
    outcome: str | None
    selected: str | None = None
    cost_usd: float | None = None
    uncertain_usd: float | None = None
    wasted_usd: float | None = None
    race_after_ms: float | None = None
    race_source: str | None = None
    session_name: str | None = None
    started_at_ms: float | None = None
    duration_ms: float
    trace_id: str | None = None
    attempts: tuple[AttemptBar, ...]
    events: tuple[CallEvent, ...] = ()

    @property
    def length_ms(self) -> float:
        """Return the time to draw, 1 ms if there was none: an attempt may end after its call."""
        longest = max([self.duration_ms, *(attempt.ended_ms for attempt in self.attempts)])
        return longest if longest >= _ONE_NS else 1.0

    def rivals(self, attempt: AttemptBar) -> tuple[AttemptBar, ...]:
        """Return the attempts that were in flight when ``attempt`` was started beside them."""
        return tuple(
            other
            for other in self.attempts
            if other.number < attempt.number
            and other.status is not AttemptStatus.SKIPPED
            and other.started_ms <= attempt.started_ms < other.ended_ms
        )

    def to_dict(self) -> dict[str, object]:
        """Return the tree as plain JSON."""
        plain = attrs.asdict(self)
        plain["attempts"] = [{**attrs.asdict(attempt), "uncertain": attempt.uncertain} for attempt in self.attempts]
        return plain


def call_from_record(record: CallRecord) -> CallTree:
    """Make the tree of a call from its record. Records keep no events and no time of day, so neither does it."""
    winner = None if record.selected is None else record.attempts[record.selected]
    return CallTree(
        name=record.name,
        policy=record.label,
        outcome=record.outcome,
        selected=winner.label if winner else None,
        cost_usd=record.cost_usd,
        uncertain_usd=record.uncertain_usd,
        wasted_usd=record.wasted_usd,
        race_after_ms=record.race_after_ms,
        race_source=record.race_source,
        session_name=record.session_name,
        duration_ms=record.duration_ms,
        trace_id=record.trace_id,
        attempts=tuple(_bar(attempt, attempt is winner) for attempt in record.attempts),
    )


def _bar(attempt: AttemptRecord, selected: bool) -> AttemptBar:
    error = attempt.error
    return AttemptBar(
        number=attempt.number,
        label=attempt.label,
        provider=attempt.provider,
        model=attempt.model,
        status=attempt.status,
        skip_reason=attempt.skip_reason,
        trigger=attempt.trigger,
        selected=selected,
        started_ms=attempt.started_ms,
        duration_ms=attempt.duration_ms,
        first_item_ms=attempt.first_item_ms,
        cost_usd=attempt.cost_usd,
        cost_source=attempt.cost_source,
        input_tokens=attempt.usage.input_tokens if attempt.usage else None,
        output_tokens=attempt.usage.output_tokens if attempt.usage else None,
        error_category=error.category.value if error else None,
        error_status=error.status if error else None,
        retry_after_ms=error.retry_after_ms if error else None,
    )
