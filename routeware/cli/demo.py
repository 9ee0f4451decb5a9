"""``routeware demo``: the same requests bare and routed, over real sockets, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routeware.errors import NoSessionError, PolicyError
from routeware.policy import RoutingPolicy

if TYPE_CHECKING:
    from routeware.demo.run import Result

__all__ = ["CODES", "demo"]

CODES = (
    "Exit codes: 0 done; 1 the money does not add up, or the spans could not be exported or saved; 2 a wrong argument, "
    "policy or address, or a missing extra; 130 interrupted."
)


def demo(
    *,
    requests: Annotated[int, typer.Option(min=1, max=20_000, metavar="N", help="How many requests.")] = 1000,
    seed: Annotated[int, typer.Option(metavar="N", help="What the providers do is drawn from it.")] = 1,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Another policy, for openai, anthropic and google.", show_default=False),
    ] = None,
    otlp: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Export by OTLP/HTTP, as to http://localhost:4318.", show_default=False),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Save one trace, to be opened in Jaeger's page.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object on standard output instead.")] = False,
) -> None:
    """Compare bare and routed calls over real sockets.

    The same requests are sent twice to providers on loopback: bare to the first, and routed along all of them. They
    answer, refuse and hang up as recorded ones did, ten times as fast; all times that are shown are their own.
    """
    from routeware.cli import demo_screen, screen
    from routeware.demo.errors import DemoError

    try:
        url = _checked(otlp, save)
        result = _run(_policy(policy), requests, seed)
    except (DemoError, PolicyError, NoSessionError) as error:
        screen.fail(str(error), 2)
    except OSError as error:
        screen.fail(f"{error.filename or 'the demo'}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        screen.fail("interrupted", 130)
    if as_json:
        screen.print_json(demo_screen.document(result))
    else:
        demo_screen.show(result)
    _hand_on(result, url, save)
    if not result.money.adds_up:
        screen.fail("the money does not add up", 1)


def _checked(otlp: str | None, save: Path | None) -> str | None:
    """The collector's whole address. What cannot succeed fails before the run, not after it.

    Raises:
        DemoError: nobody listens there, or the file cannot be written.
    """
    from routeware.demo.errors import DemoError
    from routeware.demo.export import collector_url, reach

    if save is not None and save.is_dir():
        raise DemoError(f"{save}: this is a folder")
    if save is not None and not save.absolute().parent.is_dir():
        raise DemoError(f"{save}: its folder is not there")
    if otlp is None:
        return None
    url = collector_url(otlp)
    reach(url)
    return url


def _policy(file: Path | None) -> RoutingPolicy:
    from routeware.demo.policies import packaged_policy

    return packaged_policy() if file is None else RoutingPolicy.from_toml(file)


def _run(policy: RoutingPolicy, requests: int, seed: int) -> Result:
    import asyncio

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from routeware.cli.screen import progress_console
    from routeware.demo.run import Stage, run

    console = progress_console()
    columns = (TextColumn("{task.description:<6}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bars = {stage: progress.add_task(stage, total=requests) for stage in Stage}
        return asyncio.run(
            run(policy, requests=requests, seed=seed, on_done=lambda stage: progress.advance(bars[stage]))
        )


def _hand_on(result: Result, url: str | None, save: Path | None) -> None:
    """Export and save, as asked for, and say so beside the result."""
    from routeware.cli import screen
    from routeware.demo.errors import DemoError
    from routeware.demo.export import export

    try:
        if url is not None:
            export(result.spans, url)
            typer.echo(f"Exported {len(result.spans):,} spans to {url}.", err=True)
        if save is not None:
            _save(result, save)
            typer.echo(f"Saved that call's trace as {save}.", err=True)
    except DemoError as error:
        screen.fail(str(error), 1)
    except OSError as error:
        screen.fail(f"cannot write {save}: {error.strerror or error}", 1)


def _save(result: Result, file: Path) -> None:
    import json

    from routeware.demo.errors import DemoError
    from routeware.demo.jaeger import jaeger_json

    spans = result.spans_of_call()
    if not spans:
        raise DemoError("no trace to save: OpenTelemetry is switched off (OTEL_SDK_DISABLED)")
    file.write_text(json.dumps(jaeger_json(spans), indent=1), encoding="utf-8")
