"""A budget: when the next answer of the large model might not fit any more, the call goes on to the small one."""

import asyncio

from loopback import post, providers, says

from routeware import Attempt, Link, Price, RoutingPolicy, routed, session

# What is set aside for an attempt is its prompt, and max_output_tokens, at the link's price.
large = Price(input_usd_per_mtok=2.50, output_usd_per_mtok=10.00)
small = Price(input_usd_per_mtok=0.15, output_usd_per_mtok=0.60)
policy = RoutingPolicy(
    chain=[
        Link(provider="openai", model="gpt-4o", price=large, max_output_tokens=800),
        Link(provider="openai", model="gpt-4o-mini", price=small, max_output_tokens=800),
    ],
    budget={"on_exceed": "skip"},
)


@routed(policy)
async def ask(attempt: Attempt, prompt: str) -> str:
    reply = await post("openai", model=attempt.model, prompt=prompt, max_tokens=attempt.max_output_tokens)
    return str(attempt.report(reply)["model"])


async def main() -> None:
    async with providers(openai=says("Rayleigh.")), session("tenant-7", limit_usd=0.02) as spending:
        for _ in range(3):
            print(f"{await ask('Why is the sky blue?')}, ${spending.spent_usd:.6f} of $0.02 spent")


asyncio.run(main())
# prints:
# gpt-4o, $0.006050 of $0.02 spent
# gpt-4o, $0.012100 of $0.02 spent
# gpt-4o-mini, $0.012463 of $0.02 spent
