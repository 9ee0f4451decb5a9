"""The record: what became of a call, whether it succeeded or raised."""

import asyncio

import aiohttp
from loopback import post, providers, says

from routeware import Attempt, CallRecord, RoutingPolicy, record_of, routed


@routed(RoutingPolicy(chain=["openai:gpt-4o", "anthropic:claude-sonnet-4-6"]))
async def ask(attempt: Attempt, prompt: str) -> str:
    reply = await post(attempt.provider, model=attempt.model, prompt=prompt)
    return str(attempt.report(reply)["choices"][0]["message"]["content"])


def show(record: CallRecord | None) -> None:
    if record is not None:
        print(record.outcome, *(f"| {link.label} {link.reason}" for link in record.decision().alternatives))


async def main() -> None:
    async with providers(openai=says(status=429), anthropic=says("Air scatters blue light most.")):
        show((await ask.outcome("Why is the sky blue?")).record)
    async with providers(openai=says(status=429), anthropic=says(status=400)):
        try:
            await ask("Why is the sky blue?")
        except aiohttp.ClientResponseError as error:  # the last provider's own error
            show(record_of(error))


asyncio.run(main())
# prints:
# succeeded | openai:gpt-4o failed:rate_limit | anthropic:claude-sonnet-4-6 selected
# failed | openai:gpt-4o failed:rate_limit | anthropic:claude-sonnet-4-6 failed:bad_request
