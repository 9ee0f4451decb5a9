"""``routeware tune``: which race threshold to set, from latencies or spans."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from routeware.lab.tables import Mapping
    from routeware.lab.tune_facts import Tuning
    from routeware.lab.tune_samples import Observed
    from routeware.policy import RoutingPolicy

__all__ = ["CODES", "tune"]

CODES = (
    "Exit codes: 0 done, and a threshold found if one was asked for; 2 the data cannot be read or used, the output"
    " cannot be written, or a wrong argument; 3 no threshold meets the goal."
)

_NOT_MET = 3
_NO_COLUMNS = "spans have no columns: of the two attempts of a race one was always cut off, so they make no pairs"
_SOURCE = (
    "Latencies: CSV with any delimiter, JSON lines, or what llmperf, vLLM, JMeter, k6, Locust and browsers (HAR) save."
    " Or spans: Jaeger JSON, OTLP JSON, Tempo, the console exporter, or the address of a Jaeger (http://localhost:16686)."
    " All of them may be gzipped. Give several files if each has the latencies of one link."
)


class Unit(StrEnum):
    """A unit of latencies."""

    MS = "ms"
    S = "s"
    US = "us"
    NS = "ns"


_Sources = Annotated[list[str], typer.Argument(metavar="FILE|URL", help=_SOURCE, show_default=False)]
_Primary = Annotated[str | None, typer.Option(metavar="LINK", help="The link to try first, by label or provider.")]
_Backup = Annotated[str | None, typer.Option(metavar="LINK", help="The other link.")]
_Target = Annotated[float | None, typer.Option(metavar="MS", min=0.001, help="Meet this p95 as cheaply as possible.")]
_Target99 = Annotated[float | None, typer.Option(metavar="MS", min=0.001, help="Meet this p99 instead.")]
_MaxExtra = Annotated[
    float | None, typer.Option(metavar="PCT", min=0, max=100, help="Allow this percentage of extra attempts.")
]
_Confidence = Annotated[
    float, typer.Option(metavar="P", min=0.5, max=0.999, help="Confidence of intervals and bounds.")
]
_Correlation = Annotated[
    float | None,
    typer.Option(
        metavar="R",
        min=-0.95,
        max=0.95,
        help="Rank correlation of a request's two latencies; 0.5 if there are no pairs.",
    ),
]
_Latency = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column with the latencies.")]
_Link = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column that names the link; or several: a,b.")]
_Status = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column that says how an attempt ended.")]
_Unit = Annotated[Unit | None, typer.Option(help="The unit of the latencies.")]
_PairBy = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column whose equal values make rows a pair.")]
_OrderBy = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column that orders the rows in time.")]
_By = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Compute thresholds by size: a column of numbers or of kinds.")
]
_Price = Annotated[list[str] | None, typer.Option(metavar="LINK=USD", help="What an attempt at a link costs.")]
_Service = Annotated[str | None, typer.Option(metavar="NAME", help="The service to ask a Jaeger for.")]
_Limit = Annotated[int, typer.Option(metavar="N", min=1, help="The most traces to read from a Jaeger.")]
_Plot = Annotated[Path | None, typer.Option(metavar="FILE.png|svg", help="Draw latency and cost by threshold.")]
_Policy = Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Write the threshold into this policy.")]
_Table = Annotated[str | None, typer.Option(metavar="a.b", help="The table in that file that holds the policy.")]
_Json = Annotated[bool, typer.Option("--json", help="Print a JSON object instead.")]


def tune(
    sources: _Sources,
    *,
    primary: _Primary = None,
    backup: _Backup = None,
    target_p95: _Target = None,
    target_p99: _Target99 = None,
    max_extra: _MaxExtra = None,
    confidence: _Confidence = 0.9,
    correlation: _Correlation = None,
    latency: _Latency = None,
    link: _Link = None,
    status: _Status = None,
    unit: _Unit = None,
    pair_by: _PairBy = None,
    order_by: _OrderBy = None,
    by: _By = None,
    price: _Price = None,
    service: _Service = None,
    limit: _Limit = 1_500,
    plot: _Plot = None,
    write_policy: _Policy = None,
    table: _Table = None,
    as_json: _Json = False,
) -> None:
    """Find the race threshold: what to set, the latency that follows, what it costs, and how sure that is.

    With --target-p95 or --target-p99 it finds the cheapest threshold that meets the target with confidence; with
    --max-extra, the best 95th percentile for that much spending.
    """
    from routeware.cli import screen
    from routeware.lab.sources import read_sources
    from routeware.lab.tables import Mapping

    _check((target_p95, target_p99, max_extra), write_policy, by)
    mapping = Mapping(
        latency=latency,
        link=link,
        status=status,
        unit=None if unit is None else unit.value,
        pair_by=pair_by,
        order_by=order_by,
        size=by,
    )
    goal = {
        "target_p95_ms": target_p95,
        "target_p99_ms": target_p99,
        "max_extra": None if max_extra is None else max_extra / 100,
        "confidence": confidence,
        "correlation": correlation,
    }
    try:
        read = read_sources(sources, mapping, service=service, limit=limit)
        if mapping.needs_columns and any(source.latency is None for source in read):
            _refuse(_NO_COLUMNS)
        tuning = _computed(
            sources, read, (primary, backup), price or [], mapping, goal, policy=_policy(write_policy, table)
        )
    except ValueError as error:
        screen.fail(str(error), 2)
    if plot is not None:
        _draw(tuning, plot)
    with screen.output():
        _show(tuning, read, as_json=as_json)
    if write_policy is not None:
        _write(tuning, write_policy, table)
    if tuning.choice is not None and tuning.choice.chosen is None:
        raise typer.Exit(_NOT_MET)


def _check(goals: tuple[float | None, float | None, float | None], write_policy: Path | None, by: str | None) -> None:
    """Refuse arguments that contradict each other."""
    given = [each for each in goals if each is not None]
    if len(given) > 1:
        _refuse("give --target-p95, --target-p99 or --max-extra: each names one threshold")
    if write_policy is not None and not given:
        _refuse("--write-policy needs --target-p95, --target-p99 or --max-extra: something has to choose")
    if by is not None and goals[:2] == (None, None):
        _refuse("--by needs --target-p95 or --target-p99: the sizes share its budget of misses")


def _computed(
    names: list[str],
    read: list[Observed],
    links: tuple[str | None, str | None],
    prices: list[str],
    mapping: Mapping,
    goal: dict[str, Any],
    *,
    policy: RoutingPolicy | None,
) -> Tuning:
    from routeware.lab import sources
    from routeware.lab.tune import tune as compute
    from routeware.lab.tune_sizes import with_sizes

    given = sources.parsed_prices(prices)
    primary, backup = sources.links_of(read, *links)
    sources.check_unit(names, read, goal["target_p99_ms"] or goal["target_p95_ms"])
    with _progress() as report:
        tuning = compute(
            primary,
            backup,
            paired=mapping.pair_by is not None,
            usd_per_attempt=sources.price_of(backup, given, policy),
            primary_usd_per_attempt=sources.price_of(primary, given, policy),
            raced=sources.raced_of(read, primary, backup),
            progress=report,
            **goal,
        )
    return tuning if mapping.size is None else with_sizes(tuning, primary, backup, mapping.size)


def _policy(file: Path | None, table: str | None) -> RoutingPolicy | None:
    """Return the policy whose prices count; ``None`` if it cannot be read, which is said where it is written."""
    from routeware.errors import PolicyError
    from routeware.policy import RoutingPolicy

    if file is None:
        return None
    try:
        return RoutingPolicy.from_toml(file, table=table)
    except (OSError, PolicyError):
        return None


def _show(tuning: Tuning, read: list[Observed], *, as_json: bool) -> None:
    from routeware.cli import screen, tune_screen

    left_out, malformed = (sum(getattr(each, name) for each in read) for name in ("left_out", "malformed"))
    if as_json:
        screen.print_json(tuning.to_dict() | {"left_out": left_out + malformed})
    else:
        tune_screen.show(tuning, left_out, malformed)


def _refuse(problem: str) -> NoReturn:
    from routeware.cli import screen

    screen.fail(problem, 2)


@contextmanager
def _progress() -> Iterator[Callable[[float], object]]:
    """Show a bar on a terminal's standard error for what takes longer than a second."""
    from rich.progress import Progress

    from routeware.cli import screen

    began = time.monotonic()
    bar = Progress(console=screen.progress_console(), transient=True)
    task = bar.add_task("computing", total=1.0)

    def report(share: float) -> None:
        if not bar.live.is_started and bar.console.is_terminal and time.monotonic() - began > 1.0:
            bar.start()
        bar.update(task, completed=share)

    try:
        yield report
    finally:
        if bar.live.is_started:
            bar.stop()


def _draw(tuning: Tuning, path: Path) -> None:
    from routeware.lab.tune_plot import plot

    try:
        plot(tuning, path)
    except ValueError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"cannot write {path}: {error.strerror or error}")


def _write(tuning: Tuning, path: Path, table: str | None) -> None:
    from routeware.cli import screen
    from routeware.cli.tune_screen import goal_of
    from routeware.errors import PolicyError
    from routeware.lab.tune_policy import write_threshold

    out = screen.progress_console()
    choice = tuning.choice
    chosen = choice.chosen if choice is not None else None
    if choice is None or chosen is None or chosen.race_after_ms is None:
        out.print("No threshold to write: the policy stays as it is.")
        return
    try:
        write_threshold(path, chosen.race_after_ms, table=table, reason=goal_of(choice))
    except PolicyError as error:
        _refuse(f"{path}: {error}")
    except OSError as error:
        _refuse(f"cannot write {path}: {error.strerror or error}")
    if choice.rule != "max_extra":
        out.print(
            f"A fixed threshold ages: latency.{choice.rule}_ms = {choice.bound:g} re-estimates it as providers change."
        )
