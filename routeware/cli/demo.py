"""``routeware demo``: four scenes, each with the same requests bare and routed, over real sockets, side by side.

With ``--serve``: providers on loopback for your own code, until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routeware.cli import screen
from routeware.demo import DemoError
from routeware.errors import NoSessionError, PolicyError
from routeware.policy import RoutingPolicy
from routeware.text import bounded, visible

if TYPE_CHECKING:
    from routeware.demo.playground import Exchange
    from routeware.demo.run import Result
    from routeware.demo.scenes import Scene

__all__ = ["ADDRESS", "CODES", "SNIPPET", "demo"]

CODES = (
    "Exit codes: 0 done; 1 the money does not add up, or the spans could not be exported or saved; 2 a wrong argument, "
    "policy or address, a missing extra, or output that cannot be written; 130 interrupted."
)

ADDRESS = "http://127.0.0.1:8765"
"""The address of the providers, unless another port is named."""

SNIPPET = """\
import asyncio
from collections.abc import AsyncIterator

from openai import AsyncOpenAI

from routeware import Attempt, RoutingPolicy, routed

DEMO = "http://127.0.0.1:8765"  # started by: routeware demo --serve
clients = {
    "openai": AsyncOpenAI(base_url=f"{DEMO}/openai/v1", api_key="none", max_retries=0),
    "anthropic": AsyncOpenAI(base_url=f"{DEMO}/anthropic/v1", api_key="none", max_retries=0),
}
chain = ["openai:gpt-4o-down", "openai:gpt-4o-slow", "anthropic:claude-sonnet-4-6"]


@routed(RoutingPolicy(chain=chain, latency={"target_p95_ms": 600}), wrap_errors=True)
async def ask(attempt: Attempt, prompt: str) -> AsyncIterator[str]:
    chunks = await clients[attempt.provider].chat.completions.create(
        model=attempt.model,
        messages=[{"role": "user", "content": prompt}],
        stream=True,
        stream_options={"include_usage": True},  # in the last chunk, so that the cost is known
    )
    async with chunks:
        async for chunk in chunks:
            if attempt.report(chunk).choices and (text := chunk.choices[0].delta.content):
                yield text


async def main() -> None:
    async with ask("Why is the sky blue?") as stream:
        async for text in stream:
            print(text, end="", flush=True)
    print("\\n" + stream.record.trail())


asyncio.run(main())
"""
_GREETING = """\
Providers on loopback that need no key. Ctrl-C stops them.

  {url}/openai/v1   chat completions and responses
  {url}/anthropic   messages; chat completions under /v1

The end of a model's name makes its provider fail: gpt-4o-slow answers after
3 s, gpt-4o-down is overloaded, gpt-4o-limited answers 429, gpt-4o-dropped
hangs up. For all of a provider's models, put the word before its path:
{url}/down/openai/v1

Variables that send your SDKs there:

export OPENAI_API_KEY=none ANTHROPIC_API_KEY=none
export OPENAI_BASE_URL={url}/openai/v1
export ANTHROPIC_BASE_URL={url}/anthropic

To try them, run pip install openai and paste this in another terminal:

python - <<'END'
{snippet}END

Requests:"""


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
        _serve(port)
        return
    from routeware.cli import demo_screen

    try:
        url = _checked(otlp, save)
        results = _run(_scenes(scene, policy), requests, seed, speed_up)
    except (DemoError, PolicyError, NoSessionError) as error:
        screen.fail(str(error), 2)
    except OSError as error:
        screen.fail(f"{error.filename or 'the demo'}: {error.strerror or error}", 2)
    except KeyboardInterrupt:
        screen.fail("interrupted", 130)
    with screen.output():
        if as_json:
            screen.print_json(demo_screen.document(results))
        else:
            demo_screen.show(results)
    _hand_on(results, url, save)
    if not all(result.money.adds_up for result in results):
        screen.fail("the money does not add up", 1)


def _checked(otlp: str | None, save: Path | None) -> str | None:
    """Return the collector's whole address. What cannot succeed fails before the run, not after it."""
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
    """Return what is to be shown."""
    from routeware.demo.scenes import own_scene, packaged_scenes

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
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from routeware.demo.run import Stage, run

    # What routeware logs is in the result; without a handler of its own the log would go to the terminal as well.
    logging.getLogger("routeware").addHandler(logging.NullHandler())
    console = screen.progress_console()
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
    from routeware.demo.run import most_telling
    from routeware.demo.spans import jaeger_json

    spans = most_telling(results).spans_of_call()
    if not spans:
        raise DemoError("no trace to save: OpenTelemetry is switched off (OTEL_SDK_DISABLED)")
    file.write_text(json.dumps(jaeger_json(spans), indent=1), encoding="utf-8")


def _serve(port: int) -> None:
    """Serve until Ctrl-C, and print one line for each request."""
    from routeware.demo.playground import playground

    async def serve() -> None:
        async with playground(port, _show) as url:
            _say(_GREETING.format(url=url, snippet=SNIPPET.replace(ADDRESS, url)))
            await asyncio.Event().wait()

    try:
        asyncio.run(serve())
    except DemoError as error:
        screen.fail(str(error), 2)
    except KeyboardInterrupt:
        _say("Stopped.")


def _show(exchange: Exchange) -> None:
    _say(f"{exchange.provider:<9}  {exchange.outcome:<11}  {visible(bounded(exchange.model))}")


def _say(text: str) -> None:
    """Write a line at once: a pipe's reader waits for it."""
    with screen.output():
        screen.write(text)
