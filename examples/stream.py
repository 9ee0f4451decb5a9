"""Streaming: the first provider stalls before its first word, so the next one is raced to it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from loopback import providers
from loopback_streams import events, streams

from routeware import Attempt, RoutingPolicy, has_output, is_final, routed

policy = RoutingPolicy(chain=["openai:gpt-4o", "mistral:mistral-large"], latency={"race_after_ms": 200})


@routed(policy)
async def ask(attempt: Attempt, prompt: str) -> AsyncIterator[Any]:
    async for event in events(attempt.provider, model=attempt.model, prompt=prompt):
        yield attempt.report(event)  # usage, wherever this API puts it; and a sign of life


ask.first_item(has_output)  # a role, or an empty text, wins no race
ask.last_item(is_final)  # an answer that ends without its finish reason was cut short


async def main() -> None:
    slow, fast = streams("Too", " late.", after_ms=30_000), streams("Air", " scatters", " blue.")
    async with providers(openai=slow, mistral=fast), ask("Why is the sky blue?") as stream:  # has its first item
        print("from", stream.link and stream.link.label)
        async for event in stream:
            print(*(choice["delta"].get("content", "") for choice in event["choices"]), end="|")

    if stream.record is not None:
        print(f"\n{stream.record.ended}: {stream.record.items} items, {stream.record.trail()}")


asyncio.run(main())
# prints:
# from mistral:mistral-large
# |Air| scatters| blue.|||
# completed: 6 items, gpt-4o lost the race, mistral-large answered
