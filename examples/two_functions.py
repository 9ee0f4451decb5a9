"""Two providers with different APIs: a function for each, under one name with one signature."""

import asyncio

from loopback import post, providers, says

from routeware import Attempt, RoutingPolicy, routed


@routed(RoutingPolicy(chain=["anthropic:claude-sonnet-4-6", "ollama:llama3:8b"]))
async def ask(attempt: Attempt, prompt: str) -> str:
    reply = await post(attempt.provider, model=attempt.model, messages=[{"role": "user", "content": prompt}])
    return f"{attempt.model} says: {reply['choices'][0]['message']['content']}"


@ask.provider("ollama", "llamacpp")
async def ask_on_this_machine(attempt: Attempt, prompt: str) -> str:
    reply = await post(attempt.provider, model=attempt.model, prompt=prompt, stream=False)
    return f"{attempt.model}, on this machine, says: {reply['choices'][0]['message']['content']}"


async def main() -> None:
    async with providers(anthropic=says("Air scatters blue light."), ollama=says("Rayleigh.")):
        print(await ask("Why is the sky blue?"))
    async with providers(anthropic=says(status=529), ollama=says("Rayleigh.")):
        print(await ask("Why is the sky blue?"))


asyncio.run(main())
# prints:
# claude-sonnet-4-6 says: Air scatters blue light.
# llama3:8b, on this machine, says: Rayleigh.
