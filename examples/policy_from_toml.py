"""A policy from a file, read again when it changes: a service gets a new chain without a restart."""

import asyncio
from functools import lru_cache
from pathlib import Path

from loopback import post, providers, says

from routeware import Attempt, PolicyError, RoutingPolicy, routed

FILE = Path(__file__).with_name("policy.toml")
read = lru_cache(maxsize=1)(lambda _changed_at: RoutingPolicy.from_toml(FILE))


# The function is asked at every call; what can be prepared is prepared once for each policy object that it gives.
@routed(lambda: read(FILE.stat().st_mtime_ns))
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
# anthropic:claude-sonnet-4-5 had 20,000 ms
# latency.race_after: there is no such setting (given 200); did you mean 'race_after_ms'?
