"""Failover: the first provider is out of capacity, so the call goes on to the next."""

import asyncio

import aiohttp
from loopback import URLS, providers, says

from routeware import Attempt, RoutingPolicy, routed

policy = RoutingPolicy(
    chain=["openai:gpt-4o", "anthropic:claude-sonnet-4-6"],
    failover={"on_error_kinds": ["default", "auth", "not_found"], "on_timeout_ms": 20_000},
)


@routed(policy)
async def ask(attempt: Attempt, prompt: str) -> str:
    body = {"model": attempt.model, "messages": [{"role": "user", "content": prompt}]}
    async with aiohttp.request("POST", URLS[attempt.provider], json=body) as reply:
        reply.raise_for_status()
        answer: str = (await reply.json())["choices"][0]["message"]["content"]
        return answer


async def main() -> None:
    async with providers(openai=says(status=503), anthropic=says("Air scatters blue light most.")):
        outcome = await ask.outcome("Why is the sky blue?")

    print(outcome.value)
    for link in outcome.record.decision().alternatives:
        print(link.label, link.reason)


asyncio.run(main())
# prints:
# Air scatters blue light most.
# openai:gpt-4o failed:overloaded
# anthropic:claude-sonnet-4-6 selected
