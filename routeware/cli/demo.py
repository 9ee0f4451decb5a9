"""``routeware demo``: four scenes, each with the same requests bare and routed, over real sockets, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routeware.errors import NoSessionError, PolicyError

if TYPE_CHECKING:
    from routeware.demo.run import Result
    from routeware.demo.scenes import Scene

__all__ = ["CODES", "demo"]

CODES = (
    "Exit codes: 0 done; 1 the money does not add up, or the spans could not be exported or saved; 2 a wrong argument, "
    "policy or address, or a missing extra; 130 interrupted."
)


def demo(
    *,
    scene: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Show this scene only: even, stalls, outage or streams.", show_default=False),
    ] = None,
    requests: Annotated[
        int, typer.Option(min=1, max=20_000, metavar="N", help="The number of requests in each scene.")
    ] = 400,
    seed: Annotated[int, typer.Option(metavar="N", help="The seed for what the providers do.")] = 1,
    speed_up: Annotated[
        float,
        typer.Option(min=1.0, max=10.0, metavar="N", help="How much faster than recorded; use less on a busy machine."),
    ] = 10.0,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Show one scene under your policy, over openai, anthropic, google and mistral.",
            show_default=False,
        ),
    ] = None,
    otlp: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Export the traces by OTLP/HTTP, for example to http://localhost:4318.",
            show_default=False,
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Save one trace, for Jaeger's upload page.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead.")] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Run providers for your own code, without keys, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="N", help="The port of --serve; 0 takes a free one.")
    ] = 8765,
) -> None:
    """Compare bare and routed calls over real sockets.

    There are four scenes: an even provider, one with stalls, an outage, and streams that stall. Each sends the same
    requests twice to providers on loopback: bare to the first, and routed along the chain. The providers answer, refuse
    and hang up as recorded ones did, ten times as fast; the times shown are the recorded ones. A request without an
    answer counts as late in both columns.
    """
    if serve:
        from routeware.cli import demo_serve

        demo_serve.serve(port)
        return
    from routeware.cli import demo_screen, screen
    from routeware.demo import DemoError

    try:
        url = _checked(otlp, save)
        results = _run(_scenes(scene, policy), requests, seed, speed_up)
    except (DemoError, PolicyError, NoSessionError) as error:
        screen.fail(str(error), 2)
    except OSError as error:
        screen.fail(f"{error.filename or 'the demo'}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        screen.fail("interrupted", 130)
    if as_json:
        screen.print_json(demo_screen.document(results))
    else:
        demo_screen.show(results)
    _hand_on(results, url, save)
    if not all(result.money.adds_up for result in results):
        screen.fail("the money does not add up", 1)


def _checked(otlp: str | None, save: Path | None) -> str | None:
    """Return the collector's whole address. What cannot succeed fails before the run, not after it.

    Raises:
        DemoError: nothing listens there, or the file cannot be written.
    """
    from routeware.demo import DemoError
    from routeware.demo.spans import collector_url, reach

    if save is not None and save.is_dir():
        raise DemoError(f"{save}: this is a folder")
    if save is not None and not save.absolute().parent.is_dir():
        raise DemoError(f"{save}: its folder is not there")
    if otlp is None:
        return None
    url = collector_url(otlp)
    reach(url)
    return url


def _scenes(names: Sequence[str] | None, file: Path | None) -> tuple[Scene, ...]:
    """Return what is to be shown.

    Raises:
        DemoError: there is no such scene, or a scene and a policy are given.
    """
    from routeware.demo import DemoError
    from routeware.demo.scenes import own_scene, packaged_scenes
    from routeware.policy import RoutingPolicy

    if file is not None and names:
        raise DemoError("give --scene or --policy: a scene has a policy of its own")
    if file is not None:
        return (own_scene(RoutingPolicy.from_toml(file)),)
    scenes = packaged_scenes()
    for name in names or ():
        if name not in (scene.name for scene in scenes):
            raise DemoError(f"there is no scene {name!r}; there are {', '.join(scene.name for scene in scenes)}")
    return tuple(scene for scene in scenes if not names or scene.name in names)


def _run(scenes: Sequence[Scene], requests: int, seed: int, speed_up: float) -> tuple[Result, ...]:
    import asyncio
    import logging

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from routeware.cli.screen import progress_console
    from routeware.demo.run import Stage, run

    # What routeware logs is in the result; without a handler of its own the log would go to the terminal as well.
    logging.getLogger("routeware").addHandler(logging.NullHandler())
    console = progress_console()
    columns = (TextColumn("{task.description:<13}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bars = {
            (scene.name, stage): progress.add_task(f"{scene.name} {stage}", total=requests)
            for scene in scenes
            for stage in Stage
        }

        def advance(scene: Scene, stage: Stage) -> None:
            progress.advance(bars[scene.name, stage])

        return asyncio.run(run(scenes, requests=requests, seed=seed, on_done=advance, speed_up=speed_up))


def _hand_on(results: Sequence[Result], url: str | None, save: Path | None) -> None:
    """Export and save, as asked for, and report it beside the result."""
    from routeware.cli import screen
    from routeware.demo import DemoError
    from routeware.demo.spans import export

    try:
        if url is not None:
            spans = [span for result in results for span in result.spans]
            export(spans, url)
            typer.echo(f"Exported {len(spans):,} spans to {url}.", err=True)
        if save is not None:
            _save(results, save)
            typer.echo(f"Saved that call's trace as {save}.", err=True)
    except DemoError as error:
        screen.fail(str(error), 1)
    except OSError as error:
        screen.fail(f"cannot write {save}: {error.strerror or error}", 1)


def _save(results: Sequence[Result], file: Path) -> None:
    import json

    from routeware.demo import DemoError
    from routeware.demo.run import most_telling
    from routeware.demo.spans import jaeger_json

    spans = most_telling(results).spans_of_call()
    if not spans:
        raise DemoError("no trace to save: OpenTelemetry is switched off (OTEL_SDK_DISABLED)")
    file.write_text(json.dumps(jaeger_json(spans), indent=1), encoding="utf-8")
