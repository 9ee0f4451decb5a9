"""Calls with their attempts: what a waterfall draws and what the words tell, from exported spans or from a record.

Both give the same tree, so a call looks the same whether it was just made here or read back from a tracing backend.

From spans to calls, in bounded memory and in whatever order the spans come.

Exporters send an attempt before its call, because it ends before it; backends sort as they like. So attempts wait for
their call, and a call for its attempts, and it is given out as soon as the number of attempts that its span states is
there. What never gets complete, because a span was dropped or is somewhere else, waits until there are too many
of its kind, then the oldest goes, as it is; the rest goes at the end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping

import attrs

from routeware.lab.spans import Plain, Span
from routeware.records import AttemptRecord, AttemptStatus, AttemptTrigger, CallRecord

__all__ = ["AttemptBar", "CallEvent", "CallTree", "call_from_record", "calls"]

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
        attempts=tuple(_recorded_bar(attempt, attempt is winner) for attempt in record.attempts),
    )


def _recorded_bar(attempt: AttemptRecord, selected: bool) -> AttemptBar:
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


_NS_PER_MS = 1_000_000
_MS_PER_S = 1_000
_NAME = "routeware.call.name"
_NUMBER = "routeware.attempt.number"
_STATUSES = {status.value: status for status in AttemptStatus}
_TRIGGERS = {trigger.value: trigger for trigger in AttemptTrigger}


def calls(spans: Iterable[Span], *, waiting: int = 20_000) -> Iterator[CallTree]:
    """Yield the calls in ``spans``, each as soon as it is complete; skip all other spans.

    At most ``waiting`` calls are held at once. A span that comes after its call was given out incomplete makes a
    second tree of it, with what had been missing.
    """
    held: OrderedDict[tuple[str, str], _Parts] = OrderedDict()
    for span in spans:
        call_id = _call_of(span)
        if call_id is None:
            continue
        key = (span.trace_id, call_id)
        parts = held.setdefault(key, _Parts())
        parts.add(span)
        if parts.complete():
            yield held.pop(key).tree()
        elif len(held) > waiting:
            yield held.popitem(last=False)[1].tree()
    for parts in held.values():
        yield parts.tree()


def _call_of(span: Span) -> str | None:
    """Return the id of the call's span that ``span`` is or belongs to; ``None`` if it is not one of routeware's."""
    if _NUMBER in span.attributes:
        return span.parent_id or span.span_id
    return span.span_id if _NAME in span.attributes else None


@attrs.define
class _Parts:
    """The parts of one call. Attempts are kept by their ids: an exporter that tries again sends some twice."""

    call: Span | None = None
    attempts: dict[str, Span] = attrs.field(factory=dict)

    def add(self, span: Span) -> None:
        if _NUMBER in span.attributes:
            self.attempts[span.span_id] = span
        else:
            self.call = span

    def complete(self) -> bool:
        """Say whether nothing more is to come: skipped links are counted, and have an event in place of a span."""
        if self.call is None:
            return False
        stated = self.call.number("routeware.call.attempts")
        return stated is not None and len(self.attempts) + len(_skips(self.call)) >= stated

    def tree(self) -> CallTree:
        ordered = sorted(self.attempts.values(), key=lambda span: (span.number(_NUMBER) or 0, span.start_ns))
        return _tree_without_call(ordered) if self.call is None else _tree(self.call, ordered)


def _tree(call: Span, attempts: list[Span]) -> CallTree:
    selected = call.text("routeware.call.selected")
    after_s = call.number("routeware.race.after_s")
    bars = [_bar(span, call.start_ns) for span in attempts]
    return CallTree(
        name=call.text(_NAME) or call.name,
        policy=call.text("routeware.policy.label"),
        outcome=call.text("routeware.call.outcome"),
        selected=selected,
        cost_usd=call.number("routeware.call.cost_usd"),
        uncertain_usd=call.number("routeware.call.uncertain_usd"),
        wasted_usd=call.number("routeware.call.wasted_usd"),
        race_after_ms=None if after_s is None else after_s * _MS_PER_S,
        race_source=call.text("routeware.race.source"),
        session_name=call.text("routeware.session.name"),
        started_at_ms=call.start_ns / _NS_PER_MS,
        duration_ms=_ms(call.end_ns - call.start_ns),
        trace_id=call.trace_id,
        attempts=_with_skipped(_with_selected(bars, selected), call),
        events=tuple(_events(call)),
    )


def _tree_without_call(attempts: list[Span]) -> CallTree:
    """Yield attempts whose call has no span here: it had not ended, was dropped, or is in another file."""
    start_ns = min(span.start_ns for span in attempts)
    bars = [_bar(span, start_ns) for span in attempts]
    return CallTree(
        name="(its own span is missing)",
        outcome=None,
        started_at_ms=start_ns / _NS_PER_MS,
        duration_ms=_ms(max(span.end_ns for span in attempts) - start_ns),
        trace_id=attempts[0].trace_id,
        attempts=tuple(attrs.evolve(bar, selected=bar.status is AttemptStatus.SUCCEEDED) for bar in bars),
    )


def _bar(span: Span, call_start_ns: int) -> AttemptBar:
    retry_after_s = span.number("routeware.retry_after_s")
    first_item_s = span.number("gen_ai.response.time_to_first_chunk")
    if first_item_s is None:  # the function is no call to an LLM
        first_item_s = span.number("routeware.stream.first_item_s")
    status = span.number("http.response.status_code")
    return AttemptBar(
        number=int(span.number(_NUMBER) or 0),
        label=span.text("routeware.link.label") or span.name,
        provider=span.text("gen_ai.provider.name"),
        model=span.text("gen_ai.request.model"),
        status=_status(span.text("routeware.attempt.status")),
        trigger=_trigger(span.text("routeware.attempt.trigger")),
        started_ms=_ms(span.start_ns - call_start_ns),
        duration_ms=_ms(span.end_ns - span.start_ns),
        first_item_ms=None if first_item_s is None else first_item_s * _MS_PER_S,
        cost_usd=span.number("routeware.cost.usd"),
        cost_source=span.text("routeware.cost.source"),
        input_tokens=_count(span.number("gen_ai.usage.input_tokens")),
        output_tokens=_count(span.number("gen_ai.usage.output_tokens")),
        error_category=span.text("routeware.error.category"),
        error_status=_count(status),
        error_type=span.text("error.type"),
        retry_after_ms=None if retry_after_s is None else retry_after_s * _MS_PER_S,
    )


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)


def _status(word: str | None) -> AttemptStatus | None:
    """Return a status by its word; one of a later version than this is not known."""
    return _STATUSES.get(word or "")


def _trigger(word: str | None) -> AttemptTrigger:
    return _TRIGGERS.get(word or "", AttemptTrigger.INITIAL)


def _with_selected(bars: list[AttemptBar], label: str | None) -> list[AttemptBar]:
    """Mark the winner. A link may stand twice in a chain, but only the attempt that ended last among them won."""
    candidates = [bar for bar in bars if bar.label == label and bar.status is AttemptStatus.SUCCEEDED]
    winner = max(candidates, key=lambda bar: bar.ended_ms, default=None)
    return [attrs.evolve(bar, selected=True) if bar is winner else bar for bar in bars]


def _skips(call: Span) -> list[CallEvent]:
    """Return the events of links that were passed over, which have no span of their own."""
    return [event for event in _events(call) if event.name == "cooldown_skipped" or _is_refusal(event)]


def _is_refusal(event: CallEvent) -> bool:
    """Return True if a budget had a link skipped."""
    return event.name == "budget_exceeded" and event.attributes.get("on_exceed") == "skip"


def _with_skipped(bars: list[AttemptBar], call: Span) -> tuple[AttemptBar, ...]:
    """Put the skipped links among the attempts, at the numbers that these leave free."""
    taken = {bar.number for bar in bars}
    skips = _skips(call)
    free = [number for number in range(1, len(bars) + len(skips) + 1) if number not in taken]
    first = min(taken, default=len(bars) + len(skips) + 1)
    placed = zip(skips, free, strict=False)
    skipped = [_skipped(event, number, after_a_start=number > first) for event, number in placed]
    return tuple(sorted([*bars, *skipped], key=lambda bar: bar.number))


def _skipped(event: CallEvent, number: int, *, after_a_start: bool) -> AttemptBar:
    return AttemptBar(
        number=number,
        label=_word(event.attributes.get("link")) or "a link",
        status=AttemptStatus.SKIPPED,
        skip_reason="budget" if _is_refusal(event) else "cooldown",
        trigger=AttemptTrigger.FAILOVER if after_a_start else AttemptTrigger.INITIAL,
        started_ms=event.at_ms,
        duration_ms=0.0,
        cost_usd=0.0,
    )


def _events(call: Span) -> Iterator[CallEvent]:
    """Return the call's events in time. The prefix of their names is the policy's to choose, the last word is ours."""
    for event in sorted(call.events, key=lambda event: event.time_ns):
        name = event.name.rpartition(".")[2]
        yield CallEvent(name=name, at_ms=_ms(event.time_ns - call.start_ns), attributes=event.attributes)


def _word(value: Plain) -> str | None:
    return value if isinstance(value, str) else None


def _ms(ns: int) -> float:
    """Nanoseconds as milliseconds; clocks that were set back in between give no negative time."""
    return max(ns, 0) / _NS_PER_MS
