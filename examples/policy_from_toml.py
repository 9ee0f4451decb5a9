"""A policy from a file that is followed while the service runs: a new chain without a restart."""

import asyncio
from pathlib import Path

from loopback import post, providers, says

from routeware import Attempt, PolicyError, RoutingPolicy, routed


# A file that is gone, half-written or wrong leaves the last good policy in force.
@routed(RoutingPolicy.watch_toml(Path(__file__).with_name("policy.toml")))
async def ask(attempt: Attempt, prompt: str) -> str:
    await post(attempt.provider, model=attempt.model, prompt=prompt)
    return f"{attempt.label} had {attempt.timeout_ms:,.0f} ms"


async def main() -> None:
    async with providers(openai=says(status=429), anthropic=says("Air scatters blue light most.")):
        print(await ask("Why is the sky blue?"))
    try:
        RoutingPolicy.from_dict({"chain": ["openai:gpt-4o"], "latency": {"race_after": 200}})
    except PolicyError as error:
        print(error)


asyncio.run(main())
# prints:
# anthropic:claude-sonnet-4-6 had 20,000 ms
# latency.race_after: there is no such setting (given 200); did you mean 'race_after_ms'?
