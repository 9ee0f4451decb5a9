"""``routeware replay``: what past calls would have taken and cost under another policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from routeware.lab.calls import CallTree
    from routeware.lab.replaying import Estimate, Replayed
    from routeware.policy import RoutingPolicy
    from routeware.records import CallRecord

__all__ = ["CODES", "replay"]

CODES = (
    "Exit codes: 0 replayed; 2 the calls or a policy cannot be read or used, the output cannot be written, or a wrong"
    " argument."
)

_SOURCE = (
    "Past calls: records as JSON lines (CallRecord.to_dict), a file of spans (Jaeger JSON, OTLP JSON, Tempo, the"
    " console exporter), gzipped or not, or the address of a Jaeger (http://localhost:16686)."
)
_UNKNOWN = (
    "What it cannot know: how prompts of another kind would do, what more load does to a provider, whether the answers"
    " are as good, and anything about links that no call has tried."
)
_BOTH = (
    "Attempts that were not seen to their end are drawn: at 0 as if one provider's latency said nothing of the other's,"
    " at {0:g} as if a request that is slow at one were slow at the other. The truth is most often between the two,"
    " their intervals included."
)

_WIDE = 76

_Source = Annotated[str, typer.Argument(metavar="FILE|URL", help=_SOURCE, show_default=False)]
_New = Annotated[Path, typer.Option("--policy", metavar="NEW.toml", help="Serve the calls under this policy.")]
_Old = Annotated[
    Path | None, typer.Option("--against", metavar="OLD.toml", help="Also serve them under this policy, to compare.")
]
_Table = Annotated[str | None, typer.Option(metavar="a.b", help="The table in the files that holds the policy.")]
_Correlations = Annotated[str, typer.Option("--correlation", metavar="R,R", help="The rank correlations to draw at.")]
_Seed = Annotated[int, typer.Option(metavar="N", help="The seed of the draws.")]
_Service = Annotated[str | None, typer.Option(metavar="NAME", help="The service to ask a Jaeger for.")]
_Limit = Annotated[int, typer.Option(metavar="N", min=1, help="The most traces to read from a Jaeger.")]
_Json = Annotated[bool, typer.Option("--json", help="Print a JSON object instead.")]


def replay(
    source: _Source,
    *,
    policy: _New,
    against: _Old = None,
    table: _Table = None,
    correlation: _Correlations = "0,0.8",
    seed: _Seed = 0,
    service: _Service = None,
    limit: _Limit = 1_500,
    as_json: _Json = False,
) -> None:
    """Replay past calls under another policy: the share that succeeds, latency, dollars and attempts.

    Attempts that were seen to their end are as they were; the others are drawn from what their links do. The real
    engine serves the calls, on a clock that jumps.
    """
    from routeware.cli import screen

    correlations = _correlations(correlation)
    policies = [(name, file) for name, file in (("old", against), ("new", policy)) if file is not None]
    read = [(name, _policy(file, table)) for name, file in policies]
    try:
        columns = _columns(_past(source, service, limit), read, correlations, seed)
    except ValueError as error:
        screen.fail(str(error), 2)
    with screen.output():
        if as_json:
            screen.print_json(_document(columns))
        else:
            _show(columns, correlations)


def _correlations(text: str) -> list[float]:
    from routeware.cli import screen

    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(-0.95 <= each <= 0.95 for each in found):
        screen.fail(f"--correlation takes numbers from -0.95 to 0.95 with commas between them, not {text!r}", 2)
    return found


def _policy(file: Path, table: str | None) -> RoutingPolicy:
    from routeware.cli import screen
    from routeware.errors import PolicyError
    from routeware.policy import RoutingPolicy

    try:
        return RoutingPolicy.from_toml(file, table=table)
    except PolicyError as error:
        screen.fail(f"{file}: {error}", 2)
    except OSError as error:
        screen.fail(f"{file}: {error.strerror or error}", 2)


def _past(source: str, service: str | None, limit: int) -> list[CallRecord] | list[CallTree]:
    from routeware.lab.reading import without_userinfo
    from routeware.lab.sources import past_calls_of
    from routeware.lab.spans import TraceError

    found: list[Any] = list(past_calls_of(source, service=service, limit=limit))
    if not found:
        raise TraceError(without_userinfo(source), "no calls of routeware's")
    return found


def _columns(
    calls: list[CallRecord] | list[CallTree],
    policies: list[tuple[str, RoutingPolicy]],
    correlations: list[float],
    seed: int,
) -> list[tuple[str, Replayed]]:
    from routeware.lab.replaying import recorded
    from routeware.lab.replaying import replay as run

    columns = [("recorded", recorded(calls, seed=seed))]
    for name, policy in policies:
        columns += [(name, run(calls, policy, seed=seed, correlation=each)) for each in correlations]
    return columns


def _document(columns: list[tuple[str, Replayed]]) -> dict[str, Any]:
    (_, recorded), *others = columns
    return {
        "recorded": recorded.to_dict(),
        "replayed": [{"policy": name, **result.to_dict()} for name, result in others],
    }


def _show(columns: list[tuple[str, Replayed]], correlations: list[float]) -> None:
    from routeware.cli.screen import console

    out = console()
    shares = [result.measured_share for _, result in columns[1:]]
    between = f"{min(shares):.0%}" if max(shares) - min(shares) < 0.005 else f"{min(shares):.0%} to {max(shares):.0%}"
    out.print(
        f"{columns[0][1].calls:,} calls. Of the attempts replayed, {between} are as they were; the rest is drawn."
    )
    out.print()
    out.print(_side_by_side(columns) if out.width >= _WIDE else _stacked(columns))
    out.print("With each figure its 90% interval. Latencies are those of the calls that succeeded.")
    out.print()
    if any(correlations):
        out.print(_BOTH.format(max(correlations, key=abs)))
    out.print(_UNKNOWN)


def _titles(name: str, result: Replayed) -> list[str]:
    return [name] if name == "recorded" else [name, f"{result.correlation:g}"]


def _side_by_side(columns: list[tuple[str, Replayed]]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column("\nat ".join(_titles(*column)), justify="right")
    for name, field, shown in _ROWS:
        cells = ("\n".join(_cell(getattr(result, field), shown)) for _, result in columns)
        table.add_row(name, *cells)
    return table


def _stacked(columns: list[tuple[str, Replayed]]) -> Table:
    """Return the same for a terminal that is too narrow for it: a block for each figure."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    for name, field, shown in _ROWS:
        table.add_row(name, style="bold")
        for column in columns:
            table.add_row(f"  {' at '.join(_titles(*column))}", *_cell(getattr(column[1], field), shown))
    return table


_ROWS = (
    ("succeeded", "succeeded", "{:.2%}"),
    ("p50, ms", "p50_ms", "{:,.0f}"),
    ("p95, ms", "p95_ms", "{:,.0f}"),
    ("p99, ms", "p99_ms", "{:,.0f}"),
    ("settled, $", "cost_usd", "{:,.3g}"),
    ("uncertain, $", "uncertain_usd", "{:,.3g}"),
    ("attempts per call", "attempts_per_call", "{:.3f}"),
)


def _cell(estimate: Estimate, shown: str) -> tuple[str, str]:
    """Return a figure and its interval."""
    if estimate.value is None:
        return "unknown", ""
    ends = dict.fromkeys(shown.format(end) for end in (estimate.low, estimate.high) if end is not None)
    return shown.format(estimate.value), "-".join(ends)
