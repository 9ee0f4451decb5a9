"""The demo's result: a table, the sum of the money, one call drawn, and where the figures come from."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from routeware.cli.screen import console, dollars
from routeware.demo.facts import Facts, packaged_facts
from routeware.demo.jaeger import jaeger_json
from routeware.demo.run import CONCURRENCY, SPEED_UP, Result
from routeware.demo.tally import Column, Money
from routeware.lab.calls import CallTree, calls
from routeware.lab.reading_jaeger import jaeger_span
from routeware.lab.waterfall import render_call
from routeware.money import NANOS_PER_USD

__all__ = ["document", "show"]

_NOTES = (
    "Times are the providers' own, of answered requests. Uncertain: may have been spent by attempts that were cut off "
    "or lost their connection; nobody keeps books of bare ones. Wasted: settled and uncertain, of all attempts that "
    "did not give the answer."
)
_SOURCES = "What the providers do is drawn from computed facts: {sources}. Assumed: {assumed}."


def show(result: Result) -> None:
    """Print it."""
    out = console()
    out.print(Text(_title(result), style="bold"))
    out.print()
    out.print(_table(result))
    out.print()
    out.print(Text(_NOTES, style="dim"))
    out.print()
    out.print(Text(_sum(result.money), style="" if result.money.adds_up else "red"))
    if (tree := _tree(result)) is not None:
        out.print()
        out.print(Text("The call that shows most:", style="bold"))
        out.print(render_call(tree))
    out.print()
    out.print(Text(_origin(packaged_facts()), style="dim"))


def document(result: Result) -> dict[str, Any]:
    """It as plain JSON."""
    return {
        "requests": result.bare.requests,
        "seed": result.seed,
        "policy": result.policy.to_dict(),
        "speed_up": SPEED_UP,
        "concurrency": CONCURRENCY,
        "bare": result.bare.to_dict(),
        "routed": result.routed.to_dict(),
        "money": result.money.to_dict(),
        "call": result.call.to_dict() if result.call else None,
        "sources": list(packaged_facts().sources),
        "assumed": list(packaged_facts().assumed),
    }


def _title(result: Result) -> str:
    first = result.policy.chain[0].label
    return f"{result.bare.requests:,} requests, bare to {first}, and routed by policy {result.policy.label}"


def _table(result: Result) -> Table:
    bare, routed = result.bare, result.routed
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("")
    for heading in ("bare", "routed", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("answered", _share(bare), _share(routed), f"{routed.answered - bare.answered:+,}")
    for name, before, after in (
        ("p50", bare.p50_ms, routed.p50_ms),
        ("p95", bare.p95_ms, routed.p95_ms),
        ("p99", bare.p99_ms, routed.p99_ms),
    ):
        table.add_row(name, _ms(before), _ms(after), _change(before, after))
    table.add_row("attempts", f"{bare.attempts:,}", f"{routed.attempts:,}", _change(bare.attempts, routed.attempts))
    table.add_row("spent", _usd(bare.spent_usd), _usd(routed.spent_usd), _change(bare.spent_usd, routed.spent_usd))
    table.add_row("uncertain", _usd(bare.uncertain_usd), _usd(routed.uncertain_usd), "")
    table.add_row("wasted", _usd(bare.wasted_usd), _usd(routed.wasted_usd), "")
    return table


def _share(column: Column) -> str:
    return f"{column.answered:,} ({column.answered / column.requests:.1%})"


def _ms(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:,.0f} ms"


def _usd(amount: float | None) -> str:
    return "not known" if amount is None else f"${amount:,.4f}"


def _change(before: float | None, after: float | None) -> str:
    # Adding 0 makes a plain zero of what is rounded up to it from below.
    return f"{round(after / before - 1, 3) + 0:+.1%}" if before and after is not None else ""


def _sum(money: Money) -> str:
    records = money.records_settled, money.records_uncertain
    session = money.session_settled, money.session_uncertain
    told = f"{_exact(records[0])} spent and {_exact(records[1])} uncertain"
    if not money.adds_up:
        books = f"{_exact(session[0])} and {_exact(session[1])}"
        return f"The money does not add up: the records say {told}, the session's books {books}."
    limit = f" (limit {dollars(money.limit_usd)})"
    return f"The money adds up to the last digit: records and session{limit} both say {told}."


def _origin(facts: Facts) -> str:
    return _SOURCES.format(sources="; ".join(facts.sources), assumed="; ".join(facts.assumed))


def _exact(amount_nanos: int) -> str:
    return f"${amount_nanos // NANOS_PER_USD:,}.{amount_nanos % NANOS_PER_USD:09d}"


def _tree(result: Result) -> CallTree | None:
    """The call as any trace viewer gets it: out of its spans."""
    spans = result.spans_of_call()
    if not spans:
        return None
    trace = jaeger_json(spans)["data"][0]
    return next(calls(jaeger_span(span) for span in trace["spans"]), None)
