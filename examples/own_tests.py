"""Your own tests, the request among them, with aioresponses 0.7.9, which cannot build the responses of aiohttp 3.14."""

import asyncio

import aiohttp
from aioresponses import aioresponses

from routeware import Attempt, RoutingPolicy, routed

URLS = {"openai": "https://openai.example/v1", "anthropic": "https://anthropic.example/v1"}


@routed(RoutingPolicy(chain=["openai:gpt-4o", "anthropic:claude-sonnet-4-6"]))
async def ask(attempt: Attempt, prompt: str) -> str:
    body = {"model": attempt.model, "messages": [{"role": "user", "content": prompt}]}
    async with aiohttp.request("POST", URLS[attempt.provider], json=body) as reply:
        reply.raise_for_status()
        return str((await reply.json())["text"])


async def test_a_rate_limit_is_answered_by_the_second_provider() -> None:
    with aioresponses() as web:
        web.post(URLS["openai"], status=429, headers={"Retry-After": "2"})
        web.post(URLS["anthropic"], status=200, payload={"text": "Air scatters blue light most."})

        outcome = await ask.outcome("Why is the sky blue?")

    assert outcome.value == "Air scatters blue light most."
    assert [link.reason for link in outcome.record.decision().alternatives] == ["failed:rate_limit", "selected"]


if __name__ == "__main__":  # or `pytest own_tests.py`, where pytest-asyncio is in its auto mode
    asyncio.run(test_a_rate_limit_is_answered_by_the_second_provider())
    print("1 test passed")
# prints:
# 1 test passed
