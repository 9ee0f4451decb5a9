"""From spans to calls, in bounded memory and in whatever order the spans come.

Exporters send an attempt before its call, because it ends before it; backends sort as they like. So attempts wait for
their call, and a call for its attempts, and it is given out as soon as the number of attempts that its span states is
there. What never gets complete, because a span was dropped or is somewhere else, waits until there are too many
of its kind, then the oldest goes, as it is; the rest goes at the end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

import attrs

from routeware.lab.spans import Plain, Span
from routeware.lab.tree import AttemptBar, CallEvent, CallTree
from routeware.records import AttemptStatus, AttemptTrigger

__all__ = ["calls"]

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
