"""Calls with their attempts: what a waterfall draws and what the words tell, from exported spans or from a record.

Both give the same tree, so a call looks the same whether it was just made here or read back from a tracing backend.

Spans come in whatever order: exporters send an attempt before its call, because it ends before it; backends sort as
they like. So attempts wait for their call, and a call for its attempts, and it is given out as soon as the number of
attempts that its span states is there. What never gets complete, because a span was dropped or is somewhere else, waits
until there are too many of its kind, then the oldest goes, as it is; the rest goes at the end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping

import attrs

from routeware.lab.spans import Plain, Span
from routeware.records import AttemptRecord, AttemptStatus, AttemptTrigger, CallRecord

__all__ = ["AttemptBar", "CallEvent", "CallTree", "call_from_record", "calls"]

_ONE_NS = 1e-6  # in milliseconds: spans know no shorter time
_NS_PER_MS = 1_000_000
_MS_PER_S = 1_000
_NAME = "routeware.call.name"
_NUMBER = "routeware.attempt.number"
_STATUSES = {status.value: status for status in AttemptStatus}
_TRIGGERS = {trigger.value: trigger for trigger in AttemptTrigger}


@attrs.frozen(kw_only=True)
class CallEvent:
    """Something that happened in a call, ``at_ms`` after its start; ``name`` is without the policy's prefix."""

    name: str
    at_ms: float
    attributes: Mapping[str, Plain]

    @property
    def link(self) -> str:
        """Return the label of the link that it is about, as far as it says."""
        link = self.attributes.get("link")
        return link if isinstance(link, str) and link else "a link"

    @property
    def skip_reason(self) -> str | None:
        """Return why a link was passed over, which has no span of its own; ``None`` if this is another event."""
        if self.name == "cooldown_skipped":
            return "cooldown"
        return "budget" if self.name == "budget_exceeded" and self.attributes.get("on_exceed") == "skip" else None


@attrs.frozen(kw_only=True)
class AttemptBar:
    """One attempt, as it is drawn: as its :class:`AttemptRecord`, or as far as its span says; else ``None``.

    Attributes:
        status: how it ended; ``None`` if it had not ended.
        started_ms: when it started, after the call did.
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
        """The time of its end, after the call's start."""
        return self.started_ms + self.duration_ms


@attrs.frozen(kw_only=True)
class CallTree:
    """One call and its attempts, as it is drawn: as its :class:`CallRecord`, or as far as its span says; else ``None``.

    Attributes:
        outcome: how the call ended; ``None`` where its own span is missing, and only its attempts are known.
        started_at_ms: when the call started, in milliseconds since 1970; ``None`` in a tree made from a record.
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
        attempts=tuple(_of_record(attempt, attempt is winner) for attempt in record.attempts),
    )


def _of_record(attempt: AttemptRecord, selected: bool) -> AttemptBar:
    error, usage = attempt.error, attempt.usage
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
        input_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        error_category=error.category.value if error else None,
        error_status=error.status if error else None,
        retry_after_ms=error.retry_after_ms if error else None,
    )


def calls(spans: Iterable[Span], *, waiting: int = 20_000) -> Iterator[CallTree]:
    """Yield the calls in ``spans``, each as soon as it is complete; skip all other spans.

    At most ``waiting`` calls are held at once. A span that comes after its call was given out incomplete makes a
    second tree of it, with what had been missing.
    """
    held: OrderedDict[tuple[str, str], _Parts] = OrderedDict()
    for span in spans:
        is_attempt = _NUMBER in span.attributes
        if not is_attempt and _NAME not in span.attributes:
            continue
        key = (span.trace_id, (span.parent_id if is_attempt else None) or span.span_id)
        parts = held.setdefault(key, _Parts())
        parts.add(span)
        if parts.complete():
            yield held.pop(key).tree()
        elif len(held) > waiting:
            yield held.popitem(last=False)[1].tree()
    for parts in held.values():
        yield parts.tree()


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
        return _without_call(ordered) if self.call is None else _tree(self.call, ordered)


def _tree(call: Span, attempts: list[Span]) -> CallTree:
    selected = call.text("routeware.call.selected")
    bars = [_of_span(span, call.start_ns) for span in attempts]
    # A link may stand twice in a chain, but only the attempt that ended last among them won.
    candidates = [bar for bar in bars if bar.label == selected and bar.status is AttemptStatus.SUCCEEDED]
    winner = max(candidates, key=lambda bar: bar.ended_ms, default=None)
    bars = [attrs.evolve(bar, selected=True) if bar is winner else bar for bar in bars]
    return CallTree(
        name=call.text(_NAME) or call.name,
        policy=call.text("routeware.policy.label"),
        outcome=call.text("routeware.call.outcome"),
        selected=selected,
        cost_usd=call.number("routeware.call.cost_usd"),
        uncertain_usd=call.number("routeware.call.uncertain_usd"),
        wasted_usd=call.number("routeware.call.wasted_usd"),
        race_after_ms=_in_ms(call.number("routeware.race.after_s")),
        race_source=call.text("routeware.race.source"),
        session_name=call.text("routeware.session.name"),
        started_at_ms=call.start_ns / _NS_PER_MS,
        duration_ms=_ms(call.end_ns - call.start_ns),
        trace_id=call.trace_id,
        attempts=_with_skipped(bars, _skips(call)),
        events=tuple(_events(call)),
    )


def _without_call(attempts: list[Span]) -> CallTree:
    """Return attempts whose call has no span here: it had not ended, was dropped, or is in another file."""
    start_ns = min(span.start_ns for span in attempts)
    bars = [_of_span(span, start_ns) for span in attempts]
    return CallTree(
        name="(its own span is missing)",
        outcome=None,
        started_at_ms=start_ns / _NS_PER_MS,
        duration_ms=_ms(max(span.end_ns for span in attempts) - start_ns),
        trace_id=attempts[0].trace_id,
        attempts=tuple(attrs.evolve(bar, selected=bar.status is AttemptStatus.SUCCEEDED) for bar in bars),
    )


def _of_span(span: Span, call_start_ns: int) -> AttemptBar:
    first_item_s = span.number("gen_ai.response.time_to_first_chunk")
    if first_item_s is None:  # the function is no call to an LLM
        first_item_s = span.number("routeware.stream.first_item_s")
    return AttemptBar(
        number=int(span.number(_NUMBER) or 0),
        label=span.text("routeware.link.label") or span.name,
        provider=span.text("gen_ai.provider.name"),
        model=span.text("gen_ai.request.model"),
        # The words of a later version are not known.
        status=_STATUSES.get(span.text("routeware.attempt.status") or ""),
        trigger=_TRIGGERS.get(span.text("routeware.attempt.trigger") or "", AttemptTrigger.INITIAL),
        started_ms=_ms(span.start_ns - call_start_ns),
        duration_ms=_ms(span.end_ns - span.start_ns),
        first_item_ms=_in_ms(first_item_s),
        cost_usd=span.number("routeware.cost.usd"),
        cost_source=span.text("routeware.cost.source"),
        input_tokens=_count(span.number("gen_ai.usage.input_tokens")),
        output_tokens=_count(span.number("gen_ai.usage.output_tokens")),
        error_category=span.text("routeware.error.category"),
        error_status=_count(span.number("http.response.status_code")),
        error_type=span.text("error.type"),
        retry_after_ms=_in_ms(span.number("routeware.retry_after_s")),
    )


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * _MS_PER_S


def _ms(ns: int) -> float:
    """Return nanoseconds as milliseconds; clocks that were set back in between give no negative time."""
    return max(ns, 0) / _NS_PER_MS


def _events(call: Span) -> list[CallEvent]:
    """Return the call's events in time. The prefix of their names is the policy's to choose, the last word is ours."""
    return [
        CallEvent(name=each.name.split(".")[-1], at_ms=_ms(each.time_ns - call.start_ns), attributes=each.attributes)
        for each in sorted(call.events, key=lambda event: event.time_ns)
    ]


def _skips(call: Span) -> list[CallEvent]:
    return [event for event in _events(call) if event.skip_reason is not None]


def _with_skipped(bars: list[AttemptBar], skips: list[CallEvent]) -> tuple[AttemptBar, ...]:
    """Put the skipped links among the attempts, at the numbers that these leave free."""
    taken, count = {bar.number for bar in bars}, len(bars) + len(skips)
    free = [number for number in range(1, count + 1) if number not in taken]
    first = min(taken, default=count + 1)
    skipped = [
        AttemptBar(
            number=number,
            label=event.link,
            status=AttemptStatus.SKIPPED,
            skip_reason=event.skip_reason,
            trigger=AttemptTrigger.FAILOVER if number > first else AttemptTrigger.INITIAL,
            started_ms=event.at_ms,
            duration_ms=0.0,
            cost_usd=0.0,
        )
        for event, number in zip(skips, free, strict=False)
    ]
    return tuple(sorted([*bars, *skipped], key=lambda bar: bar.number))
