"""``routeware tune``: which race threshold, from latencies or spans."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import attrs
import typer

if TYPE_CHECKING:
    from routeware.lab.tune_facts import Tuning
    from routeware.lab.tune_samples import Sample

__all__ = ["CODES", "tune"]

CODES = (
    "Exit codes: 0 computed, and a threshold found where one was asked for; 1 the data cannot be read or do not answer;"
    " 2 wrong arguments; 3 no threshold meets what was asked for."
)

_NOT_MET = 3
_COLUMNS = (
    "The CSV's columns: link (or provider and model), latency_ms, and where there is one status: ok is an answer;"
    " timeout, cancelled, race_lost or censored was cut off at its latency; anything else, or no latency, is a failure."
)
_SOURCE = (
    "A CSV file; a file of spans (Jaeger JSON, OTLP JSON, OTLP JSON Lines, gzipped or not); or the address of a Jaeger"
    f" (http://localhost:16686). {_COLUMNS}"
)

_Source = Annotated[str, typer.Argument(metavar="FILE|URL", help=_SOURCE, show_default=False)]
_Primary = Annotated[str | None, typer.Option(help="The link that is tried first, by label or provider.")]
_Backup = Annotated[str | None, typer.Option(help="The link that joins it.")]
_Target = Annotated[float | None, typer.Option(metavar="MS", min=0.001, help="Meet it as cheaply as can be.")]
_MaxExtra = Annotated[
    float | None, typer.Option(metavar="PCT", min=0, max=100, help="Start no more backups than this.")
]
_Confidence = Annotated[float, typer.Option(min=0.5, max=0.999, help="Of intervals, and of the bound on misses.")]
_PairBy = Annotated[str | None, typer.Option(metavar="COLUMN", help="Rows with equal values are pairs.")]
_OrderBy = Annotated[str | None, typer.Option(metavar="COLUMN", help="The order in which rows were made.")]
_Price = Annotated[list[str] | None, typer.Option(metavar="LINK=USD", help="What an attempt at a link costs.")]
_Service = Annotated[str | None, typer.Option(help="Of a Jaeger, the service.")]
_Limit = Annotated[int, typer.Option(min=1, help="Of a Jaeger, at most so many traces.")]
_Plot = Annotated[Path | None, typer.Option(metavar="FILE.png|svg", help="Draw it.")]
_Policy = Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Put the threshold into this policy.")]
_Table = Annotated[str | None, typer.Option(metavar="a.b", help="The policy's table in that file.")]
_Json = Annotated[bool, typer.Option("--json", help="A JSON object on standard output instead.")]


def tune(
    source: _Source,
    *,
    primary: _Primary = None,
    backup: _Backup = None,
    target_p95: _Target = None,
    max_extra: _MaxExtra = None,
    confidence: _Confidence = 0.9,
    pair_by: _PairBy = None,
    order_by: _OrderBy = None,
    price: _Price = None,
    service: _Service = None,
    limit: _Limit = 1_500,
    plot: _Plot = None,
    write_policy: _Policy = None,
    table: _Table = None,
    as_json: _Json = False,
) -> None:
    """Find the race threshold: what the call's latency becomes, and what that costs, from 0 to never.

    With --target-p95, the cheapest threshold whose upper bound on the share of misses meets it; with --max-extra, the
    best 95th percentile for that much spending.
    """
    if target_p95 is not None and max_extra is not None:
        _refuse("give --target-p95 or --max-extra: each names one threshold")
    if write_policy is not None and target_p95 is None and max_extra is None:
        _refuse("--write-policy needs --target-p95 or --max-extra: something has to choose")
    goal = _Goal(target_p95, None if max_extra is None else max_extra / 100, confidence, pair_by is not None)
    tuning = _tuned(
        lambda: _links(_samples(source, pair_by, order_by, service, limit), primary, backup), goal, price or []
    )
    if plot is not None:
        _draw(tuning, plot)
    _show(tuning, as_json=as_json)
    if write_policy is not None:
        _write(tuning, write_policy, table)
    if tuning.choice is not None and tuning.choice.chosen is None:
        raise typer.Exit(_NOT_MET)


def _tuned(links: Callable[[], tuple[Sample, Sample]], goal: _Goal, prices: list[str]) -> Tuning:
    """What the data say; leaves with a line where they cannot be read or do not answer."""
    from routeware.cli import screen
    from routeware.lab.spans import TraceError

    try:
        return _computed(*links(), goal, _prices(prices))
    except (TraceError, ValueError) as error:
        screen.fail(str(error), 1)


def _show(tuning: Tuning, *, as_json: bool) -> None:
    from routeware.cli import screen, tune_screen

    if as_json:
        screen.print_json(tuning.to_dict())
    else:
        tune_screen.show(tuning)


@attrs.frozen
class _Goal:
    """What is asked for."""

    target_p95_ms: float | None
    max_extra: float | None
    confidence: float
    paired: bool


def _computed(primary: Sample, backup: Sample, goal: _Goal, prices: dict[str, float]) -> Tuning:
    from routeware.lab.tune import tune as compute

    with _progress() as report:
        return compute(
            primary,
            backup,
            paired=goal.paired,
            target_p95_ms=goal.target_p95_ms,
            max_extra=goal.max_extra,
            confidence=goal.confidence,
            usd_per_attempt=prices.get(backup.label, prices.get(backup.label.partition(":")[0])),
            progress=report,
        )


def _prices(given: list[str]) -> dict[str, float]:
    """Dollars per attempt, by label or provider.

    Raises:
        ValueError: one is no ``LINK=USD``.
    """
    found = {}
    for text in given:
        label, equals, amount = text.rpartition("=")
        try:
            found[label] = float(amount)
        except ValueError:
            equals = ""
        if not equals or not label or not 0 <= found.get(label, -1.0) < float("inf"):
            raise ValueError(f"a price is LINK=USD, not {text!r}")
    return found


def _refuse(problem: str) -> NoReturn:
    from routeware.cli import screen

    screen.fail(problem, 2)


def _samples(
    source: str, pair_by: str | None, order_by: str | None, service: str | None, limit: int
) -> dict[str, Sample]:
    """What was observed of each link.

    Raises:
        TraceError: the source cannot be read, or is a table where a column is asked for and none has it.
    """
    from routeware.lab.tune_samples import samples_from_calls, samples_from_csv

    if "://" not in source and not _looks_like_json(Path(source)):
        return samples_from_csv(source, pair_by=pair_by, order_by=order_by)
    if pair_by is not None or order_by is not None:
        _refuse("spans have no columns: of the two attempts of a race one was always cut off, so they make no pairs")
    from routeware.lab.calls import calls
    from routeware.lab.reading import read_file
    from routeware.lab.reading_query import QueryAddress

    if "://" not in source:
        return samples_from_calls(calls(read_file(source)))
    address = QueryAddress.parse(source)
    names = address.services() if service is None else [service]
    return samples_from_calls(calls(span for name in names for span in address.recent(name, limit)))


def _looks_like_json(path: Path) -> bool:
    """Whether a file is one of spans: by what is in it, for names lie."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError:
        return False
    return start.startswith(b"\x1f\x8b") or start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))


def _links(samples: dict[str, Sample], primary: str | None, backup: str | None) -> tuple[Sample, Sample]:
    """The two links to race; of exactly two, the one that comes first is the primary.

    Raises:
        ValueError: it is not clear which.
    """
    if len(samples) < 2:
        raise ValueError(f"a race needs two links, and there is {', '.join(samples) or 'none'}")
    if primary is None and backup is None and len(samples) > 2:
        raise ValueError(f"say which --primary and --backup; there are {', '.join(samples)}")
    first = _named(samples, primary) if primary is not None else None
    second = _named(samples, backup) if backup is not None else None
    if first is None or second is None:
        rest = [label for label in samples if label not in (first, second)]
        if len(rest) > (2 if first is second is None else 1):
            raise ValueError(f"say which --primary and --backup; there are {', '.join(samples)}")
        first = first or rest.pop(0)
        second = second or rest.pop(0)
    if first == second:
        raise ValueError(f"{first} cannot be raced against itself")
    return samples[first], samples[second]


def _named(samples: dict[str, Sample], name: str) -> str:
    fitting = [label for label in samples if label == name] or [
        label for label in samples if label.partition(":")[0] == name
    ]
    if len(fitting) != 1:
        raise ValueError(f"{'no' if not fitting else 'more than one'} link is {name!r}; there are {', '.join(samples)}")
    return fitting[0]


@contextmanager
def _progress() -> Iterator[Callable[[float], object]]:
    """A bar on standard error for what takes longer than a second, and nothing for what does not."""
    from rich.progress import Progress

    from routeware.cli import screen

    began = time.monotonic()
    bar = Progress(console=screen.progress_console(), transient=True)
    task = bar.add_task("computing", total=1.0)

    def report(share: float) -> None:
        if not bar.live.is_started and time.monotonic() - began > 1.0:
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
    from routeware.errors import PolicyError
    from routeware.lab.tune_policy import write_threshold

    chosen = tuning.choice.chosen if tuning.choice is not None else None
    if chosen is None or chosen.race_after_ms is None:
        screen.progress_console().print("No threshold to write: the policy stays as it is.")
        return
    try:
        write_threshold(path, chosen.race_after_ms, table=table)
    except PolicyError as error:
        _refuse(f"{path}: {error}")
    except OSError as error:
        _refuse(f"cannot write {path}: {error.strerror or error}")
