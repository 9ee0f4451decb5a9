"""``routeware demo --serve``: providers on loopback for your own code, until Ctrl-C."""

from __future__ import annotations

import sys

from routeware.cli import screen
from routeware.demo import DemoError
from routeware.demo.playground import Exchange, playground
from routeware.text import bounded, visible

__all__ = ["ADDRESS", "SNIPPET", "serve"]

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
    messages = [{"role": "user", "content": prompt}]
    create = clients[attempt.provider].chat.completions.create
    usage = {"include_usage": True}  # in the last chunk, so that the cost is known
    async with await create(model=attempt.model, messages=messages, stream=True, stream_options=usage) as chunks:
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


def serve(port: int) -> None:
    """Serve until Ctrl-C, and print one line for each request."""
    import asyncio

    try:
        asyncio.run(_serve(port))
    except DemoError as error:
        screen.fail(str(error), 2)
    except KeyboardInterrupt:
        _say("Stopped.")


async def _serve(port: int) -> None:
    import asyncio

    async with playground(port, _show) as url:
        _say(_GREETING.format(url=url, snippet=SNIPPET.replace(ADDRESS, url)))
        await asyncio.Event().wait()


def _show(exchange: Exchange) -> None:
    _say(f"{exchange.provider:<9}  {exchange.outcome:<11}  {visible(bounded(exchange.model))}")


def _say(text: str) -> None:
    """Write a line at once: a pipe's reader waits for it."""
    screen.write(text)
    sys.stdout.flush()
