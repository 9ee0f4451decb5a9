"""The two ways to ask: one request to one provider, and the same function behind the decorator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import attrs
from opentelemetry.trace import TracerProvider

from routeware import Attempt, Link, Routed, RoutingPolicy, Usage, routed
from routeware.demo.facts import Facts
from routeware.demo.policies import Prices
from routeware.demo.scenes import Scene
from routeware.demo.servers import INCIDENT_HEADER, REQUEST_HEADER

__all__ = ["Client"]


@attrs.frozen
class Client:
    """A program that calls providers: it has an HTTP session and knows where they are.

    Attributes:
        http: the session.
        urls: provider to URL.
        facts: what the providers are like; a program would know its prompts and their length.
        scene: what befalls them.
        during: the requests that it befalls.
    """

    http: aiohttp.ClientSession
    urls: Mapping[str, str]
    facts: Facts
    scene: Scene
    during: range

    def bare(self, link: Link) -> Callable[[int], Awaitable[Usage]]:
        """Return a function that asks ``link`` alone; it gives the usage."""

        async def ask(number: int) -> Usage:
            usage = (await self._complete(link.provider, link.model, number))["usage"]
            return Usage(input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"])

        return ask

    def routed(self, policy: RoutingPolicy, tracer_provider: TracerProvider) -> Routed[[int], str]:
        """Return the decorated function; it gives the answer."""

        @routed(policy, name="ask", prices=Prices(), tracer_provider=tracer_provider)
        async def ask(attempt: Attempt, number: int) -> str:
            reply = attempt.report(await self._complete(attempt.provider, attempt.model, number))
            return str(reply["choices"][0]["message"]["content"])

        @ask.estimate
        def projection(link: Link, _number: int) -> Usage:
            return Usage(input_tokens=self.facts.input_tokens, output_tokens=link.max_output_tokens or 1024)

        return ask

    async def _complete(self, provider: str, model: str, number: int) -> dict[str, Any]:
        """Ask for one chat completion.

        Raises:
            aiohttp.ClientError: the provider refused, failed or hung up.
        """
        prompt = {"model": model, "messages": [{"role": "user", "content": f"question {number}"}]}
        headers = {REQUEST_HEADER: str(number)}
        if self.scene.incident is not None and provider == self.scene.provider and number in self.during:
            headers[INCIDENT_HEADER] = self.scene.incident.value
        async with self.http.post(self.urls[provider], json=prompt, headers=headers) as reply:
            reply.raise_for_status()
            body: dict[str, Any] = await reply.json()
            return body
