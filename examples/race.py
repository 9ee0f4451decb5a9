"""Race: the first provider is slow, so the next one is tried beside it, and the first success wins."""

import asyncio

import aiohttp
from loopback import URLS, providers, says

from routeware import Attempt, RoutingPolicy, routed

policy = RoutingPolicy(chain=["openai:gpt-4o", "anthropic:claude-sonnet-4-6"], latency={"race_after_ms": 200})


@routed(policy)
async def ask(attempt: Attempt, prompt: str) -> str:
    body = {"model": attempt.model, "messages": [{"role": "user", "content": prompt}]}
    async with aiohttp.request("POST", URLS[attempt.provider], json=body) as reply:
        reply.raise_for_status()
        answer: str = (await reply.json())["choices"][0]["message"]["content"]
        return answer


async def main() -> None:
    async with providers(openai=says("Too late.", after_ms=30_000), anthropic=says("Air scatters blue light most.")):
        outcome = await ask.outcome("Why is the sky blue?")

    print(outcome.value)
    print("within a second:", outcome.record.duration_ms < 1_000)
    for attempt in outcome.record.attempts:
        print(attempt.label, attempt.trigger, attempt.status)


asyncio.run(main())
# prints:
# Air scatters blue light most.
# within a second: True
# openai:gpt-4o initial race_lost
# anthropic:claude-sonnet-4-6 race succeeded
