"""The demo's results: a table and a verdict for each scene, the sum of the money, one call drawn, and the sources.

A verdict says in words whether racing was worth it, and whether it is more than chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from routeware.cli.screen import console, dollars, milliseconds
from routeware.demo.draws import Facts, packaged_facts
from routeware.demo.run import CONCURRENCY, Result, most_telling
from routeware.demo.spans import jaeger_json
from routeware.demo.tally import Change, Column, Money
from routeware.lab.calls import CallTree, calls
from routeware.lab.reading_spans import jaeger_span
from routeware.lab.waterfall import render_call
from routeware.money import NANOS_PER_USD
from routeware.threshold import RaceSource

__all__ = ["document", "pace_of", "show", "verdict"]

_NOTES = (
    "Times are the providers' own, and of a stream those to its first item; a request without an answer counts as late "
    "in both columns. In brackets: the 90% interval of the change, by resampled requests; one that holds 0 is noise. "
    "Uncertain: may have been spent by attempts that were cut off or lost their connection; a bare caller "
    "doesn't track that. Wasted: settled and uncertain, of all attempts that did not give the answer."
)
_WIDE = 80
_SOURCES = "What the providers do is drawn from computed facts: {sources}. Assumed: {assumed}."


def show(results: Sequence[Result]) -> None:
    """Print them."""
    out = console()
    for number, result in enumerate(results, 1):
        _show_scene(out, result, f"{number}  " if len(results) > 1 else "")
    out.print(Text(_NOTES, style="dim"))
    out.print()
    for result in results:
        out.print(Text(_sum(result.money, result.scene.name), style="" if result.money.adds_up else "red"))
    if (tree := _tree(most_telling(results))) is not None:
        out.print()
        out.print(Text("The most telling call:", style="bold"))
        out.print(render_call(tree))
    out.print()
    out.print(Text(_origin(packaged_facts()), style="dim"))


def document(results: Sequence[Result]) -> dict[str, Any]:
    """Return them as plain JSON."""
    call = most_telling(results).call
    return {
        "seed": results[0].seed,
        "speed_up": results[0].speed_up,
        "concurrency": CONCURRENCY,
        "scenes": [_scene_document(result) for result in results],
        "call": call.to_dict() if call else None,
        "sources": list(packaged_facts().sources),
        "assumed": list(packaged_facts().assumed),
    }


def _scene_document(result: Result) -> dict[str, Any]:
    return {
        "scene": result.scene.name,
        "requests": result.bare.requests,
        "policy": result.scene.policy.to_dict(),
        "bare": attrs.asdict(result.bare),
        "routed": attrs.asdict(result.routed),
        "changes": {name: {**attrs.asdict(change), "noise": change.noise} for name, change in result.changes.items()},
        "pace": {**attrs.asdict(result.pace), "busy": result.pace.busy},
        "race_source": result.report.source.value if result.report else None,
        "money": {**attrs.asdict(result.money), "adds_up": result.money.adds_up},
    }


def _show_scene(out: Console, result: Result, number: str) -> None:
    out.print(Text(f"{number}{result.scene.title}", style="bold"))
    out.print(Text(_asked(result), style="dim"))
    out.print()
    out.print(_table(result, out.width))
    out.print()
    for words, style in ((pace_of(result), "yellow"), (verdict(result), "")):
        if words:
            out.print(Text(words, style=style))
            out.print()


def _asked(result: Result) -> str:
    first, *others = (link.label for link in result.scene.policy.chain)
    then = f", then {', '.join(others)}" if others else ""
    return f"{result.bare.requests:,} requests: bare to {first}, and routed to it{then}"


def _table(result: Result, width: int) -> Table:
    """Lay out a scene; where the terminal is narrow, words wrap and a change's interval is below it."""
    wide = width >= _WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 3 if wide else 1, 0, 0), header_style="bold")
    table.add_column("", min_width=None if wide else 9)
    for heading in ("bare", "routed", "change"):
        table.add_column(heading, justify="right", min_width=None if wide else 8)
    for *cells, change, interval in _rows(result):
        table.add_row(*cells, *((change, interval) if wide else (f"{change} {interval}".rstrip(),)))
    return table


def _rows(result: Result) -> list[tuple[str, str, str, str, str]]:
    bare, routed = result.bare, result.routed
    first = "first item" if result.scene.streams else "answered"
    stalled = ("stalled later", _share(bare, bare.stalled), _share(routed, routed.stalled), "", "")
    return [
        (first, _share(bare, bare.answered), _share(routed, routed.answered), _more(bare, routed), ""),
        *_time_rows(result),
        *([stalled] if result.scene.streams else []),
        ("attempts", f"{bare.attempts:,}", f"{routed.attempts:,}", _relative(bare.attempts, routed.attempts), ""),
        ("spent", _usd(bare.spent_usd), _usd(routed.spent_usd), _relative(bare.spent_usd, routed.spent_usd), ""),
        ("uncertain", _usd(bare.uncertain_usd), _usd(routed.uncertain_usd), "", ""),
        ("wasted", _usd(bare.wasted_usd), _usd(routed.wasted_usd), "", ""),
    ]


def _time_rows(result: Result) -> list[tuple[str, str, str, str, str]]:
    """Return the rows that need a clock: none where the machine could not keep up."""
    bare, routed, rows = result.bare, result.routed, list[tuple[str, str, str, str, str]]()
    if result.pace.busy:
        return rows
    target_ms = result.scene.policy.latency.target_ms
    if target_ms is not None and bare.on_time is not None and routed.on_time is not None:
        change = f"{routed.on_time - bare.on_time:+,}"
        within = f"within {milliseconds(target_ms)}"
        rows.append((within, _share(bare, bare.on_time), _share(routed, routed.on_time), change, ""))
    for name, before, after in (
        ("p50", bare.p50_ms, routed.p50_ms),
        ("p95", bare.p95_ms, routed.p95_ms),
        ("p99", bare.p99_ms, routed.p99_ms),
    ):
        change, interval = _changed(result.changes[name])
        rows.append((name, _ms(before), _ms(after), change, interval))
    return rows


def _share(column: Column, count: int) -> str:
    return f"{count:,} ({count / column.requests:.1%})"


def _more(bare: Column, routed: Column) -> str:
    return f"{routed.answered - bare.answered:+,}"


def _ms(amount: float | None) -> str:
    return "no answer" if amount is None else f"{amount:,.0f} ms"


def _usd(amount: float | None) -> str:
    return "not known" if amount is None else f"${amount:,.4f}"


def _changed(change: Change) -> tuple[str, str]:
    if change.value is None:
        return "", ""
    if change.low is None or change.high is None:
        return _percent(change.value), "(interval not known)"
    interval = f"({_percent(change.low)} to {_percent(change.high)})"
    return _percent(change.value), f"{interval}, noise" if change.noise else interval


def _percent(share: float) -> str:
    # Adding 0 makes a plain zero of what is rounded up to it from below.
    return f"{round(share, 2) + 0:+.0%}"


def _relative(before: float, after: float) -> str:
    return f"{round(after / before - 1, 3) + 0:+.1%}" if before else ""


def _sum(money: Money, name: str) -> str:
    records = money.records_settled, money.records_uncertain
    session = money.session_settled, money.session_uncertain
    told = f"{_exact(records[0])} spent and {_exact(records[1])} uncertain"
    if not money.adds_up:
        books = f"{_exact(session[0])} and {_exact(session[1])}"
        return f"The money of {name} does not add up: the records say {told}, the session's books {books}."
    limit = f" (limit {dollars(money.limit_usd)})"
    return f"The money of {name} adds up to the last digit: records and session{limit} both say {told}."


def _origin(facts: Facts) -> str:
    return _SOURCES.format(sources="; ".join(facts.sources), assumed="; ".join(facts.assumed))


def _exact(amount_nanos: int) -> str:
    return f"${amount_nanos // NANOS_PER_USD:,}.{amount_nanos % NANOS_PER_USD:09d}"


def _tree(result: Result) -> CallTree | None:
    """Return the call as any trace viewer gets it: out of its spans."""
    spans = result.spans_of_call()
    if not spans:
        return None
    trace = jaeger_json(spans)["data"][0]
    return next(calls(jaeger_span(span) for span in trace["spans"]), None)


# A learner's first hundred calls and those that were in flight with them.
_LEARNING = 120


def verdict(result: Result) -> str:
    """Return the scene in a few sentences; nothing about times where the machine was too busy to take them."""
    told = [_incident(result), _target(result), _stalled(result)]
    return " ".join(each for each in told if each)


def pace_of(result: Result) -> str:
    """Return what is to be said of the machine's pace: nothing where it kept up."""
    pace = result.pace
    if not pace.busy:
        return ""
    return (
        f"This machine was too busy to time this: its event loop woke up {pace.loop_lag_ms:,.0f} ms late and requests "
        f"took {pace.overhead_ms:,.0f} ms longer than their provider (95th percentiles, in the providers' time). No "
        "times are shown. Run it again on an idle machine, or slower: --speed-up 3."
    )


def _incident(result: Result) -> str:
    requests, scene = result.routed.requests, result.scene
    during = scene.during(requests)
    if scene.begins == 0.0 or not during:
        return ""
    missing = f"{result.bare.requests - result.bare.answered:,} of {requests:,} bare requests had no answer"
    passed = "; cooldown spared the others that" if result.met_incident < len(during) else ""
    routed = f"{result.routed.requests - result.routed.answered:,} of the routed ones"
    return (
        f"{scene.provider} was out for requests {during.start + 1:,} to {during.stop:,}: {missing}, and {routed}. "
        f"{result.met_incident:,} of the {len(during):,} routed calls of that time asked {scene.provider} "
        f"and waited for its error{passed}."
    )


def _target(result: Result) -> str:
    report, target_ms = result.report, result.scene.policy.latency.target_ms
    if report is None or target_ms is None:
        return ""
    first = result.scene.policy.chain[0].label
    if report.source is RaceSource.NONE:
        return f"Racing is not worth it here: {first} meets the target alone. To find that out, {_races(result)}."
    worth = f"{result.routed.raced / result.routed.requests:.0%} of the calls started a backup"
    if result.pace.busy:
        return f"{worth}."
    change = result.changes["p95"]
    if change.value is None or change.noise:
        return f"{worth}. What that does to p95 cannot be told from chance with {result.routed.requests:,} requests."
    what = "the p95 of the time to the first item" if result.scene.streams else "p95"
    return f"{worth}, and {what} is {_in_words(change.value)}."


def _stalled(result: Result) -> str:
    idle_ms = result.scene.policy.failover.idle_timeout_ms
    if not result.scene.streams or idle_ms is None:
        return ""
    told = (
        f"Bare, {result.bare.stalled:,} streams stalled in the middle for more than {idle_ms / 1000:g} s, and their "
        f"readers waited. Routed, idle_timeout_ms cut {result.routed.stalled:,} off: a reader got what had come, and "
        "an error."
    )
    if result.routed.wasted_usd is None:
        return told
    return f"{told} Losers and failed attempts cost ${result.routed.wasted_usd:.4f} at most."


def _races(result: Result) -> str:
    raced: Sequence[int] = result.raced_at
    if not raced:
        return "no call started a backup"
    learning = sum(number < _LEARNING for number in raced)
    return f"{len(raced):,} calls started a backup, {learning:,} of them in the first {_LEARNING} requests"


def _in_words(change: float) -> str:
    return f"{-change:.0%} lower" if change < 0 else f"{change:.0%} higher"
