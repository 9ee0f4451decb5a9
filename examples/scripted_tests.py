"""Your own tests: a script plays in place of the providers, on the real engine, and no request is made."""

import asyncio

from routeware import Attempt, RoutingPolicy, routed
from routeware.testing import answers, fails, scripted, trail


@routed(RoutingPolicy(chain=["openai:gpt-4o", "anthropic:claude-sonnet-4-6"]))
async def ask(attempt: Attempt, prompt: str) -> str:
    raise NotImplementedError("here is your request to the provider")


async def test_a_rate_limit_is_answered_by_the_second_provider() -> None:
    script = {
        "openai": fails(429, retry_after_ms=2_000),
        "anthropic": answers("Air scatters blue light most.", input_tokens=12, output_tokens=8),
    }
    with scripted(ask, script) as play:
        answer = await ask("Why is the sky blue?")

    assert answer == "Air scatters blue light most."
    assert trail(play.calls[0]) == ["openai:gpt-4o failed:rate_limit", "anthropic:claude-sonnet-4-6 selected"]


if __name__ == "__main__":  # or `pytest scripted_tests.py`, where pytest-asyncio is in its auto mode
    asyncio.run(test_a_rate_limit_is_answered_by_the_second_provider())
    print("1 test passed")
# prints:
# 1 test passed
