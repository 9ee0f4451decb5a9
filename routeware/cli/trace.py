"""``routeware trace``: calls out of a trace file or a Jaeger, drawn in the terminal."""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from routeware.cli import screen
from routeware.lab.calls import CallTree, calls
from routeware.lab.reading import QueryAddress, read_file, without_userinfo
from routeware.lab.spans import NothingFoundError, Span, TraceError
from routeware.text import visible

__all__ = ["trace"]

_ID_DIGITS = 32
_FEWEST_TRACES = 100


def trace(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URL",
            help="A trace file (Jaeger JSON, OTLP JSON, or OTLP JSON Lines, gzipped or not), the address of a Jaeger "
            "(http://localhost:16686), or that of a trace on its page.",
        ),
    ],
    trace_id: Annotated[
        str | None, typer.Argument(help="Draw this trace only; in a file its first digits are enough.")
    ] = None,
    *,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="The most calls to draw.")] = 10,
    service: Annotated[str | None, typer.Option(metavar="NAME", help="Ask a Jaeger for this service only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead.")] = False,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg",
            help="Draw one call into this file instead.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw calls from a trace: the attempts, the races, the reasons for failing over, and the costs.

    If there are more calls than the limit, those with more than one attempt or with an error come first, the latest of
    them before others.

    Exit codes: 0 drawn; 1 there is nothing to draw: no such trace, or no call of routeware's in it; 2 the trace cannot
    be read, the output cannot be written, or a wrong argument. A line on standard error says what is wrong and where.
    """
    try:
        chosen, total = _chosen(source, trace_id, 1 if svg else limit, service)
    except TraceError as error:
        screen.fail(str(error), 1 if isinstance(error, NothingFoundError) else 2)
    if svg is not None:
        _picture(chosen[0], total, svg)
        return
    with screen.output():
        if as_json:
            print(json.dumps([call.to_dict() for call in chosen], indent=2))
        else:
            _draw(chosen, total)


def _chosen(source: str, trace_id: str | None, limit: int, service: str | None) -> tuple[list[CallTree], int]:
    """Choose the calls to show, in time, and count all of them.

    Raises:
        TraceError: the source cannot be read, or has nothing to show.
    """
    # Spans are counted, too: a trace without ours is something else than no trace.
    spans = total = 0

    def counted() -> Iterator[Span]:
        nonlocal spans
        for span in _spans(source, trace_id, limit, service):
            spans += 1
            yield span

    def each() -> Iterator[CallTree]:
        nonlocal total
        for call in calls(counted()):
            total += 1
            yield call

    chosen = heapq.nlargest(limit, each(), key=_interest)
    if not chosen:
        raise NothingFoundError(without_userinfo(source), _nothing(trace_id, spans))
    return sorted(chosen, key=lambda call: call.started_at_ms or 0.0), total


def _nothing(trace_id: str | None, count: int) -> str:
    if not count:
        return "no spans" if trace_id is None else f"no trace {trace_id}"
    spans = f"{count} span{'s' if count > 1 else ''}, none of routeware's"
    return spans if trace_id is None else f"trace {trace_id} has {spans}"


def _interest(call: CallTree) -> tuple[bool, float]:
    """Rank a call: those worth a look first, and of these the latest."""
    return len(call.attempts) != 1 or call.outcome != "succeeded", call.started_at_ms or 0.0


def _spans(source: str, trace_id: str | None, limit: int, service: str | None) -> Iterator[Span]:
    if "://" in source:
        return _queried(source, trace_id, limit, service)
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", source) and not Path(source).exists():
        raise TraceError(source, f"no such file; did you mean http://{source}?")
    spans = read_file(source)
    return spans if trace_id is None else (span for span in spans if _is_of(span, trace_id.lower()))


def _is_of(span: Span, trace_id: str) -> bool:
    return span.trace_id.startswith(trace_id) or span.trace_id == trace_id.zfill(_ID_DIGITS)


def _queried(source: str, trace_id: str | None, limit: int, service: str | None) -> Iterator[Span]:
    address = QueryAddress.parse(source)
    wanted = trace_id or address.trace_id
    if wanted is not None:
        yield from address.trace(wanted)
        return
    if service is not None:
        yield from _of_service(address, service, limit)
        return
    for name in address.services():
        yield from address.recent(name, max(limit, _FEWEST_TRACES))


def _of_service(address: QueryAddress, service: str, limit: int) -> Iterator[Span]:
    """Yield the latest spans of one service.

    Raises:
        TraceError: there are none, because the Jaeger does not know the service; names those that it knows.
    """
    count = 0
    for span in address.recent(service, max(limit, _FEWEST_TRACES)):
        count += 1
        yield span
    if not count and service not in (known := address.services()):
        raise NothingFoundError(address.base, f"no service {service!r}; there are {', '.join(known) or 'none'}")


def _picture(call: CallTree, total: int, file: Path) -> None:
    from routeware.lab.waterfall_svg import svg

    try:
        file.write_text(svg(call), encoding="utf-8")
    except OSError as error:
        screen.fail(f"cannot write {file}: {error.strerror or error}", 2)
    others = f"; a trace id chooses another of {total} calls" if total > 1 else ""
    typer.echo(f"Drew {visible(call.name)} as {file}{others}.", err=True)


def _draw(chosen: list[CallTree], total: int) -> None:
    from routeware.lab.waterfall import render_call

    console = screen.console()
    for call in chosen:
        console.print(render_call(call))
        console.print()
    if total > len(chosen):
        console.print(
            f"{len(chosen)} of {total} calls: first those that did not simply succeed, then the latest. "
            "--limit shows more."
        )
